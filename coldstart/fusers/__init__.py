"""Fusers: the field vectors of an item to one item vector."""

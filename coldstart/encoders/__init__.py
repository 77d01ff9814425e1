"""Encoders: the values of a field to vectors."""

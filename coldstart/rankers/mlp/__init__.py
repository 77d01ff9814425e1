"""Rank by a small network trained on clicks."""

"""Vectors to top-k."""

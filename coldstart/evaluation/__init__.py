"""Measure recommenders: protocols, reports, comparison, tuning."""

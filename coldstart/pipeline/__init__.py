"""A fitted recommender: its state, its answers, its folder."""

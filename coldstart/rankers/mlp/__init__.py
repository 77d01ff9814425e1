"""A ranker of two stages: two towers find candidates, a network on pairs re-ranks them."""

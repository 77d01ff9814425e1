"""The hybrid ranker: words, meaning and clicks in one score."""

"""Field vectors to item vectors."""

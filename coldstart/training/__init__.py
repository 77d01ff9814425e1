"""One training loop, losses, negatives, towers and adapters: arrays and tensors only."""

"""Training: one loop, losses, negatives, and tuning of encoders on clicks."""

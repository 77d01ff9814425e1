"""One training loop, losses, negatives, towers, adapters and text augmentation: nothing here knows a catalogue."""

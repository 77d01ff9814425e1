"""Train an encoder: from clicks, or from the texts of a catalogue alone."""

"""Values of a field to vectors."""

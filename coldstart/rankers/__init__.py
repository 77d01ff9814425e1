"""Features and clicks to scores."""

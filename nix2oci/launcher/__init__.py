"""The static launcher: its source, and the encoder that gives it its operations."""

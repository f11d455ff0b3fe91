"""Everything that can be wrong with an image."""

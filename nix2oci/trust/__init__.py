"""Trust: what is in an image, where it comes from, and who says so."""

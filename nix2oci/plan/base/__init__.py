"""An image's own files laid over those of a base image."""

"""Out: what the OCI specifications say. Layers, documents, layouts and their validation."""

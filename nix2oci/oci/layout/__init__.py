"""Image layouts and archives: read, and written all or nothing."""

"""Where images go: layouts and archives, engines and registries, of one image or of many."""

"""The arrow, spelled out once: packages to outputs to closure to plan to layers to image."""

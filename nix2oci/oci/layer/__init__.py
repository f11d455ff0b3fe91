"""One layer: entries to tar to blob, and back."""

"""Wrappers: the bytes of a script or binary in, what it does out, or why not. Pure."""

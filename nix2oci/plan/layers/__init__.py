"""Which store paths go into which layer, and what that costs. Pure."""

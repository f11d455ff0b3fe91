"""Values that every room shares: what Nix knows, what an image holds. Pure."""

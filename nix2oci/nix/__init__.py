"""In: what Nix knows. Evaluation, builds, the closure graph and the bytes of the store."""

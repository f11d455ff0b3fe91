"""nix2oci.yaml and flags in, a validated image spec and options out; the only room with yaml."""

"""nix2oci.yaml and flags in, a fully validated image spec out; the only room with yaml."""

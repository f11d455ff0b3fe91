"""nix2oci: one command from a flake output to an OCI image.

`pipeline.build` is the whole program on one page; docs/architecture.md is the map of the rest. The
command line is the interface, from programs too (docs/json.md): no module here is a public API.
"""

__version__ = "0.1.0"

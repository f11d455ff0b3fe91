"""Binary caches without Nix: records, signatures and NARs, over HTTP or from files."""

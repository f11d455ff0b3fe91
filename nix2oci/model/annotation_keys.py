"""Annotations of a manifest that say how an image was made."""

from __future__ import annotations

SHELL = "nix2oci.shell"
"""The document of what was done about shells, as JSON."""

SLIM = "nix2oci.slim"
"""The rules by which something was left out of store paths, with their versions."""

CONTENTS = "nix2oci.contents"
"""The digest of the attached document that says what is in the layers."""

POPULARITY = "nix2oci.popularity"
"""The digest of the index that layers were planned by."""

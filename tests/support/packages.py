"""What evaluation knows of a package, for tests of what is made of it."""

from __future__ import annotations

from typing import Any

from nix2oci.nix.installable import Installable
from nix2oci.nix.package import Package


def package(name: str = "app", **fields: Any) -> Package:
    return Package(Installable(".#app", "flake", flake_ref=".", attr="app"), name, **fields)

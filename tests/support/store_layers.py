"""Layers that hold one store path each, of packages and their next versions."""

from __future__ import annotations

from support.smallimage import Layer, directory, entry, tar

H = ["".join([digit] * 32) for digit in "0123456789"]
APP1, APP2 = f"/nix/store/{H[0]}-app-1.0", f"/nix/store/{H[1]}-app-1.1"
LIB, LIB_AGAIN = f"/nix/store/{H[2]}-lib-2.0", f"/nix/store/{H[3]}-lib-2.0"
TOOL, DATA = f"/nix/store/{H[4]}-tool", f"/nix/store/{H[5]}-data"
STORE = (directory("nix"), directory("nix/store"))


def layer(path: str, size: int = 1000) -> Layer:
    """The layer of a store path that is one file of `size` bytes."""
    return Layer(tar(*STORE, entry(path[1:], b"x" * size)), pack=bytes, suffix="")

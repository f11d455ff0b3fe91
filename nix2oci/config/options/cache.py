"""What is kept for the next build."""

from __future__ import annotations

import click
from msgspec import Struct

from nix2oci.config.options.group import Group, switch, value

DEFAULT_SIZE = "10G"
VARIABLE = "NIX2OCI_CACHE_SIZE"


class CacheOptions(Struct, frozen=True):
    """What `build` may keep."""

    cache_size: str | None
    no_cache: bool


def cache_size_option() -> click.Option:
    """How much may be kept."""
    text = f"Keep at most so much, such as 500M or 20G; 0 is nothing. [{DEFAULT_SIZE}]"
    return value("--cache-size", "SIZE", text)


CACHE = Group(
    "cache",
    CacheOptions,
    (
        cache_size_option(),
        switch("--no-cache", "Read and keep nothing in the cache; make all layers."),
    ),
    "Layers",
)

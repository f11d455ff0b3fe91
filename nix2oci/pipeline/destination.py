"""Where an image goes, and what of the machine around a build it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from msgspec import Struct

from nix2oci.cache.directory import Cache
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import StoreLayer
from nix2oci.oci.layout.writer import Staging
from nix2oci.oci.reference import Reference
from nix2oci.pipeline.on_base import LOCAL, Opener

FindExisting = Callable[[Iterable[StoreLayer]], Mapping[StoreLayer, Layer]]
"""Told which layers are wanted: those that are where the image is pushed to."""


class Destination(Struct, frozen=True):
    """Where an image goes and what the machine around it decides.

    No digest depends on `cores`, on what `cache` holds, or on what is `existing`.
    """

    open: Callable[[Sequence[Reference]], AbstractContextManager[Staging]]
    created: Callable[[int | None], datetime]
    """The image's time, from the flake's `lastModified` when it has one that can be trusted."""
    cores: int
    cache: Cache | None = None
    reads_zstd: bool = True
    """Whether all that read what is there know zstd layers."""
    existing: FindExisting | None = None
    """Only for an image that is pushed and kept nowhere else: such layers are left out of it."""
    opener: Opener = LOCAL
    """How a base image is opened."""
    describes: bool = False
    """Whether a bill of materials will be asked for, so that files are looked through for it."""

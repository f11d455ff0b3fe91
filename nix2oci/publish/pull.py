"""Pulling an image of a registry into a file: what is not here yet comes over the network."""

from __future__ import annotations

import os
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.cache.base_layers import keep, take
from nix2oci.cache.bound import prune
from nix2oci.cache.directory import Cache
from nix2oci.oci.fields import Json
from nix2oci.oci.layout.archive import blob_name, docker_manifest
from nix2oci.oci.layout.names import CONTAINERD_NAME, Entry
from nix2oci.oci.layout.writer import Staging
from nix2oci.oci.media_types import COMPRESSIONS, CONFIG_TYPES
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.pull_set import PullSet, copy_missing
from nix2oci.oci.spec import REF_NAME, Descriptor


class AtHand(Struct, frozen=True):
    """Blobs that need not come over the network: of a layout, and layers of the cache."""

    layout: str | None = None
    cache: Cache | None = None

    def adopt(self, blob: Descriptor, staging: Staging) -> bool:
        """Commit a blob that is here, whose bytes are checked; whether it is."""
        there = os.path.join(self.layout, blob_name(blob.digest)) if self.layout else None
        if there and staging.adopt(there, blob.digest, blob.size):
            return True
        cache = self.cache if blob.media_type in COMPRESSIONS else None
        return cache is not None and take(cache, blob, staging.blob_path(blob.digest))

    def keep(self, blob: Descriptor, staging: Staging) -> None:
        """Keep a layer that was committed."""
        if self.cache and blob.media_type in COMPRESSIONS:
            keep(self.cache, blob, staging.blob_path(blob.digest))


class Pulled(Struct, frozen=True):
    """An image that is in a file now."""

    reference: Reference
    """As it was given, with the digest that it has."""
    pull_set: PullSet
    fetched: tuple[Descriptor, ...]
    """The blobs that came over the network."""
    tag: str | None
    """Its name in the file; none where only a digest was given."""


def pull(
    pull_set: PullSet,
    reference: Reference,
    staging: Staging,
    at_hand: AtHand,
    advance: Callable[[int], None],
) -> Pulled:
    """Put an image where a staging has it appear, under the tag of its reference.

    A layer that comes over the network is kept at once, so that a pull that is cut off goes on
    where it ended; `advance` hears of the bytes of blobs that did not have to. Raises as
    `copy_missing`.
    """

    def is_here(blob: Descriptor) -> bool:
        found = at_hand.adopt(blob, staging)
        advance(blob.size if found else 0)
        return found

    fetched = copy_missing(pull_set, staging, is_here, lambda blob: at_hand.keep(blob, staging))
    if at_hand.cache:
        prune(at_hand.cache, wait=False)
    tag = reference.tag or (None if reference.digest else "latest")
    staging.finish_entries([_entry(pull_set, tag)])
    named = replace(reference, tag=tag, digest=pull_set.named.digest)
    return Pulled(named, pull_set, fetched, tag)


def _entry(pull_set: PullSet, tag: str | None) -> Entry:
    """What a layout or archive lists: the name that a base image in the registry would have."""
    name = pull_set.named.annotations[CONTAINERD_NAME]
    names = {CONTAINERD_NAME: name, **({REF_NAME: tag} if tag else {})}
    listed = replace(pull_set.chosen, annotations=names)
    return Entry((listed,), _for_docker(pull_set, (name,) if tag else ()))


def _for_docker(pull_set: PullSet, names: tuple[str, ...]) -> tuple[Json, ...]:
    """What the classic store of Docker reads: one image, with no layer that it cannot read."""
    if len(pull_set.documents) > 1 or not (blobs := pull_set.documents[0].blobs):
        return ()
    config, *layers = blobs
    readable = all(COMPRESSIONS.get(layer.media_type) in ("none", "gzip") for layer in layers)
    if config.media_type not in CONFIG_TYPES or not readable:
        return ()
    return tuple(docker_manifest(names, config.digest, [layer.digest for layer in layers]))

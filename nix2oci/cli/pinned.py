"""Base images in registries: which image a tag means, and its blobs, fetched once for a build."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import click

from nix2oci.cache.base_layers import keep, take
from nix2oci.cache.bound import prune
from nix2oci.cache.directory import Cache
from nix2oci.cli import options, registries
from nix2oci.cli.output import write_file
from nix2oci.config import image_spec
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.lock import Lock
from nix2oci.errors import ConfigError
from nix2oci.oci.layout.names import CONTAINERD_NAME
from nix2oci.oci.layout.source import ImageSource, Layout, open_image
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Descriptor, Platform

F = Callable[..., Any]


def refresh_option(function: F) -> F:
    """The option of `pinned_base` that looks a tag up anew."""
    return click.option(
        "--refresh-base",
        is_flag=True,
        help="Look up anew which image the tag of `base` in nix2oci.yaml means.",
    )(function)


@dataclass(frozen=True, slots=True)
class PinnedBase:
    """The base image of a build, as far as it is known before anything is built."""

    layout: Layout | None
    """Where it is in a registry."""
    values: dict[str, Any]
    cache: Cache | None = None

    @contextmanager
    def opener(self) -> Iterator[Callable[[str, Platform], ImageSource]]:
        """What opens the image of a platform; what it fetches is kept to the end of the context."""
        if self.layout is None:
            yield open_image
            return
        layout = self.layout
        with tempfile.TemporaryDirectory(prefix="nix2oci-base-") as directory:
            yield lambda text, platform: self._fetched(layout, directory, text, platform)

    def _fetched(
        self, layout: Layout, directory: str, text: str, platform: Platform
    ) -> ImageSource:
        from nix2oci.oci.registry.download import fetch  # noqa: PLC0415  # loaded when used

        source = layout.image(platform=platform)
        (entry,) = layout.entries()
        name = {CONTAINERD_NAME: entry.annotations[CONTAINERD_NAME]}
        descriptor = replace(
            source.descriptor, annotations={**source.descriptor.annotations, **name}
        )
        missing = self._missing(source, directory)
        with self._fetching(text, missing) as told:
            fetched = fetch(replace(source, descriptor=descriptor), directory, told)
        if self.cache:
            for layer in missing:
                keep(self.cache, layer, os.path.join(directory, layer.digest.hex))
            prune(self.cache, wait=False)
        return fetched

    def _fetching(
        self, text: str, missing: list[Descriptor]
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Told of bytes, where there is more to fetch than a manifest and a configuration."""
        if not missing:
            return nullcontext(lambda _: None)
        size = sum(layer.size for layer in missing)
        return options.progress(self.values).bytes(f"fetching base image {text}", size)

    def _missing(self, source: ImageSource, directory: str) -> list[Descriptor]:
        """The layers that neither the directory has nor the cache, from which they come there."""
        layers = {layer.digest: layer for layer in source.layers()}.values()
        places = [(layer, os.path.join(directory, layer.digest.hex)) for layer in layers]
        return [
            layer
            for layer, path in places
            if not (os.path.exists(path) or (self.cache and take(self.cache, layer, path)))
        ]


def pinned_base(
    spec: ImageSpec,
    lock: str | None,
    values: dict[str, Any],
    *,
    write: bool = False,
    cache: Cache | None = None,
) -> PinnedBase:
    """The base image that is meant, its manifest read where it is in a registry.

    `lock` is the file that says which image a tag means, None where every build asks anew. With
    `write` it is written when it did not know. `cache` keeps layers for the next build. Raises
    `ConfigError`, and as `registries.remote`.
    """
    reference = registries.named(spec.base) if spec.base else None
    refresh = values.get("refresh_base", False)
    if refresh and (lock is None or reference is None or reference.digest):
        raise ConfigError("--refresh-base: `base` in nix2oci.yaml is no tag in a registry")
    if spec.base is None or reference is None:
        return PinnedBase(None, values)
    known = Lock()
    if lock and os.path.exists(lock):
        known = Lock.parse(image_spec.read_document(lock), lock)
    wanted = reference if refresh else known.pinned(reference) or reference
    options.progress(values).step(f"looking up base image {spec.base}")
    layout = registries.opened(wanted, spec.base, values)
    if lock and write and not reference.digest:
        _write(lock, known, reference, layout, values)
    return PinnedBase(layout, values, cache)


def _write(
    path: str, known: Lock, reference: Reference, layout: Layout, values: dict[str, Any]
) -> None:
    (entry,) = layout.entries()
    new = known.with_image(reference, entry.digest)
    if new != known:
        write_file(path, str(new).encode())
        options.progress(values).step(f"{path}: {reference.tagged()} is {entry.digest}")

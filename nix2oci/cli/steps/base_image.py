"""Base images in registries: which image a tag means, and its blobs, fetched once for a build."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nix2oci.cache.directory import Cache
from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.options.registry import RegistryOptions
from nix2oci.cli.render import console
from nix2oci.cli.steps.settings import Settings
from nix2oci.cli.steps.write_file import write_file
from nix2oci.config import image_spec
from nix2oci.config.lock import Lock
from nix2oci.errors import ConfigError

if TYPE_CHECKING:
    from nix2oci.oci.layout.source import ImageSource, Layout
    from nix2oci.oci.reference import Reference
    from nix2oci.oci.spec import Descriptor, Platform


@dataclass(frozen=True, slots=True)
class LocatedBase:
    """The base image of a build, as far as it is known before anything is built."""

    layout: Layout | None
    """Where it is in a registry."""
    output: OutputOptions
    cache: Cache | None = None

    @contextmanager
    def opener(self) -> Iterator[Callable[[str, Platform], ImageSource]]:
        """What opens the image of a platform; what it fetches is kept to the end of the context."""
        if self.layout is None:
            from nix2oci.oci.layout.source import open_image

            yield open_image
            return
        layout = self.layout
        with tempfile.TemporaryDirectory(prefix="nix2oci-base-") as directory:
            yield lambda text, platform: self._fetched(layout, directory, text, platform)

    def _fetched(
        self, layout: Layout, directory: str, text: str, platform: Platform
    ) -> ImageSource:
        from nix2oci.cache.base_layers import keep
        from nix2oci.cache.bound import prune
        from nix2oci.oci.layout.names import CONTAINERD_NAME
        from nix2oci.oci.registry.download import fetch

        source = layout.image(platform=platform)
        (entry,) = layout.entries()
        name = {CONTAINERD_NAME: entry.annotations[CONTAINERD_NAME]}
        descriptor = replace(
            source.descriptor, annotations={**source.descriptor.annotations, **name}
        )
        missing = self._missing(source, directory)
        with self._fetching(text, missing) as counter:
            fetched = fetch(replace(source, descriptor=descriptor), directory, counter)
        if self.cache:
            for layer in missing:
                keep(self.cache, layer, os.path.join(directory, layer.digest.hex))
            prune(self.cache, wait=False)
        return fetched

    def _fetching(
        self, text: str, missing: list[Descriptor]
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Counts bytes, where there is more to fetch than a manifest and a configuration."""
        if not missing:
            return nullcontext(lambda _: None)
        size = sum(layer.size for layer in missing)
        return console.progress(self.output).bytes(f"fetching base image {text}", size)

    def _missing(self, source: ImageSource, directory: str) -> list[Descriptor]:
        """The layers that neither the directory has nor the cache, from which they come there."""
        from nix2oci.cache.base_layers import take

        layers = {layer.digest: layer for layer in source.layers()}.values()
        places = [(layer, os.path.join(directory, layer.digest.hex)) for layer in layers]
        return [
            layer
            for layer, path in places
            if not (os.path.exists(path) or (self.cache and take(self.cache, layer, path)))
        ]


def locate_base(
    settings: Settings,
    registry: RegistryOptions,
    output: OutputOptions,
    *,
    write_lock: bool = False,
    refresh: bool = False,
    cache: Cache | None = None,
) -> LocatedBase:
    """The base image that is meant, its manifest read where it is in a registry.

    Without a lock every build asks what a tag means. With `write_lock` the lock is written when it
    did not know; with `refresh` it does not count. `cache` keeps layers for the next build. Raises
    `ConfigError`, and as `registry.open_reference`.
    """
    base, lock = settings.spec.base, settings.lock
    if base is None:
        if refresh:
            raise _nothing_to_refresh()
        return LocatedBase(None, output)
    from nix2oci.cli.steps.registry import open_reference, reference_in_registry

    reference = reference_in_registry(base)
    if refresh and (lock is None or reference is None or reference.digest):
        raise _nothing_to_refresh()
    if reference is None:
        return LocatedBase(None, output)
    known = _read_lock(lock)
    wanted = reference if refresh else known.pinned(reference) or reference
    console.progress(output).step(f"looking up base image {base}")
    layout = open_reference(wanted, base, registry, output)
    if lock and write_lock and not reference.digest:
        _write_lock(lock, known, reference, layout, output)
    return LocatedBase(layout, output, cache)


def _nothing_to_refresh() -> ConfigError:
    return ConfigError("--refresh-base: `base` in nix2oci.yaml is no tag in a registry")


def _read_lock(path: str | None) -> Lock:
    return (
        Lock.parse(image_spec.read_document(path), path)
        if path and os.path.exists(path)
        else Lock()
    )


def _write_lock(
    path: str, known: Lock, reference: Reference, layout: Layout, output: OutputOptions
) -> None:
    (entry,) = layout.entries()
    new = known.with_image(reference, entry.digest)
    if new != known:
        write_file(path, str(new).encode())
        console.progress(output).step(f"{path}: {reference.tagged()} is {entry.digest}")

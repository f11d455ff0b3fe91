"""Base images in registries: which image a tag means, and its blobs, fetched once for a build."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from msgspec import Struct

from nix2oci.cache.base_layers import keep, take
from nix2oci.cache.bound import prune
from nix2oci.cache.directory import Cache
from nix2oci.config.image_spec import read_document
from nix2oci.config.lock import Lock
from nix2oci.errors import ConfigError
from nix2oci.host.progress import Progress
from nix2oci.host.scratch import temporary_directory
from nix2oci.oci.layout.source import ImageSource, Layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.download import fetch
from nix2oci.oci.spec import Descriptor, Platform
from nix2oci.pipeline.on_base import Opener


class RegistryBase(Struct, frozen=True):
    """A base image in a registry, its manifest read; nothing else is fetched yet."""

    layout: Layout
    progress: Progress
    cache: Cache | None = None
    """Keeps layers for the next build."""
    lock_it: Callable[[], None] = lambda: None
    """Writes down what the tag meant, where that is new."""

    @contextmanager
    def opener(self) -> Iterator[Opener]:
        """What opens the image of a platform; what it fetches is kept to the end of the context.

        It is made after packages were evaluated. Only now is the lock written: a file of the
        flake that is changed before makes Nix see a tree with changes.
        """
        self.lock_it()
        with temporary_directory() as directory:
            yield lambda text, platform: self._fetched(self.layout, directory, text, platform)

    def _fetched(
        self, layout: Layout, directory: str, text: str, platform: Platform
    ) -> ImageSource:
        source = layout.image(platform=platform)
        missing = self._missing(source, directory)
        with self._fetching(text, missing) as counter:
            fetched = fetch(source, directory, counter)
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
        return self.progress.bytes(f"fetching base image {text}", size)

    def _missing(self, source: ImageSource, directory: str) -> list[Descriptor]:
        """The layers that neither the directory has nor the cache, from which they come there."""
        layers = {layer.digest: layer for layer in source.layers()}.values()
        places = [(layer, os.path.join(directory, layer.digest.hex)) for layer in layers]
        return [
            layer
            for layer, path in places
            if not (os.path.exists(path) or (self.cache and take(self.cache, layer, path)))
        ]


def locate_base(
    base: str,
    reference: Reference,
    open_reference: Callable[[Reference, str], Layout],
    progress: Progress,
    *,
    lock: str | None,
    write: Callable[[str, bytes], None] | None,
    refresh: bool,
    cache: Cache | None,
) -> RegistryBase:
    """The base image that `base` means, which is `reference` in a registry.

    `lock` is the file that says which image a tag means; without one every build asks. `write`
    puts a file into place when the lock did not know, once the image is opened. With `refresh` it
    does not count. Raises `ConfigError`, and as `open_reference`.
    """
    if refresh and (lock is None or reference.digest):
        raise nothing_to_refresh()
    known = _locked(lock)
    wanted = reference if refresh else known.pinned(reference) or reference
    progress.step(f"looking up base image {base}")
    layout = open_reference(wanted, base)
    if not lock or reference.digest:
        return RegistryBase(layout, progress, cache)
    (entry,) = layout.entries()
    if known.with_image(reference, entry.digest) == known:
        return RegistryBase(layout, progress, cache)

    def lock_it() -> None:
        if write:
            # Another image of the run may have written its own base meanwhile.
            new = _locked(lock).with_image(reference, entry.digest)
            write(lock, str(new).encode())
            progress.step(f"{lock}: {reference.tagged()} is {entry.digest}")

    return RegistryBase(layout, progress, cache, lock_it)


def _locked(lock: str | None) -> Lock:
    """What a lock says; nothing where there is none."""
    if lock and os.path.exists(lock):
        return Lock.parse(read_document(lock), lock)
    return Lock()


def nothing_to_refresh() -> ConfigError:
    """What `--refresh-base` says where no tag in a registry stands in nix2oci.yaml."""
    return ConfigError("--refresh-base: `base` in nix2oci.yaml is not a tag in a registry")

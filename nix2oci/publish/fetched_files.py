"""The files of an image in a registry, whose layers are fetched when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from nix2oci.host.progress import Progress
from nix2oci.host.scratch import temporary_directory
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.merged_files import ImageFiles
from nix2oci.oci.registry.download import fetch, on_demand
from nix2oci.oci.spec import Descriptor


@contextmanager
def fetched_files(source: ImageSource, progress: Progress, *, whole: bool) -> Iterator[ImageFiles]:
    """The files, until the end of the context; `whole` fetches all layers before, several at once.

    Raises what fetching them raises, as does every question.
    """

    def fetching(layer: Descriptor) -> AbstractContextManager[Callable[[int], None]]:
        return progress.bytes(f"fetching layer {layer.digest}", layer.size)

    with temporary_directory() as directory:
        if whole:
            size = sum(layer.size for layer in source.layers())
            with progress.bytes(f"fetching {source.where}", size) as counter:
                source = fetch(source, directory, counter)
        else:
            source = on_demand(source, directory, fetching)
        yield ImageFiles(source)

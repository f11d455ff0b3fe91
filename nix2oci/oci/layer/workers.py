"""Several layers at once, the heaviest first, each in a process of its own where that can be.

Reading thousands of small files keeps Python's interpreter lock busy, so threads would take turns
at it, though not at compressing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.host.progress import OnProgress
from nix2oci.host.sharing import share_out
from nix2oci.model.tree import Entry
from nix2oci.oci.layer.blob import Layer, Out, write_layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.tar import BLOCK
from nix2oci.oci.layer.threads import pool_of
from nix2oci.oci.spec import Digest

if TYPE_CHECKING:
    from concurrent.futures import Executor


class Blob(Out, Protocol):
    """A blob on its way into an image."""

    @property
    def checksum(self) -> int | None:
        """That of what was written, where it is wanted."""

    def commit(self, digest: Digest, size: int) -> None: ...


class Blobs(Protocol):
    """A place in the file system that takes blobs, from several processes at once."""

    def new_blob(self, *, summed: bool = False) -> AbstractContextManager[Blob]: ...


class LayerJob(Struct, frozen=True):
    """A layer to write; `entries` is read once, `estimated_size` is about its size in bytes."""

    entries: Iterable[Entry]
    estimated_size: int
    slimmed: Callable[[], str] | None = None
    """Says what the entries were, once they are used up (`Layer.slimmed`)."""
    compression: Compression | None = None
    """Its own; None: that of the layers that it is written with."""


OnLayer = Callable[[Layer], None]
"""Called with a layer whose blob is committed, in this process."""


def write_layers(
    layers: Sequence[LayerJob],
    compression: Compression,
    blobs: Blobs,
    cores: int,
    progress: OnProgress = lambda _: None,
    *,
    forks: bool,
    summed: bool = False,
    on_layer: OnLayer = lambda _: None,
) -> tuple[Layer, ...]:
    """Write layers as blobs, up to `cores` at a time; answer in the order given.

    `progress` is told the bytes of tar that were done since the last call. When it or `on_layer`
    are called all workers are there: they may begin threads. `summed`: whether a layer is to have
    a checksum. Nothing but how long it takes depends on `cores` and `forks`; for these and for
    failures see `share_out`.
    """
    heaviest_first = sorted(range(len(layers)), key=lambda number: -layers[number].estimated_size)
    late = _late([layers[number].estimated_size for number in heaviest_first], cores)

    def write(number: int, report_bytes: OnProgress) -> Layer:
        threads = cores if heaviest_first.index(number) in late else 0
        with blobs.new_blob(summed=summed) as blob, pool_of(threads) as pool:
            stored_as = layers[number].compression or compression
            layer = _write(layers[number].entries, stored_as, blob, pool, report_bytes)
            blob.commit(layer.digest, layer.size)
            slimmed = layers[number].slimmed
            return replace(
                layer, checksum=blob.checksum, slimmed=slimmed() if slimmed else layer.slimmed
            )

    written = share_out(
        *(heaviest_first, write, cores, progress),
        forks=forks,
        on_done=on_layer,
        purpose="write layers",
    )
    return tuple(written[number] for number in range(len(layers)))


def _late(sizes: Sequence[int], cores: int) -> frozenset[int]:
    """Which of the layers, the heaviest first, are more than a core's share of what is left then.

    The others will be done before, so their cores are free for threads, which hinder each other a
    little otherwise.
    """
    left, late = 0, set()
    for number, size in reversed(list(enumerate(sizes))):
        left += size
        if size * cores > left and size > BLOCK and cores > 1:
            late.add(number)
    return frozenset(late)


def _write(
    entries: Iterable[Entry],
    compression: Compression,
    out: Out,
    pool: Executor | None,
    progress: OnProgress,
) -> Layer:
    if compression.chunking is None:
        return write_layer(entries, compression, out, pool, progress)
    from nix2oci.oci.layer.chunked import write_chunked_layer  # noqa: PLC0415  # few layers are

    return write_chunked_layer(entries, compression.chunking, out, pool, progress)

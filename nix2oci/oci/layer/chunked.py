"""zstd:chunked: a zstd blob of which a client can take parts, by a table at its end.

The form is that of containers/storage `pkg/chunked`: a frame for each chunk of a file, frames for
what is tar between them, and three skippable frames: table of contents, tar-split, footer. Whoever
does not know it reads plain zstd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from nix2oci.model.tree import Entry
from nix2oci.oci.layer.blob import Layer, Out
from nix2oci.oci.layer.compression import Chunking


def write_chunked_layer(
    entries: Iterable[Entry],
    chunking: Chunking,
    out: Out,
    pool: Executor | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Layer:
    """Write the blob of a layer to `out` and say what it is, with the annotations it needs.

    As `oci.layer.blob.write_layer`.
    """
    raise NotImplementedError

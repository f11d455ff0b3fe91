"""The layers of images, each blob read once however often it is listed.

What was read of a blob is one value; a descriptor that lists it adds a number, and what is wrong
with the descriptor itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.host.differences import here
from nix2oci.oci.layer.stream import LayerStream, unreadable
from nix2oci.oci.layer.unpack import UnpackError
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.media_types import COMPRESSIONS
from nix2oci.oci.spec import SLIMMED, STORE_PATHS, Descriptor, Digest, store_paths_digest
from nix2oci.oci.validate.check_chunks import (
    TableRead,
    check_table,
    leads_to_table,
    read_table,
)
from nix2oci.oci.validate.check_documents import layer_name
from nix2oci.oci.validate.finding import Finding, first_of_each
from nix2oci.oci.validate.frames import Frames
from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.oci.validate.tar_facts import TarFacts

DAMAGE = frozenset({"blob-digest", "compression", "tar"})
"""What a layer is not whole for."""


class LayerRead(Struct, frozen=True):
    """A blob that was read; its contents and findings belong to no layer of an image yet."""

    contents: LayerContents
    compression: str
    packed: Digest
    plain: Digest | None
    """None where it could not be unpacked."""
    table: TableRead | None = None
    """Of its chunks, where it has one."""
    is_table_checked: bool = False


Known = dict[Digest, LayerRead]
"""Blobs that were read, by the digests that they are stored under."""


def read_layers(
    source: ImageSource,
    layers: Sequence[Descriptor],
    diff_ids: Sequence[Digest] = (),
    workers: int = 0,
    *,
    hash_store_paths: bool = False,
    known: Known | None = None,
) -> tuple[LayerContents, ...]:
    """What is in each layer, base layer first; a layer that has a diff ID is checked against it.

    `workers` are read at once, by default as many as there are cores. Without `hash_store_paths`
    only those store paths are hashed that a descriptor records. What is read is added to `known`;
    of a blob that was there, or is listed again, one finding of each rule is told.
    """
    known = {} if known is None else known
    told = set(known)
    limits: dict[Digest, int] = {}
    hashed: set[Digest] = set()
    chunked: set[Digest] = set()
    for layer in layers:
        if layer.media_type in COMPRESSIONS:
            limits[layer.digest] = max(limits.get(layer.digest, 0), layer.size)
        if hash_store_paths or STORE_PATHS in layer.annotations:
            hashed.add(layer.digest)
        if leads_to_table(layer.annotations):
            chunked.add(layer.digest)

    def is_known(digest: Digest) -> bool:
        read = known.get(digest)
        return (
            read is not None
            and (read.contents.hash_store_paths or digest not in hashed)
            and (read.is_table_checked or digest not in chunked)
        )

    def read(digest: Digest) -> LayerRead | None:
        return _read(
            *(source, digest, limits[digest]),
            hash_store_paths=digest in hashed,
            check_table=digest in chunked,
        )

    missing = [digest for digest in limits if not is_known(digest)]
    with ThreadPoolExecutor(workers or here().cores) as pool:
        found = zip(missing, pool.map(read, missing), strict=True)
        known |= {digest: blob for digest, blob in found if blob is not None}
    wanted = [*diff_ids, *[None] * len(layers)]
    result: list[LayerContents] = []
    for number, (layer, diff_id) in enumerate(zip(layers, wanted, strict=False), 1):
        blob = known.get(layer.digest) if layer.media_type in COMPRESSIONS else None
        result.append(_listed(number, layer, diff_id, blob, again=layer.digest in told))
        told.add(layer.digest)
    return tuple(result)


def read_whole_layers(
    source: ImageSource, layers: Sequence[Descriptor], workers: int = 0
) -> tuple[LayerContents, ...]:
    """The same of layers that are whole; what else is wrong with them is for `validate` to say.

    Raises `LayoutError` for one that cannot be read to its end, or has other bytes than its
    digest says, and `OutputError` where a blob is missing.
    """
    found = read_layers(source, layers, workers=workers)
    for layer, contents in zip(layers, found, strict=True):
        for finding in contents.findings:
            if finding.code in DAMAGE:
                raise unreadable(source, layer, finding.message)
        if not contents.complete and layer.media_type in COMPRESSIONS:
            source.blobs.open(layer.digest).close()
    return found


def _read(
    source: ImageSource,
    digest: Digest,
    limit: int,
    *,
    hash_store_paths: bool,
    check_table: bool,
) -> LayerRead | None:
    """A blob as a layer, of no more bytes than are said of it; None where it is missing."""
    size = source.blobs.size(digest)
    if size is None:
        return None
    facts = TarFacts() if check_table else None
    contents = LayerContents("", hash_store_paths, facts)
    plain, table, frames = None, None, Frames(hashed=check_table)
    with source.blobs.open(digest) as file:
        # `check_size` says where the two sizes differ
        stream = LayerStream(file, max(size, limit), frames.unpacked)
        try:
            contents.read(stream.plain)
            plain = stream.plain.digest()
            table = read_table(frames, facts if contents.complete else None)
        except UnpackError as err:
            contents.findings.append(Finding("compression", "", str(err)))
        packed = stream.packed.digest()
    contents.facts = None
    return LayerRead(contents, stream.compression, packed, plain, table, check_table)


def _listed(
    number: int,
    layer: Descriptor,
    diff_id: Digest | None,
    blob: LayerRead | None,
    *,
    again: bool,
) -> LayerContents:
    """A blob as the layer that a descriptor lists."""
    name = layer_name(number)
    if blob is None:
        return LayerContents(name)
    findings = [
        *_check_type(blob, layer),
        *blob.contents.findings,
        *_check_digests(blob, layer, diff_id),
        *_check_store_paths(blob.contents, layer),
        *(check_table(layer.annotations, blob.table) if blob.plain else ()),
    ]
    if again:
        findings = first_of_each(findings)
    named = [replace(finding, where=name + finding.where) for finding in findings]
    return replace(blob.contents, where=name, findings=named)


def _check_type(blob: LayerRead, layer: Descriptor) -> Iterator[Finding]:
    if blob.compression != COMPRESSIONS[layer.media_type]:
        message = f"'{layer.media_type}' for a layer whose compression is {blob.compression}"
        yield Finding("media-type", "", message)


def _check_digests(blob: LayerRead, layer: Descriptor, diff_id: Digest | None) -> Iterator[Finding]:
    if diff_id and blob.plain and blob.plain != diff_id:
        message = f"its plain tar has digest {blob.plain}, the configuration says {diff_id}"
        yield Finding("diff-id", "", message)
    if blob.packed != layer.digest:
        message = f"blob {layer.digest} has digest {blob.packed}"
        yield Finding("blob-digest", "", message)


def _check_store_paths(contents: LayerContents, layer: Descriptor) -> Iterator[Finding]:
    recorded = layer.annotations.get(STORE_PATHS)
    if recorded is None:
        return
    slimmed = layer.annotations.get(SLIMMED)
    found = {**contents.nar_hashes, **(contents.linked_hashes if slimmed else {})}
    for path in sorted(contents.store_paths.keys() - found.keys()):
        yield Finding("store-paths", f": {path}", "it is not in the order of a NAR")
    if str(store_paths_digest(found)) != (slimmed or recorded):
        message = "its store paths or their NAR hashes are not those that its descriptor records"
        yield Finding("store-paths", "", message)

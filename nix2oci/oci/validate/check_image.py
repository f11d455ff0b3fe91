"""Everything that can be wrong with an image: all findings, not the first.

The hard part is that nothing else looks. Engines and registries accept a wrong diff ID, size,
media type or platform and fail later, or on another machine; so every claim that one part of an
image makes about another is checked here, each layer in one read with bounded memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from msgspec.structs import replace

from nix2oci.errors import LayoutError, Nix2OCIError, OutputError
from nix2oci.oci.artifacts import is_artifact
from nix2oci.oci.documents import (
    read_docker_manifest,
    read_index,
    read_layout_mark,
)
from nix2oci.oci.fields import MAX_DOCUMENT
from nix2oci.oci.layer.stream import Hashed, LayerStream, unreadable
from nix2oci.oci.layer.unpack import UnpackError
from nix2oci.oci.layout.counted import CountedBlobs
from nix2oci.oci.layout.source import MAX_INDEX_DEPTH, ImageSource, Layout, open_layout
from nix2oci.oci.media_types import COMPRESSIONS, INDEX_TYPES
from nix2oci.oci.spec import REF_NAME, STORE_PATHS, Descriptor, Digest, Platform, store_paths_digest
from nix2oci.oci.validate.check_artifact import check_artifact
from nix2oci.oci.validate.check_documents import (
    layer_name,
    parse_document,
    read_document,
    read_documents,
)
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.oci.validate.merged import check_merged

_DAMAGE = frozenset({"blob-digest", "compression", "tar"})
"""What a layer is not whole for."""


def validate(source: ImageSource, workers: int = 0) -> tuple[Finding, ...]:
    """Every finding of an image, the layers' contents included; those are read `workers` at once.

    Raises `OutputError` only where reading itself fails.
    """
    documents = read_documents(source)
    layers = read_layers(source, documents.layers, documents.diff_ids, workers)
    findings = [*documents.findings, *(found for layer in layers for found in layer.findings)]
    if documents.config is not None and all(layer.complete for layer in layers):
        findings += check_merged(layers, documents.config.run)
    return tuple(findings)


def check_written(source: ImageSource) -> tuple[Finding, ...]:
    """The part of `validate` that reads no layer: documents, sizes, and how they fit together."""
    return read_documents(source).findings


Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Made for so many bytes of layers, and told of them as they are read."""


@contextmanager
def _unseen(_: int) -> Iterator[Callable[[int], None]]:
    yield lambda _: None


def validate_layout(
    text: str, workers: int = 0, progress: Progress = _unseen
) -> tuple[Finding, ...]:
    """Every finding of a layout or archive and the images in it, or of the one whose tag is named.

    Raises `OutputError` when it cannot be read and `ConfigError` when there is no such tag.
    """
    findings: list[Finding] = []
    try:
        layout, tag = open_layout(text)
        findings += _check_container(layout)
        entries = layout.entries(tag)
    except LayoutError as err:
        return tuple(findings) or (Finding("layout", text, str(err)),)
    return (*findings, *validate_entries(layout, entries, workers, progress))


def validate_entries(
    layout: Layout,
    entries: Iterable[Descriptor],
    workers: int = 0,
    progress: Progress = _unseen,
) -> tuple[Finding, ...]:
    """Every finding of the images that a layout's entries are, or lead to by an index."""
    findings: list[Finding] = []
    images: dict[tuple[Digest, Platform | None], ImageSource] = {}
    seen: set[Digest] = set()
    for entry in entries:
        for image in _images(layout, entry, findings, seen):
            images.setdefault((image.descriptor.digest, image.descriptor.platform), image)
    with progress(sum(map(_layers_size, images.values()))) as done:
        for image in images.values():
            if is_artifact(image):
                findings += check_artifact(image)
                continue
            named = image.descriptor.annotations.get(REF_NAME) or image.descriptor.platform
            prefix = f"{named or image.descriptor.digest}: " if len(images) > 1 else ""
            counted = CountedBlobs.of(image, done) if _layers_size(image) else image
            findings += [replace(f, where=prefix + f.where) for f in validate(counted, workers)]
    return tuple(findings)


def _layers_size(image: ImageSource) -> int:
    """Bytes of the layers, nothing where that cannot be read: then a finding says so."""
    try:
        return sum(layer.size for layer in image.layers())
    except Nix2OCIError:
        return 0


def _check_container(layout: Layout) -> list[Finding]:
    findings: list[Finding] = []
    for name, form in (("oci-layout", read_layout_mark), ("index.json", read_index)):
        if layout.files.size(name) is None:
            findings.append(Finding("layout", name, "it is missing"))
        else:
            parse_document(_file(layout, name), name, form, findings)
    if layout.files.size("manifest.json") is not None:
        findings += _check_docker_manifest(layout)
    return findings


def _file(layout: Layout, name: str) -> bytes:
    try:
        with layout.files.open(name) as file:
            return file.read(MAX_DOCUMENT)
    except OSError as err:
        raise OutputError(f"cannot read {name} of {layout.where}: {err.strerror}") from err


def _images(
    layout: Layout,
    entry: Descriptor,
    findings: list[Finding],
    seen: set[Digest],
    depth: int = 1,
) -> Iterator[ImageSource]:
    """The image of an entry, or those of the index that it is, unless that was `seen` before."""
    source = ImageSource(layout.where, entry, layout.blobs)
    if entry.media_type not in INDEX_TYPES:
        yield source
        return
    if entry.digest in seen:
        return
    seen.add(entry.digest)
    where = f"index {entry.digest}"
    index = read_document(source, entry, where, read_index, findings)
    if index and depth > MAX_INDEX_DEPTH:
        message = f"indexes are nested more than {MAX_INDEX_DEPTH} deep"
        findings.append(Finding("index", where, message))
    elif index:
        for nested in index.manifests:
            yield from _images(layout, nested, findings, seen, depth + 1)


def _check_docker_manifest(layout: Layout) -> Iterator[Finding]:
    """`manifest.json` of an archive must lead to blobs of its images."""
    where = "manifest.json"
    images = read_docker_manifest(_file(layout, where), where)
    if images is None:
        yield Finding("docker-archive", where, "it is no list of images")
        return
    for name in (name for image in images for name in (image.config, *image.layers)):
        if layout.files.size(name) is None:
            yield Finding("docker-archive", where, f"there is no '{name}' in the archive")


def read_layers(
    source: ImageSource,
    layers: Sequence[Descriptor],
    diff_ids: Sequence[Digest] = (),
    workers: int = 0,
    *,
    hash_store_paths: bool = False,
) -> tuple[LayerContents, ...]:
    """What is in each layer, base layer first; a layer that has a diff ID is checked against it.

    `workers` are read at once, by default as many as there are cores. Without `hash_store_paths`
    only those store paths are hashed that a descriptor records.
    """
    wanted = [*diff_ids, *[None] * len(layers)]
    numbers = range(1, len(layers) + 1)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        read = partial(_read_layer, source, hash_all=hash_store_paths)
        return tuple(pool.map(read, numbers, layers, wanted))


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
            if finding.code in _DAMAGE:
                raise unreadable(source, layer, finding.message)
        if not contents.complete and layer.media_type in COMPRESSIONS:
            source.blobs.open(layer.digest).close()
    return found


def _read_layer(
    source: ImageSource, number: int, layer: Descriptor, diff_id: Digest | None, *, hash_all: bool
) -> LayerContents:
    contents = LayerContents(layer_name(number), hash_all or STORE_PATHS in layer.annotations)
    compression = COMPRESSIONS.get(layer.media_type)
    if compression is None or (size := source.blobs.size(layer.digest)) is None:
        return contents
    with source.blobs.open(layer.digest) as file:
        stream = LayerStream(file, max(size, layer.size))  # `check_size` says where they differ
        if stream.compression != compression:
            message = f"'{layer.media_type}' for a layer whose compression is {stream.compression}"
            contents.findings.append(Finding("media-type", contents.where, message))
        contents.findings += [*_read_plain(contents, stream.plain, diff_id)]
        digest = stream.packed.digest()
    if digest != layer.digest:
        message = f"blob {layer.digest} has digest {digest}"
        contents.findings.append(Finding("blob-digest", contents.where, message))
    contents.findings += _check_store_paths(contents, layer)
    return contents


def _read_plain(
    contents: LayerContents, plain: Hashed, diff_id: Digest | None
) -> Iterator[Finding]:
    try:
        contents.read(plain)
        digest = plain.digest()
    except UnpackError as err:
        yield Finding("compression", contents.where, str(err))
    else:
        if diff_id and digest != diff_id:
            message = f"its plain tar has digest {digest}, the configuration says {diff_id}"
            yield Finding("diff-id", contents.where, message)


def _check_store_paths(contents: LayerContents, layer: Descriptor) -> Iterator[Finding]:
    recorded = layer.annotations.get(STORE_PATHS)
    if recorded is None:
        return
    for path in sorted(contents.store_paths.keys() - contents.nar_hashes.keys()):
        yield Finding("store-paths", f"{contents.where}: {path}", "it is not in the order of a NAR")
    if str(store_paths_digest(contents.nar_hashes)) != recorded:
        message = "its store paths or their NAR hashes are not those that its descriptor records"
        yield Finding("store-paths", contents.where, message)

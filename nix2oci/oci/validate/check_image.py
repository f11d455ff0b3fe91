"""Everything that can be wrong with an image: all findings, not the first.

The hard part is that nothing else looks. Engines and registries accept a wrong diff ID, size,
media type or platform and fail later, or on another machine; so every claim that one part of an
image makes about another is checked here, each layer in one read with bounded memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain, islice

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.errors import LayoutError, Nix2OCIError, OutputError
from nix2oci.oci.artifacts import is_artifact
from nix2oci.oci.documents import (
    read_docker_manifest,
    read_index,
    read_layout_mark,
)
from nix2oci.oci.fields import MAX_DOCUMENT
from nix2oci.oci.layer.whiteouts import topmost
from nix2oci.oci.layout.counted import CountedBlobs
from nix2oci.oci.layout.source import MAX_INDEX_DEPTH, ImageSource, Layout, open_layout
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.spec import REF_NAME, Descriptor, Digest, Platform
from nix2oci.oci.validate.check_artifact import check_artifact
from nix2oci.oci.validate.check_documents import (
    parse_document,
    read_document,
    read_documents,
)
from nix2oci.oci.validate.finding import Finding, first_of_each
from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.oci.validate.merged import MergedLayers, check_merged
from nix2oci.oci.validate.read_layers import Known, read_layers

_MOST_PLATFORMS = 64
"""For which one and the same manifest is listed; images are for one."""


class Seen(Struct):
    """What was read for other images of the same run, so that it is not read again."""

    layers: Known = field(default_factory=dict)
    together: tuple[Digest, ...] = ()
    """The layers that `merged` is of."""
    merged: MergedLayers | None = None

    def merge(self, digests: Sequence[Digest], layers: Sequence[LayerContents]) -> MergedLayers:
        """What layers make together; of the same as last time one finding of each rule is told."""
        top = topmost(digests)
        together = tuple(digests[number] for number in top)
        if self.merged is None or self.together != together:
            self.merged = check_merged([layers[number] for number in top])
            self.together = together
            return self.merged
        return replace(self.merged, findings=first_of_each(self.merged.findings))

    def forget(self, layers: Iterable[Digest]) -> None:
        """Let go of layers that no image to come has."""
        for digest in layers:
            self.layers.pop(digest, None)


def validate(
    source: ImageSource, workers: int = 0, seen: Seen | None = None
) -> tuple[Finding, ...]:
    """Every finding of an image, the layers' contents included; those are read `workers` at once.

    Raises `OutputError` only where reading itself fails.
    """
    seen = Seen() if seen is None else seen
    documents = read_documents(source)
    layers = read_layers(source, documents.layers, documents.diff_ids, workers, known=seen.layers)
    findings = [*documents.findings, *(found for layer in layers for found in layer.findings)]
    if documents.config is not None and all(layer.complete for layer in layers):
        merged = seen.merge([layer.digest for layer in documents.layers], layers)
        findings += [*merged.findings, *merged.check_start(documents.config.run)]
    return tuple(findings)


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
    images = _distinct_images(layout, entries, findings)
    sizes = [_layer_sizes(image) for image in images]
    waiting = Counter(chain.from_iterable(sizes))
    seen = Seen()
    total = sum(dict(chain.from_iterable(each.items() for each in sizes)).values())
    with progress(total) as done:
        for image, layers in zip(images, sizes, strict=True):
            waiting.subtract(layers.keys())
            if is_artifact(image):
                findings += check_artifact(image)
                continue
            named = image.descriptor.annotations.get(REF_NAME) or image.descriptor.platform
            prefix = f"{named or image.descriptor.digest}: " if len(images) > 1 else ""
            counted = CountedBlobs.of(image, done) if layers else image
            found = validate(counted, workers, seen)
            findings += [replace(f, where=prefix + f.where) for f in found]
            seen.forget(layer for layer in layers if not waiting[layer])
    return tuple(findings)


def _distinct_images(
    layout: Layout, entries: Iterable[Descriptor], findings: list[Finding]
) -> tuple[ImageSource, ...]:
    """Each image for each platform that it is listed for, as far as those are few."""
    images: dict[Digest, dict[Platform | None, ImageSource]] = {}
    indexes: set[Digest] = set()
    for entry in entries:
        for image in _images(layout, entry, findings, indexes):
            listed = images.setdefault(image.descriptor.digest, {})
            listed.setdefault(image.descriptor.platform, image)
    for digest, listed in images.items():
        if len(listed) > _MOST_PLATFORMS:
            message = f"it is listed for {len(listed)} platforms, more than {_MOST_PLATFORMS}"
            findings.append(Finding("index", f"manifest {digest}", message))
    found = (islice(listed.values(), _MOST_PLATFORMS) for listed in images.values())
    return tuple(chain.from_iterable(found))


def _layer_sizes(image: ImageSource) -> dict[Digest, int]:
    """Bytes of each layer, nothing where that cannot be read: then a finding says so."""
    try:
        return {layer.digest: layer.size for layer in image.layers()}
    except Nix2OCIError:
        return {}


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

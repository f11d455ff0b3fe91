"""The manifest and configuration of an image: what they must be, and what they say of each other.

No layer is read for it, only its size is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec import Struct

from nix2oci.errors import LayoutError
from nix2oci.oci.documents import Document, ForeignConfig, problems, read_config, read_manifest
from nix2oci.oci.fields import MAX_DOCUMENT, parse_object
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.media_types import COMPRESSIONS, CONFIG_TYPES, MANIFEST_TYPES
from nix2oci.oci.spec import MAX_LAYERS, MOST_LISTED, Descriptor, Digest
from nix2oci.oci.validate.finding import Finding

D = TypeVar("D", bound=Document)

MAX_MANIFEST = 4 << 20
"""Bytes; no registry has to take more (distribution specification, Pushing Manifests)."""


class Documents(Struct, frozen=True):
    """What was read of an image, as far as its form allows, and the findings."""

    findings: tuple[Finding, ...]
    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[Digest, ...] = ()
    config: ForeignConfig | None = None


def read_documents(source: ImageSource) -> Documents:
    """Check manifest and configuration; raises `OutputError` where reading itself fails."""
    findings: list[Finding] = []
    if source.descriptor.media_type not in MANIFEST_TYPES:
        message = f"'{source.descriptor.media_type}' is not the type of an image manifest"
        findings.append(Finding("media-type", "manifest", message))
    manifest = read_document(source, source.descriptor, "manifest", read_manifest, findings)
    if manifest is None or manifest.config is None:
        return Documents(tuple(findings))
    if len(manifest.layers) > MOST_LISTED:
        message = f"{len(manifest.layers)} layers are more than {MOST_LISTED}: they are not read"
        return Documents((*findings, Finding("layer-count", "manifest", message)))
    findings += _check_layers(source, manifest.layers)
    if manifest.config.media_type not in CONFIG_TYPES:
        message = f"'{manifest.config.media_type}' is not the type of an image configuration"
        findings.append(Finding("media-type", "config", message))
    config = read_document(source, manifest.config, "config", read_config, findings)
    if config is None:
        return Documents(tuple(findings), manifest.layers)
    findings += _check_config(source, config, len(manifest.layers))
    return Documents(tuple(findings), manifest.layers, config.diff_ids, config)


def read_document(
    source: ImageSource,
    descriptor: Descriptor,
    name: str,
    form: Callable[[object], D],
    findings: list[Finding],
) -> D | None:
    """A document that is a blob; None, and findings, when it is missing or has a wrong form."""
    digest = descriptor.digest
    size = source.blobs.size(digest)
    if size is None:
        findings.append(Finding("blob-missing", name, f"there is no blob {digest}"))
        return None
    findings += check_size(name, descriptor, size)
    if name == "manifest" and size >= MAX_MANIFEST:
        findings.append(Finding("manifest-size", name, f"it has {size} bytes, 4 MiB or more"))
    if size >= MAX_DOCUMENT:
        findings.append(Finding(_code(name), name, f"it has {size} bytes, too many to be read"))
        return None
    data = source.read(digest)
    if Digest.of(data) != digest:
        findings.append(Finding("blob-digest", name, f"blob {digest} has digest {Digest.of(data)}"))
    return parse_document(data, name, form, findings)


def parse_document(
    data: bytes, name: str, form: Callable[[object], D], findings: list[Finding]
) -> D | None:
    """Bytes as the document that `form` reads; None, and findings, when they are none."""
    code = _code(name)
    try:
        document = form(parse_object(data, name))
    except LayoutError as err:
        findings.append(Finding(code, name, str(err)))
        return None
    wrong = problems(document)
    findings += [
        Finding("null" if one.kind == "null" else code, name, f"{one.place}: {one.message}")
        for one in wrong
    ]
    return None if any(one.kind != "null" for one in wrong) else document


def _code(name: str) -> str:
    """The rule that a document breaks whose form is wrong."""
    if name in ("manifest", "config"):
        return name
    return "index" if "index" in name else "layout"


def check_size(where: str, descriptor: Descriptor, size: int) -> Iterator[Finding]:
    """A finding when a blob has another size than its descriptor says."""
    if size != descriptor.size:
        message = (
            f"blob {descriptor.digest} has {size} bytes, its descriptor says {descriptor.size}"
        )
        yield Finding("blob-size", where, message)


def layer_name(number: int) -> str:
    """How findings name a layer; 1 is the base layer."""
    return f"layer {number}"


def _check_layers(source: ImageSource, layers: tuple[Descriptor, ...]) -> Iterator[Finding]:
    if len(layers) > MAX_LAYERS:
        message = f"{len(layers)} layers are more than the {MAX_LAYERS} that engines can mount"
        yield Finding("layer-count", "manifest", message)
    for number, layer in enumerate(layers, 1):
        where = layer_name(number)
        if layer.media_type not in COMPRESSIONS:
            message = f"'{layer.media_type}' is not the type of a layer"
            yield Finding("media-type", where, message)
        size = source.blobs.size(layer.digest)
        if size is None:
            yield Finding("blob-missing", where, f"there is no blob {layer.digest}")
        else:
            yield from check_size(where, layer, size)


def _check_config(source: ImageSource, config: ForeignConfig, layers: int) -> Iterator[Finding]:
    if len(config.diff_ids) != layers:
        message = f"{len(config.diff_ids)} diff IDs for {layers} layers"
        yield Finding("diff-id-count", "config", message)
    if config.history is not None and len(config.layer_history) != layers:
        count = len(config.layer_history)
        message = f"{count} entries of the history are layers, but there are {layers}"
        yield Finding("history-count", "config", message)
    listed = source.descriptor.platform
    if listed and not config.platform.fits(listed):
        message = f"it is for {config.platform}, the index says {listed}"
        yield Finding("platform", "config", message)

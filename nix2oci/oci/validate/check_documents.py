"""The manifest and configuration of an image: what they must be, and what they say of each other.

No layer is read for it, only its size is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nix2oci.errors import LayoutError
from nix2oci.oci import spec
from nix2oci.oci.layout.source import MAX_DOCUMENT, ImageSource, parse_object
from nix2oci.oci.spec import MOST_LAYERS, Descriptor, Digest, Json
from nix2oci.oci.validate import shape
from nix2oci.oci.validate.finding import Finding

MOST_MANIFEST = 4 << 20
"""Bytes; no registry has to take more (distribution specification, Pushing Manifests)."""

_DOCKER = "application/vnd.docker."
_CONFIGS = frozenset({spec.CONFIG, _DOCKER + "container.image.v1+json"})
_MANIFESTS = frozenset({spec.MANIFEST, _DOCKER + "distribution.manifest.v2+json"})

COMPRESSIONS = {
    spec.LAYER: "none",
    spec.LAYER_GZIP: "gzip",
    spec.LAYER_ZSTD: "zstd",
    _DOCKER + "image.rootfs.diff.tar": "none",
    _DOCKER + "image.rootfs.diff.tar.gzip": "gzip",
}
"""How a layer of a media type is compressed."""


@dataclass(frozen=True, slots=True)
class Documents:
    """What was read of an image, as far as its form allows, and the findings."""

    findings: tuple[Finding, ...]
    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[Digest, ...] = ()
    config: Json | None = None


def read_documents(source: ImageSource) -> Documents:
    """Check manifest and configuration; raises `OutputError` where reading itself fails."""
    findings: list[Finding] = []
    if source.descriptor.media_type not in _MANIFESTS:
        message = f"'{source.descriptor.media_type}' is not the type of an image manifest"
        findings.append(Finding("media-type", "manifest", message))
    manifest = read_document(source, source.descriptor, "manifest", shape.MANIFEST, findings)
    if manifest is None:
        return Documents(tuple(findings))
    described = Descriptor.from_json(manifest["config"])
    layers = tuple(Descriptor.from_json(layer) for layer in manifest["layers"])
    findings += _check_layers(source, layers)
    if described.media_type not in _CONFIGS:
        message = f"'{described.media_type}' is not the type of an image configuration"
        findings.append(Finding("media-type", "config", message))
    config = read_document(source, described, "config", shape.CONFIG, findings)
    if config is None:
        return Documents(tuple(findings), layers)
    findings += _check_config(source, config, len(layers))
    diff_ids = tuple(Digest.parse(text) for text in config["rootfs"]["diff_ids"])
    return Documents(tuple(findings), layers, diff_ids, config)


def read_document(
    source: ImageSource,
    descriptor: Descriptor,
    name: str,
    form: shape.Shape,
    findings: list[Finding],
) -> Json | None:
    """A document that is a blob; None, and findings, when it is missing or has a wrong form."""
    digest = descriptor.digest
    size = source.blobs.size(digest)
    if size is None:
        findings.append(Finding("blob-missing", name, f"there is no blob {digest}"))
        return None
    findings += check_size(name, descriptor, size)
    if name == "manifest" and size >= MOST_MANIFEST:
        findings.append(Finding("manifest-size", name, f"it has {size} bytes, 4 MiB or more"))
    if size >= MAX_DOCUMENT:
        findings.append(Finding(name, name, f"it has {size} bytes, too many to be read"))
        return None
    data = source.read(digest)
    if Digest.of(data) != digest:
        findings.append(Finding("blob-digest", name, f"blob {digest} has digest {Digest.of(data)}"))
    return parse_document(data, name, form, findings)


def parse_document(
    data: bytes, name: str, form: shape.Shape, findings: list[Finding]
) -> Json | None:
    """Bytes as a document of a form; None, and findings, when they are none."""
    code = name if name in ("manifest", "config") else "index" if "index" in name else "layout"
    try:
        document = parse_object(data, name)
    except LayoutError as err:
        findings.append(Finding(code, name, str(err)))
        return None
    problems = shape.problems(document, form)
    findings += [Finding(code, name, f"{where}: {what}") for where, what in problems]
    return None if problems else document


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
    if len(layers) > MOST_LAYERS:
        message = f"{len(layers)} layers are more than the {MOST_LAYERS} that engines can mount"
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


def _check_config(source: ImageSource, config: Json, layers: int) -> Iterator[Finding]:
    diff_ids = len(config["rootfs"]["diff_ids"])
    if diff_ids != layers:
        message = f"{diff_ids} diff IDs for {layers} layers"
        yield Finding("diff-id-count", "config", message)
    history = [one for one in config.get("history", ()) if not one.get("empty_layer")]
    if "history" in config and len(history) != layers:
        message = f"{len(history)} entries of the history are layers, but there are {layers}"
        yield Finding("history-count", "config", message)
    platform = source.descriptor.platform
    if platform:
        listed = platform.to_json()
        found: dict[str, Any] = {key: config.get(key) for key in listed}
        if found != listed:
            message = f"it is for {_platform(config)}, the index says {_platform(listed)}"
            yield Finding("platform", "config", message)


def _platform(document: Json) -> str:
    return "/".join(filter(None, (document.get(key) for key in ("os", "architecture", "variant"))))

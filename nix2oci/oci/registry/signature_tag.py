"""The image under a tag whose layers are signatures of another one, as cosign 2 has it.

Others sign there as well: their layers stay where they are, and ours comes behind them.
"""

from __future__ import annotations

from collections.abc import Callable

from nix2oci.errors import LayoutError
from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.documents import read_manifest
from nix2oci.oci.fields import Fields, Json, parse_object
from nix2oci.oci.media_types import MANIFEST_TYPES
from nix2oci.oci.registry.client import Client
from nix2oci.oci.registry.push_set import TaggedLayer
from nix2oci.oci.registry.referrers import amend, tag_of
from nix2oci.oci.spec import CONFIG, MANIFEST, Descriptor, Digest, canonical_json

_NO_TIME = "0001-01-01T00:00:00Z"
"""What Go writes for a time that nobody set, and so cosign."""


def signature_tag(subject: Digest) -> str:
    """The tag of the signatures of a manifest."""
    return f"{tag_of(subject)}.sig"


def add_signature(
    client: Client, signature: TaggedLayer, upload: Callable[[Descriptor, bytes], object]
) -> None:
    """See to it that a signature is under its tag, whose blob is there; `RequestError`."""

    def with_ours(data: bytes | None, kind: str) -> tuple[Descriptor, bytes] | None:
        manifest = _manifest(data, kind, signature.tag)
        layers = [each.values for each in Fields.of(manifest)["layers"].objects()]
        if any(_is_same(layer, signature.layer) for layer in layers):
            return None
        layers.append(signature.layer.to_json())
        config = canonical_json(_config(layers))
        described = Descriptor.of(CONFIG, config)
        upload(described, config)
        new = canonical_json({**manifest, "config": described.to_json(), "layers": layers})
        return Descriptor.of(MANIFEST, new), new

    amend(client, signature.tag, with_ours, f"the signatures, tag {signature.tag}")


def _manifest(data: bytes | None, kind: str, tag: str) -> Json:
    """What is there, or the beginning of it."""
    if data is None:
        return {"schemaVersion": 2, "mediaType": MANIFEST}
    try:
        manifest = read_manifest(parse_object(data, "signatures"))
        manifest.fields.check("cannot read signatures")
    except LayoutError:
        kind = ""
    if kind not in MANIFEST_TYPES:
        raise RequestError(f"tag {tag} has no signatures: it is left as it is")
    return parse_object(data, "signatures")


def _is_same(layer: Json, ours: Descriptor) -> bool:
    return layer.get("digest") == str(ours.digest) and layer.get("annotations") == ours.annotations


def _config(layers: list[Json]) -> Json:
    """The configuration of an image of these layers, none of which is packed."""
    return {
        "architecture": "",
        "os": "",
        "created": _NO_TIME,
        "config": {},
        "history": [{"created": _NO_TIME} for _ in layers],
        "rootfs": {"type": "layers", "diff_ids": [layer.get("digest") for layer in layers]},
    }

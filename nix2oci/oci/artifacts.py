"""Manifests that are no images: attestations, signatures, lists of contents, charts.

They stand beside images in an index, or refer to one by their `subject`. What is in them is for who
made them: here they are data, which is kept, moved along with the image, and checked against its
digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Fields
from nix2oci.oci.layout.source import ImageSource, Layout
from nix2oci.oci.media_types import COMPRESSIONS, CONFIG_TYPES, MANIFEST_TYPES
from nix2oci.oci.spec import Descriptor, Digest, Platform

_REFERENCE = "vnd.docker.reference."
"""What buildx annotates the attestation of an image with, in the index of both."""
_UNKNOWN = frozenset({None, "", "unknown"})


def is_artifact(source: ImageSource) -> bool:
    """Whether a manifest is something else than an image.

    The index may say so, or the platform that nothing runs on, or the manifest by the type of its
    configuration; where that is an image's, the configuration names no system, and no layer is one.
    What cannot be read is none.
    """
    entry = source.descriptor
    if any(key.startswith(_REFERENCE) for key in entry.annotations):
        return True
    if entry.platform is not None and _is_unknown(entry.platform):
        return True
    if entry.media_type not in MANIFEST_TYPES or source.blobs.size(entry.digest) is None:
        return False
    try:
        return _is_said_to_be_none(source)
    except LayoutError:
        return False


def _is_said_to_be_none(source: ImageSource) -> bool:
    manifest = Fields.of(source.document(source.descriptor.digest))
    config = Descriptor.read(manifest["config"].object())
    if config is None or _has_layer(manifest):
        return False
    return config.media_type not in CONFIG_TYPES or _names_no_system(source, config)


def _is_unknown(platform: Platform) -> bool:
    return platform.os == "unknown" and platform.architecture == "unknown"


def _has_layer(manifest: Fields) -> bool:
    """Whether any of what a manifest lists is a layer, by its type."""
    layers = map(Descriptor.read, manifest["layers"].objects())
    return any(layer is not None and layer.media_type in COMPRESSIONS for layer in layers)


def _names_no_system(source: ImageSource, config: Descriptor) -> bool:
    if source.blobs.size(config.digest) is None:
        return False
    document = source.document(config.digest)
    return document.get("os") in _UNKNOWN and document.get("architecture") in _UNKNOWN


def blobs_of(source: ImageSource) -> tuple[Descriptor, ...]:
    """What the manifest of an artifact refers to; nothing of a type that is not known here.

    Raises as `ImageSource.manifest`.
    """
    if source.descriptor.media_type not in MANIFEST_TYPES:
        return ()
    manifest = source.manifest()
    return (*((manifest.config,) if manifest.config else ()), *manifest.layers)


@runtime_checkable
class ListsReferrers(Protocol):
    """Blobs of a registry, which knows what refers to what."""

    def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """The manifests whose subject is that one."""


def referrers(layout: Layout, subjects: Iterable[Digest]) -> tuple[Descriptor, ...]:
    """What refers to some manifests, and what refers to that; each after what it is about.

    In a layout that is what its index lists, in a registry what that says. Raises `LayoutError`,
    `OutputError`, `RegistryError`.
    """
    found: dict[Digest, Descriptor] = {}
    waiting = list(dict.fromkeys(subjects))
    seen = set(waiting)
    about = referrers_of(layout)
    for subject in waiting:
        for entry in about(subject):
            if entry.digest not in seen:
                seen.add(entry.digest)
                found[entry.digest] = entry
                waiting.append(entry.digest)
    return tuple(found.values())


def referrers_of(layout: Layout) -> Callable[[Digest], Iterable[Descriptor]]:
    """What tells which manifests refer to one; of a layout, each is read once."""
    if isinstance(layout.blobs, ListsReferrers):
        return layout.blobs.referrers
    by_subject: dict[Digest, list[Descriptor]] = {}
    for entry in layout.entries():
        if subject := layout.subject(entry):
            by_subject.setdefault(subject, []).append(entry)
    return lambda subject: by_subject.get(subject, ())

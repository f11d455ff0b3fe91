"""One image for several platforms: an image index, whose manifests say for which each is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError, LayoutError
from nix2oci.oci.artifacts import blobs_of, is_artifact, referrers
from nix2oci.oci.layout.archive import chunks
from nix2oci.oci.layout.names import CONTAINERD_NAME
from nix2oci.oci.layout.source import ImageSource, Layout, open_layout
from nix2oci.oci.layout.writer import Staging
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import PREDEFINED, REF_NAME, Descriptor, Digest, Index, Platform


def index_of(images: Sequence[ImageSource], artifacts: Sequence[ImageSource] = ()) -> Index:
    """The index of images, the same in whatever order they are given, and what else it lists.

    It has the annotations of the specification that all images agree in; artifacts keep their own,
    which say what they are about. Raises `ConfigError` where two images are for one platform, or
    the configuration of one says none.
    """
    by_platform: dict[str, ImageSource] = {}
    for image in images:
        platform = str(_platform(image))
        if platform in by_platform:
            raise ConfigError(
                f"cannot join {by_platform[platform].where} and {image.where}: "
                f"both are for {platform}"
            )
        by_platform[platform] = image
    ordered = [image for _, image in sorted(by_platform.items())]
    entries = (replace(i.descriptor, annotations={}, platform=_platform(i)) for i in ordered)
    others = {other.descriptor.digest: other.descriptor for other in artifacts}
    kept = (others[digest] for digest in sorted(others))
    return Index((*entries, *kept), _agreed([i.manifest().annotations for i in ordered]))


def _platform(image: ImageSource) -> Platform:
    platform = image.platform()
    if not platform.architecture or not platform.os:
        raise ConfigError(f"cannot join {image.where}: it does not say for which platform it is")
    return platform


def _agreed(annotations: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = annotations
    return {
        key: value
        for key, value in first.items()
        if key.startswith(PREDEFINED)
        and key != REF_NAME
        and all(other.get(key) == value for other in others)
    }


class FoundImage(Struct, frozen=True):
    """The images that a name on the command line stands for, and what they are called."""

    images: tuple[ImageSource, ...]
    name: Reference | None
    artifacts: tuple[ImageSource, ...] = ()
    """What else its index lists."""
    referrers: tuple[ImageSource, ...] = ()
    """What refers to one of all these."""


def images_at(text: str, layout: Layout | None = None) -> FoundImage:
    """The images for all platforms of `PATH` or `PATH:TAG`, a layout or an archive.

    Of a `layout` that was opened already, as one in a registry, `text` is only the name. Raises
    `ConfigError` where it has images under several names, `LayoutError`, `OutputError`.
    """
    layout, tag = (layout, None) if layout else open_layout(text)
    entries = layout.images(tag)
    if len({entry.digest for entry in entries}) > 1:
        tags = sorted({e.annotations.get(REF_NAME, "") for e in entries})
        raise ConfigError(
            f"cannot join {text}: it has {len(entries)} images",
            hint=f"name one of its tags after a colon: {', '.join(filter(None, tags))}",
        )
    if not entries:
        raise LayoutError(f"cannot read image at {text}: it holds no image")
    entry = entries[0]
    is_index = entry.media_type in INDEX_TYPES
    found = layout.nested(entry) if is_index else (entry,)
    listed = [ImageSource(text, each, layout.blobs) for each in found]
    artifacts = tuple(each for each in listed if is_index and is_artifact(each))
    images = tuple(each for each in listed if each not in artifacts)
    if not images:
        raise LayoutError(f"cannot read image at {text}: it holds no image")
    about = referrers(layout, [entry.digest, *(each.descriptor.digest for each in listed)])
    full = entry.annotations.get(CONTAINERD_NAME)
    name = Reference.parse(full) if full else None
    return FoundImage(
        images,
        name if name and name.tag else None,
        artifacts,
        tuple(ImageSource(text, each, layout.blobs) for each in about),
    )


def copy_blobs(image: ImageSource, staging: Staging, copied: set[Digest]) -> None:
    """Copy all that an image is made of, but what was `copied` before, and note it there.

    Raises `LayoutError` for a blob that is not what it should be.
    """
    for blob in {blob.digest: blob for blob in _blobs(image)}.values():
        if blob.digest in copied:
            continue
        copied.add(blob.digest)
        digest, size = hashlib.sha256(), 0
        with image.blobs.open(blob.digest) as file, staging.new_blob() as copy:
            for chunk in chunks(file, blob.size + 1):
                digest.update(chunk)
                size += len(chunk)
                copy.write(chunk)
            if (digest.hexdigest(), size) != (blob.digest.hex, blob.size):
                raise LayoutError(
                    f"cannot read {image.where}: blob {blob.digest} has other bytes",
                    hint=f"nix2oci validate {image.where}",
                )
            copy.commit(blob.digest, size)


def _blobs(image: ImageSource) -> Iterator[Descriptor]:
    yield from blobs_of(image)
    yield image.descriptor

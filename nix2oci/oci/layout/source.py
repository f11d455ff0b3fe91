"""Reading images: of a layout directory, an archive, or what `docker save` wrote.

The hard part is to say which image is meant, and to read what others wrote as leniently as their
tools do: what is wrong with an image is for `validate` to say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError, LayoutError, OutputError
from nix2oci.host.differences import here
from nix2oci.oci.documents import (
    Document,
    ForeignConfig,
    ForeignManifest,
    read_config,
    read_index,
    read_manifest,
)
from nix2oci.oci.fields import MAX_DOCUMENT, Fields, Json, parse_object
from nix2oci.oci.layout.archive import Files, Readable
from nix2oci.oci.layout.docker_archive import read_docker_archive
from nix2oci.oci.layout.image_files import Directory, FileBlobs, open_archive
from nix2oci.oci.layout.names import CONTAINERD_NAME
from nix2oci.oci.media_types import INDEX_TYPES, MANIFEST_TYPES
from nix2oci.oci.reference import SCHEME, Reference, in_registry
from nix2oci.oci.spec import MOST_LISTED, REF_NAME, Descriptor, Digest, Platform

_NAMES = (REF_NAME, CONTAINERD_NAME)

MAX_INDEX_DEPTH = 8
"""Indexes within each other: tools write one, and one around it."""

FILE_PREFIXES = ("oci:", "oci-archive:", "docker-archive:")
"""What containers tools put before the name of a layout or archive."""


class Blobs(Protocol):
    """Where the blobs of an image are."""

    def size(self, digest: Digest) -> int | None:
        """Bytes of the blob as it is stored; None when it is missing."""

    def open(self, digest: Digest) -> Readable:
        """The blob from its start; `OutputError` when it is missing or cannot be read."""


class ImageSource(Struct, frozen=True):
    """One image, to be read."""

    where: str
    """How the user named it."""
    descriptor: Descriptor
    """Of the image manifest."""
    blobs: Blobs

    def document(self, digest: Digest) -> Json:
        """A blob as a JSON object; `LayoutError` when it is none or another, `OutputError`."""
        data = self.read(digest)
        if Digest.of(data) != digest:
            raise LayoutError(
                f"cannot read {self.where}: blob {digest} has other bytes", hint=self._hint
            )
        return parse_object(data, f"{self.where}: {digest}")

    def read(self, digest: Digest) -> bytes:
        """The bytes of a manifest or configuration, or what is stored under its name."""
        with self.blobs.open(digest) as file:
            return file.read(MAX_DOCUMENT)

    def manifest(self) -> ForeignManifest:
        """The manifest; raises as `document`, and where part of it cannot be read."""
        found = read_manifest(self.document(self.descriptor.digest))
        self._check(found, self.descriptor.digest)
        return found

    def config_descriptor(self) -> Descriptor:
        found = self.manifest().config
        if found is None:
            raise LayoutError(f"cannot read image at {self.where}: it names no configuration")
        return found

    def config(self) -> ForeignConfig:
        """The configuration; raises as `document`, and where part of it cannot be read."""
        digest = self.config_descriptor().digest
        found = read_config(self.document(digest))
        self._check(found, digest)
        return found

    def platform(self) -> Platform:
        """What the index says, else the configuration; texts are empty where it says none."""
        return self.descriptor.platform or self.config().platform

    def layers(self) -> tuple[Descriptor, ...]:
        """Base layer first; raises as `manifest`, and where they are too many to be read."""
        found = self.manifest().layers
        if len(found) > MOST_LISTED:
            raise LayoutError(
                f"cannot read {self.where}: its {len(found)} layers are more than {MOST_LISTED}",
                hint=self._hint,
            )
        return found

    def _check(self, document: Document, digest: Digest) -> None:
        document.fields.check(f"cannot read {self.where}: {digest}", self._hint)

    @property
    def _hint(self) -> str:
        return f"see all that is wrong with it: nix2oci validate {self.where}"


class Layout(Struct, frozen=True):
    """An image layout, or an archive, that was opened: several images by tag and platform."""

    where: str
    files: Files
    blobs: Blobs
    index: Json

    def entries(self, tag: str | None = None) -> tuple[Descriptor, ...]:
        """What the index lists, under one tag or all; raises `LayoutError`, `ConfigError`."""
        index = read_index(self.index)
        if not isinstance(self.index.get("manifests"), list):
            raise LayoutError(f"cannot read image at {self.where}: index.json lists no manifests")
        index.fields.check(f"cannot read image at {self.where}: index.json")
        found = index.manifests
        if tag is None:
            return found
        tagged = tuple(entry for entry in found if entry.annotations.get(REF_NAME) == tag)
        if not tagged:
            raise ConfigError(
                f"cannot read image at {self.where}: it has no tag '{tag}'", hint=_tags_hint(found)
            )
        return tagged

    def images(self, tag: str | None = None) -> tuple[Descriptor, ...]:
        """The same without what refers to another of them: that comes along with it."""
        found = self.entries(tag)
        several = len({entry.digest for entry in found}) > 1
        return tuple(e for e in found if self.subject(e) is None) or found if several else found

    def subject(self, entry: Descriptor) -> Digest | None:
        """What a manifest or index is about; None where that is nothing, or cannot be read."""
        if entry.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            return None
        if self.blobs.size(entry.digest) is None:
            return None
        try:
            document = ImageSource(self.where, entry, self.blobs).document(entry.digest)
        except LayoutError:
            return None
        found = Descriptor.read(Fields.of(document)["subject"].object())
        return found.digest if found else None

    def tags(self) -> tuple[str, ...]:
        """Every tag that the index has, in order."""
        names = (entry.annotations.get(REF_NAME) for entry in self.entries())
        return tuple(sorted({name for name in names if name}))

    def image(self, tag: str | None = None, platform: Platform | None = None) -> ImageSource:
        """The image of a tag and, where there are several, a platform, by default this machine's.

        One of an index has the names of that. Raises `ConfigError` when it is none or several,
        `LayoutError` for a broken layout.
        """
        wanted = platform or host_platform()
        named = entry = self._only(self.images(tag), wanted)
        depth = 0
        while entry.media_type in INDEX_TYPES:
            depth += 1
            entry = self._only(self.nested(entry, depth), wanted, first=True)
        names = {key: named.annotations[key] for key in _NAMES if key in named.annotations}
        entry = replace(entry, annotations={**entry.annotations, **names})
        return ImageSource(self.where, entry, self.blobs)

    def nested(self, entry: Descriptor, depth: int = 1) -> tuple[Descriptor, ...]:
        """What an index lists that is itself a blob, so deep in others.

        Raises `LayoutError`, also when that is deeper than `MAX_INDEX_DEPTH`, and `OutputError`.
        """
        if depth > MAX_INDEX_DEPTH:
            raise LayoutError(
                f"cannot read image at {self.where}: "
                f"its indexes are nested more than {MAX_INDEX_DEPTH} deep"
            )
        document = ImageSource(self.where, entry, self.blobs).document(entry.digest)
        index = read_index(document)
        index.fields.check(f"cannot read {self.where}: {entry.digest}")
        return index.manifests

    def _only(
        self, entries: Iterable[Descriptor], wanted: Platform, *, first: bool = False
    ) -> Descriptor:
        """The entry for a platform; of several the `first`, where the order means something.

        That is so in an image index (image-index.md): the later ones are for who knows more.
        """
        distinct = tuple({entry.digest: entry for entry in entries}.values())
        if not distinct:
            raise LayoutError(f"cannot read image at {self.where}: it holds no image")
        platforms = self._platforms(distinct)
        fitting = [e for e, p in platforms if len(distinct) == 1 or p == wanted]
        fitting = fitting or [e for e, p in platforms if p and p.fits(wanted)]
        if len(fitting) == 1 or (fitting and first):
            return fitting[0]
        names = sorted({str(platform) for _, platform in platforms if platform})
        named = f"it has {', '.join(names)}" if names else "none of them says what it is for"
        hint = _tags_hint(distinct) or named
        raise ConfigError(
            f"cannot read image at {self.where}: {len(fitting)} of its {len(distinct)} images "
            f"are for {wanted}",
            hint=hint,
        )

    def _platforms(
        self, entries: Sequence[Descriptor]
    ) -> tuple[tuple[Descriptor, Platform | None], ...]:
        """Entries and their platforms; where no entry has one, what the configurations say."""
        if len(entries) == 1 or any(entry.platform for entry in entries):
            return tuple((entry, entry.platform) for entry in entries)
        return tuple((entry, self._configured(entry)) for entry in entries)

    def _configured(self, entry: Descriptor) -> Platform | None:
        if entry.media_type not in MANIFEST_TYPES:
            return None
        try:
            found = ImageSource(self.where, entry, self.blobs).platform()
        except (LayoutError, OutputError):
            return None
        return found if found.os and found.architecture else None


def open_image(text: str, platform: Platform | None = None) -> ImageSource:
    """The image that `PATH`, `PATH:TAG`, `oci:PATH:TAG` or `oci-archive:PATH:TAG` names.

    Raises `OutputError` when it cannot be read, `LayoutError` when it is no image, and
    `ConfigError` when there is no such tag, or no telling which of several is meant.
    """
    layout, tag = open_layout(text)
    return layout.image(tag, platform)


def names_file(text: str) -> bool:
    """Whether a name is one of a layout or archive here, as in `open_image`."""
    return text.startswith(FILE_PREFIXES) or os.path.lexists(_path_and_tag(text)[0])


def reference_in_registry(text: str) -> Reference | None:
    """The name of an image in a registry; None for what is, or should be, a file here.

    A file comes first; what is no file is looked for where the name says, if it names a registry.
    """
    is_file = not text.startswith(SCHEME) and names_file(text)
    return None if is_file else in_registry(text)


def open_layout(text: str) -> tuple[Layout, str | None]:
    """The layout or archive that a name means, as in `open_image`, and the tag in it, if any."""
    path, tag = _path_and_tag(text)
    try:
        if os.path.isdir(path):
            return _open_directory(text, path), tag
        return _open_archive(text, path), tag
    except OSError as err:
        hint = _built_first(text) if "#" in text else None
        raise OutputError(f"cannot read image at {text}: {err.strerror}", hint=hint) from err


def _built_first(text: str) -> str:
    """What to do with what may be an installable."""
    return f"if it is to be built first: nix2oci plan {text} shows what would be in its image"


def _path_and_tag(text: str) -> tuple[str, str | None]:
    """The longest beginning that exists, up to a colon, is the path."""
    for prefix in FILE_PREFIXES:
        text = text.removeprefix(prefix) if text.startswith(prefix) else text
    path, tag = text, ""
    while not os.path.lexists(path) and ":" in path:
        path, _, last = path.rpartition(":")
        tag = f"{last}:{tag}" if tag else last
    return (path, tag or None) if os.path.lexists(path) else (text, None)


def _open_directory(text: str, path: str) -> Layout:
    files = Directory(path)
    if files.size("oci-layout") is None and files.size("index.json") is None:
        raise LayoutError(
            f"cannot read image at {text}: the directory is not an image layout",
            hint=_built_first(text),
        )
    return Layout(text, files, FileBlobs(text, files), _index(text, files))


def _open_archive(text: str, path: str) -> Layout:
    files = open_archive(text, path)
    if "index.json" in files.members:
        return Layout(text, files, FileBlobs(text, files), _index(text, files))
    if "manifest.json" in files.members:
        found = read_docker_archive(files, text)
        return Layout(text, files, FileBlobs(text, files, found.names, found.made), found.index)
    raise LayoutError(f"cannot read image at {text}: the tar holds no image")


def _index(text: str, files: Files) -> Json:
    with files.open("index.json") as file:
        return parse_object(file.read(MAX_DOCUMENT), f"{text}: index.json")


def _tags_hint(entries: Iterable[Descriptor]) -> str | None:
    tags = sorted({e.annotations[REF_NAME] for e in entries if REF_NAME in e.annotations})
    return f"name one of its tags after a colon: {', '.join(tags)}" if tags else None


def host_platform() -> Platform:
    """What an image for this machine says."""
    return Platform.of_system(here().linux)

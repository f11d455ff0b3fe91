"""Reading images: of a layout directory, an archive, or what `docker save` wrote.

The hard part is to say which image is meant, and to read what others wrote as leniently as their
tools do: what is wrong with an image is for `validate` to say.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import BinaryIO, Protocol

from msgspec import Struct, field

from nix2oci.errors import ConfigError, LayoutError, OutputError
from nix2oci.oci.documents import (
    Document,
    ForeignConfig,
    ForeignManifest,
    read_config,
    read_index,
    read_manifest,
)
from nix2oci.oci.fields import MAX_DOCUMENT, Fields, Json, parse_object
from nix2oci.oci.layout.archive import Files, Readable, Section, blob_name, scan_archive
from nix2oci.oci.layout.docker_archive import read_docker_archive
from nix2oci.oci.media_types import INDEX_TYPES, MANIFEST_TYPES
from nix2oci.oci.reference import SCHEME, Reference, in_registry
from nix2oci.oci.spec import REF_NAME, Descriptor, Digest, Platform
from nix2oci.regular_files import open_file

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
        """Base layer first."""
        return self.manifest().layers

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

        Raises `ConfigError` when that is none or several, `LayoutError` for a broken layout.
        """
        wanted = platform or host_platform()
        entry = self._only(self.images(tag), wanted)
        depth = 0
        while entry.media_type in INDEX_TYPES:
            depth += 1
            entry = self._only(self.nested(entry, depth), wanted, first=True)
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
        fitting = [e for e in distinct if len(distinct) == 1 or e.platform == wanted]
        fitting = fitting or [e for e in distinct if e.platform and e.platform.fits(wanted)]
        if len(fitting) == 1 or (fitting and first):
            return fitting[0]
        hint = _tags_hint(distinct)
        if hint is None:
            platforms = sorted({str(e.platform) for e in distinct if e.platform})
            hint = f"it has {', '.join(platforms)}" if platforms else None
        raise ConfigError(
            f"cannot read image at {self.where}: {len(fitting)} of its {len(distinct)} images "
            f"are for {wanted}",
            hint=hint,
        )


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
    files = _Directory(path)
    if files.size("oci-layout") is None and files.size("index.json") is None:
        raise LayoutError(
            f"cannot read image at {text}: the directory is not an image layout",
            hint=_built_first(text),
        )
    return Layout(text, files, _FileBlobs(text, files), _index(text, files))


def _open_archive(text: str, path: str) -> Layout:
    files = _Archive(path, scan_archive(path))
    if "index.json" in files.members:
        return Layout(text, files, _FileBlobs(text, files), _index(text, files))
    if "manifest.json" in files.members:
        found = read_docker_archive(files, text)
        return Layout(text, files, _FileBlobs(text, files, found.names, found.made), found.index)
    raise LayoutError(f"cannot read image at {text}: the tar holds no image")


def _index(text: str, files: Files) -> Json:
    with files.open("index.json") as file:
        return parse_object(file.read(MAX_DOCUMENT), f"{text}: index.json")


def _tags_hint(entries: Iterable[Descriptor]) -> str | None:
    tags = sorted({e.annotations[REF_NAME] for e in entries if REF_NAME in e.annotations})
    return f"name one of its tags after a colon: {', '.join(tags)}" if tags else None


def host_platform() -> Platform:
    """What an image for this machine says."""
    machine = os.uname().machine
    return Platform.of_system(f"{'aarch64' if machine == 'arm64' else machine}-linux")  # macOS


class _Directory(Struct, frozen=True):
    root: str

    def size(self, name: str) -> int | None:
        try:
            return os.stat(os.path.join(self.root, name)).st_size
        except OSError:  # whoever opens it is told why
            return None

    def open(self, name: str) -> BinaryIO:
        return open_file(os.path.join(self.root, name))


class _Archive(Struct, frozen=True):
    path: str
    members: Mapping[str, tuple[int, int]]

    def size(self, name: str) -> int | None:
        return self.members[name][1] if name in self.members else None

    def open(self, name: str) -> Section:
        if name not in self.members:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return Section(open_file(self.path), *self.members[name])


class _FileBlobs(Struct, frozen=True):
    """Blobs as files; `names` has those that are not where image-layout.md puts them."""

    where: str
    files: Files
    names: Mapping[Digest, str] = field(default_factory=dict)
    made: Mapping[Digest, bytes] = field(default_factory=dict)
    """Documents that the files lack."""

    def size(self, digest: Digest) -> int | None:
        if digest in self.made:
            return len(self.made[digest])
        return self.files.size(self.names.get(digest) or blob_name(digest))

    def open(self, digest: Digest) -> Readable:
        if digest in self.made:
            return BytesIO(self.made[digest])
        try:
            return self.files.open(self.names.get(digest) or blob_name(digest))
        except OSError as err:
            raise OutputError(f"cannot read blob {digest} of {self.where}: {err.strerror}") from err

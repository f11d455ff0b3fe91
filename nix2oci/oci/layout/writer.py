"""Writing an image: into an image layout directory, an archive, or a stream.

The hard part is that a write may end at any moment. Everything is staged in a directory of its
own beside the final place (same file system, so that moving is renaming), blobs come before what
refers to them, and the one rename of `index.json`, or of the archive, makes the new image appear.
Before that rename there is the old image, after it the new one.

What a killed run leaves behind is its staging directory. It is locked while its writer lives, so
the next run knows a left one from one in use and removes it, with the blobs that it had moved.

Nothing is flushed to the disk blob by blob: after a power cut a layout may have blobs that are
shorter than they should be, which `validate` finds and the next build puts right.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial, reduce
from itertools import chain
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.model.annotation_keys import CONTENTS
from nix2oci.oci.artifact import Artifact
from nix2oci.oci.fields import Fields
from nix2oci.oci.layout.archive import Sink, consumed, write_archive
from nix2oci.oci.layout.names import LAYOUT_MARK, Entry, archive_documents
from nix2oci.oci.layout.orphans import without_orphans
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.layout.staging import DOOMED, StagedBlob, Workspace, reported, staged
from nix2oci.oci.layout.target_checks import (
    check_archive_target,
    check_layout_target,
    locked,
    reachable,
    read_index,
    sweep,
    tags_of,
)
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import (
    BLOBS,
    CONFIG,
    INDEX,
    MANIFEST,
    REF_NAME,
    Descriptor,
    Digest,
    ImageConfig,
    Index,
    Manifest,
    canonical_json,
)

OutputFormat = Literal["oci", "archive"]
"""What an image is written as: an image layout directory, or one tar."""

_IGNORED = ".gitignore"

_FORMS: Mapping[OutputFormat, str] = {"oci": "image layout", "archive": "image archive"}


class Image(Struct, frozen=True):
    """A complete image but for its layers' bytes, which are blobs elsewhere."""

    config: bytes
    manifest: bytes
    descriptor: Descriptor
    layers: tuple[Descriptor, ...]
    """Base layer first."""
    contents: bytes | None = None
    """The document of what is in it, which its manifest names, where there is one."""

    @classmethod
    def of(
        cls,
        config: ImageConfig,
        layers: tuple[Descriptor, ...],
        annotations: Mapping[str, str] | None = None,
        contents: bytes | None = None,
    ) -> Image:
        """The documents of an image; `layers` belong to `config.diff_ids`, one to one."""
        notes = {key: value for key, value in (annotations or {}).items() if key != CONTENTS}
        if contents is not None:
            notes[CONTENTS] = str(Digest.of(contents))
        config_bytes = canonical_json(config.to_json())
        config_blob = Descriptor.of(CONFIG, config_bytes)
        manifest = Manifest(config_blob, layers, notes)
        manifest_bytes = canonical_json(manifest.to_json())
        described = Descriptor.of(MANIFEST, manifest_bytes, platform=config.platform)
        return cls(config_bytes, manifest_bytes, described, layers, contents)

    @property
    def id(self) -> Digest:
        """The image ID: the digest of the configuration."""
        return Digest.of(self.config)


class Staging(Struct, frozen=True):
    """Images being put together, and how they will appear."""

    _work: Workspace
    _publish: Publish

    def new_blob(self, *, summed: bool = False) -> StagedBlob:
        """A new blob to write to and commit, in a `with` block; from several threads at once."""
        return self._work.new_blob(summed=summed)

    def adopt(self, path: str, digest: Digest, size: int, noted: int | None = None) -> bool:
        """Take a file that is at hand for the layer of this digest, where its bytes are right."""
        return self._work.adopt(path, digest, size, noted)

    def assume_remote(self, digest: Digest, size: int) -> None:
        """Do without the blob of a layer, since the registry that the image goes to has it.

        What appears then is whole only for who pushes it there: never where a user looks.
        """
        self._work.assume_remote(digest, size)

    def blob_path(self, digest: Digest) -> str:
        """The file of a blob that is committed; nobody may change it."""
        return self._work.blob_path(digest)

    def source(self, image: Image) -> ImageSource:
        """The image as it will be, to be checked before it appears."""
        self._add(image)
        return ImageSource(self._work.what, image.descriptor, self._work)

    def finish(self, images: Sequence[tuple[Image, Sequence[Reference]]]) -> None:
        """Make images appear under their names, all at once. Every layer is committed by now.

        In a layout the image of the same tag is replaced, all others stay. A name without a tag
        is `latest`. Raises `OutputError`; the old images are then still there.
        """
        for image, _ in images:
            self._add(image)
            missing = [layer for layer in image.layers if self._work.size(layer.digest) is None]
            if missing:
                raise AssertionError(f"layers were not committed: {missing}")
        self._appear([_entry(image, names) for image, names in images])

    def finish_indexes(
        self,
        indexes: Sequence[tuple[Index, Sequence[Reference]]],
        referrers: Sequence[Descriptor] = (),
    ) -> None:
        """The same for images of several platforms, all blobs of which are committed by now.

        `referrers` are manifests about them, which have no name.
        """
        for index, _ in indexes:
            self._work.add(canonical_json(index.to_json()))
        named = [Entry.of_index(index, names) for index, names in indexes]
        self._appear([*named, *(Entry((each,)) for each in referrers)])

    def finish_entries(self, entries: Sequence[Entry]) -> None:
        """The same for what others made, of which every blob and document is committed by now."""
        self._appear(entries)

    def finish_referrers(self, artifacts: Sequence[Artifact]) -> None:
        """Make manifests about images that are there appear, which have no name; `OutputError`."""
        for artifact in artifacts:
            for data in artifact.blobs.values():
                self._work.add(data)
        self._appear([Entry((_listed(each),)) for each in artifacts])

    def part(self) -> Staging:
        """A staging for some of the images: finishing it makes none appear."""
        return Staging(self._work, lambda *_: None)

    def _appear(self, entries: Sequence[Entry]) -> None:
        with self._work.reported():
            self._publish(self._work, entries)

    def _add(self, image: Image) -> None:
        self._work.add(image.config)
        self._work.add(image.manifest)


def _listed(artifact: Artifact) -> Descriptor:
    """As a layout lists an artifact: what reads layouts tells it from images by its type."""
    return replace(artifact.descriptor, artifact_type=artifact.blob.media_type)


def _entry(image: Image, names: Sequence[Reference]) -> Entry:
    layers = (layer.digest for layer in image.layers)
    return Entry.of_image(image.descriptor, names, image.id, layers)


Publish = Callable[[Workspace, Sequence[Entry]], None]


@contextmanager
def writing(path: str, form: OutputFormat = "oci", *, in_git: bool = False) -> Iterator[Staging]:
    """Stage an image that `Staging.finish` puts at `path`, missing directories included.

    `in_git` says that this is in a git work tree: a layout there says that git is to ignore it.
    Symbolic links are followed. Raises `ConfigError` when what is there is neither an image of
    this form nor empty, `LayoutError` when it is a broken image layout, and `OutputError`.
    Whatever ends the block, nothing but complete images is left.
    """
    target, what = os.path.realpath(path), f"{_FORMS[form]} at {path}"
    with reported(what):
        if form == "oci":
            check_layout_target(target, path)
        else:
            check_archive_target(target, path)
    home = target if form == "oci" else os.path.dirname(target)
    publish = _into_layout(target, path, in_git=in_git) if form == "oci" else _into_file(target)
    with _made(home, what), staged(home, what) as work:
        yield Staging(work, publish)


@contextmanager
def streaming(out: Sink, scratch: str | None = None) -> Iterator[Staging]:
    """Stage an image that `Staging.finish` writes to a stream as an archive.

    `scratch` is the directory for blobs until then, by default that for temporary files.
    Raises `BrokenPipeError` as it is when nobody reads the stream any more.
    """
    home = os.path.realpath(scratch or tempfile.gettempdir())
    with staged(home, "image archive") as work:
        yield Staging(work, partial(_write, out))


def reference_to(path: str, form: OutputFormat, name: Reference) -> str:
    """What containers tools take for an image that was written, such as `oci:app.oci:1.0`."""
    return f"{'oci' if form == 'oci' else 'oci-archive'}:{path}:{name.tag or 'latest'}"


def _into_layout(target: str, shown: str, *, in_git: bool) -> Publish:
    def publish(work: Workspace, images: Sequence[Entry]) -> None:
        with locked(target):
            old = read_index(target, shown)
            new = reduce(_with_entry, chain.from_iterable(each.descriptors for each in images), old)
            fresh = [hex_ for hex_ in work.blobs() if not _holds(target, hex_)]
            before = reachable(target, old) or frozenset[str]()
            doomed = {*fresh, *before}
            work.write(DOOMED, "\n".join(doomed).encode())
            work.write("index.json", canonical_json(new.values))
            work.write("oci-layout", LAYOUT_MARK)
            if in_git and not os.path.lexists(os.path.join(target, _IGNORED)):
                work.write(_IGNORED, b"*\n")
            was_layout = os.path.lexists(os.path.join(target, "oci-layout"))
            try:
                _move(work, target)
                _drop_orphans(work, target, before)
            finally:
                sweep(target, doomed)
                if not was_layout:
                    _unmake(target)

    return publish


def _drop_orphans(work: Workspace, target: str, before: frozenset[str]) -> None:
    """List no more what refers to an image that was replaced: what it is about is gone."""
    index = read_index(target, target)
    kept = without_orphans(target, index, before)
    if len(kept) < len(index["manifests"].objects()):
        work.write("index.json", canonical_json({**index.values, "manifests": kept}))
        os.replace(os.path.join(work.directory, "index.json"), os.path.join(target, "index.json"))


def _unmake(target: str) -> None:
    """Take back what made a directory a layout, unless there is an image in it now."""
    if os.path.lexists(os.path.join(target, "index.json")):
        return
    for name in ("oci-layout", _IGNORED):
        with suppress(OSError):
            os.unlink(os.path.join(target, name))
    for directory in (BLOBS, "blobs"):
        with suppress(OSError):
            os.rmdir(os.path.join(target, directory))


def _holds(layout: str, hex_: str) -> bool:
    return os.path.lexists(os.path.join(layout, BLOBS, hex_))


def _move(work: Workspace, target: str) -> None:
    """Blobs before the index that needs them; `oci-layout` first, it makes this a layout.

    A blob that is there already is replaced by its equal: that repairs a damaged one.
    """
    os.replace(os.path.join(work.directory, "oci-layout"), os.path.join(target, "oci-layout"))
    with suppress(FileNotFoundError):
        os.replace(os.path.join(work.directory, _IGNORED), os.path.join(target, _IGNORED))
    os.makedirs(os.path.join(target, BLOBS), exist_ok=True)
    for hex_ in work.blobs():
        here = os.path.join(BLOBS, hex_)
        os.replace(os.path.join(work.directory, here), os.path.join(target, here))
    os.replace(os.path.join(work.directory, "index.json"), os.path.join(target, "index.json"))


def _with_entry(index: Fields, entry: Descriptor) -> Fields:
    """The index with the image under its tag, in the place of the one that had it.

    One without a tag takes the place of itself.
    """
    tag, digest = entry.annotations.get(REF_NAME), str(entry.digest)
    listed = [one.values for one in index["manifests"].objects()]
    named = zip(listed, tags_of(index), strict=True)
    same = [known == tag and (tag is not None or one["digest"] == digest) for one, known in named]
    position = same.index(True) if True in same else len(same)
    others = [one for one, is_same in zip(listed, same, strict=True) if not is_same]
    manifests = [*others[:position], entry.to_json(), *others[position:]]
    head = {"schemaVersion": 2, "mediaType": INDEX}
    return Fields({**head, **index.values, "manifests": manifests})


def _into_file(target: str) -> Publish:
    def publish(work: Workspace, images: Sequence[Entry]) -> None:
        path = os.path.join(work.directory, "archive")
        with open(path, "xb") as out:
            _write(out, work, images)
        os.replace(path, target)

    return publish


def _write(out: Sink, work: Workspace, images: Sequence[Entry]) -> None:
    """Write the archive; the staged blobs are used up."""
    paths = {hex_: os.path.join(work.directory, BLOBS, hex_) for hex_ in work.blobs()}
    blobs = ((hex_, os.path.getsize(path), consumed(path)) for hex_, path in paths.items())
    write_archive(out, archive_documents(images), blobs)


@contextmanager
def _made(directory: str, what: str) -> Iterator[None]:
    """Make a directory with its parents; when the block fails, those that are still empty go."""
    missing = []
    while not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    try:
        with reported(what):
            for path in reversed(missing):
                os.makedirs(path, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for path in missing:
                os.rmdir(path)
        raise

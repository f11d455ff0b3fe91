"""Layers that a repository has already, by what earlier images say of theirs.

A store layer's descriptor says which store paths are in it and in which form, and two layers that
agree in both have the same bytes: one that is there need not be made. The hard part is trust. What
a manifest says is believed by whoever chose it; its diff IDs are those of its configuration, and
that a blob is there is what the registry says of the blob itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from msgspec import Struct

from nix2oci.errors import LayoutError, OutputError, RegistryError
from nix2oci.host.http.request_error import as_registry_error
from nix2oci.oci.layer.blob import Layer, layer_form, slim_rules
from nix2oci.oci.layer.compression import TABLE_ANNOTATIONS, Compression, StoreLayer
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs, ImageSource, Layout
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.parallel import run_all
from nix2oci.oci.registry.pull import open_remote
from nix2oci.oci.registry.push import Known
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.registry.upload import Uploader
from nix2oci.oci.spec import LAYER_FORM, SLIMMED, STORE_PATHS, Descriptor, Digest, contents_key


class ExistingLayers:
    """Layers of earlier images, for an image that goes to one repository."""

    def __init__(
        self,
        to: Reference,
        earlier: Sequence[Reference],
        clients: Clients,
        compressions: Collection[Compression],
        mount_from: Sequence[str] = (),
    ) -> None:
        """Ask whether we may push to `to`, and for the earlier images, of the same registry.

        The images are asked for while the caller goes on, until somebody wants to know of them.
        `mount_from` are repositories there that may have blobs by the time of the push.
        What is wrong with one of these is a note. Raises `RegistryError` and `AuthenticationError`
        where nothing can be pushed.
        """
        place = Repository.of(to)
        places = dict.fromkeys(Repository.of(reference) for reference in earlier)
        others = [each.repository for each in places if each != place]
        self._purpose = f"push to {place}"
        self._client = clients.of(place, push=True, others=(*others, *mount_from))
        self._uploader = Uploader(self._client, _NoBlobs(), others)
        with as_registry_error(self._purpose):
            self._client.meet(by=self._uploader.check_allowed)
        self._background = clients.background
        self._notes: list[str] = []
        self._offered: dict[StoreLayer, Layer] = {}
        self._named: dict[Reference, Digest] = {}
        self._listed: set[Digest] = set()
        """Layers of earlier images of the repository itself."""
        for reference in earlier:
            self._background.run(partial(self._offer, reference, clients, compressions))
        self.taken: dict[Digest, int] = {}
        """The blobs that are there and were not made, with their sizes."""
        self._lost: set[Digest] = set()

    @property
    def offered(self) -> Mapping[StoreLayer, Layer]:
        """Layers of the earlier images, by what they hold and how they are stored.

        By then no thread asks for any.
        """
        self._wait()
        return self._offered

    def _wait(self) -> None:
        self._background.wait()
        notes, self._notes = self._notes, []
        for line in notes:
            self._client.access.listener.note(line)

    def _offer(
        self, reference: Reference, clients: Clients, compressions: Collection[Compression]
    ) -> None:
        """Take note of the layers of an earlier image, or say why there are none to be had."""
        note = self._notes.append  # Nix may be drawing
        try:
            layout = open_remote(reference, clients)
            images = _images(layout)
        except (RegistryError, OutputError) as err:
            missing = isinstance(err, RegistryError) and err.status == 404
            cause = "there is no such image" if missing else str(err)
            note(f"nothing of {reference} is reused: {cause}")
            return
        is_whole = True
        for image in images:
            try:
                found = tuple(_layers(image, compressions))
                if Repository.of(reference) == self._client.place:
                    self._listed.update(layer.digest for layer in image.layers())
            except (RegistryError, OutputError) as err:
                note(f"nothing of {reference} is reused: {err}")
                found, is_whole = (), False
            for what, layer in found:
                self._offered.setdefault(what, layer)
        if is_whole:
            self._named[reference] = layout.entries()[0].digest

    def is_listed(self, digest: Digest) -> bool:
        """Whether an earlier image of the repository has a layer, and it was not found missing."""
        self._wait()
        return digest in self._listed and digest not in self._lost

    def known(self, to: Reference) -> Known | None:
        """What was found out of a tag; None where it was not asked for."""
        self._wait()
        digest = self._named.get(to)
        return None if digest is None else Known(digest, frozenset(self._lost))

    def __call__(self, wanted: Iterable[StoreLayer]) -> Mapping[StoreLayer, Layer]:
        """Of layers that are wanted, those that the repository has now.

        A layer of another repository is taken from there. Raises `RegistryError`.
        """
        offered = self.offered
        asked = [each for each in dict.fromkeys(wanted) if each in offered]
        blobs = [offered[each].descriptor for each in asked]
        work = [partial(self._uploader.obtain, blob) for blob in blobs]
        with as_registry_error(self._purpose):
            there = run_all(work, self._client.access.jobs, self._client.stop)
        found = {
            each: offered[each] for each, is_there in zip(asked, there, strict=True) if is_there
        }
        self.taken |= {layer.digest: layer.size for layer in found.values()}
        self._lost |= {
            blob.digest for blob, is_there in zip(blobs, there, strict=True) if not is_there
        }
        return found


def _images(layout: Layout) -> tuple[ImageSource, ...]:
    (entry,) = layout.entries()
    found = layout.nested(entry) if entry.media_type in INDEX_TYPES else (entry,)
    return tuple(ImageSource(layout.where, each, layout.blobs) for each in found)


def _layers(
    image: ImageSource, compressions: Collection[Compression]
) -> Iterator[tuple[StoreLayer, Layer]]:
    """Those in a form that would be made here; `LayoutError` for documents that are not right."""
    layers = image.layers()
    forms = {layer_form(each): each for each in compressions}
    if not any(_form(layer)[0] in forms for layer in layers):
        return
    diff_ids = image.config().diff_ids
    if len(diff_ids) != len(layers):
        raise LayoutError(
            f"{image.where}: it has {len(layers)} layers, and diff IDs of {len(diff_ids)}"
        )
    for layer, diff_id in zip(layers, diff_ids, strict=True):
        contents = layer.annotations.get(STORE_PATHS)
        plain, rules = _form(layer)
        compression = forms.get(plain)
        if contents is None or compression is None or not _is_in_form(layer, compression):
            continue
        if compression is Compression.NONE and diff_id != layer.digest:
            raise LayoutError(f"{image.where}: {layer.digest} has diff ID {diff_id}, and is plain")
        slimmed = str(Digest.parse(layer.annotations.get(SLIMMED, ""))) if rules else ""
        found = Layer(
            *(layer.media_type, layer.digest, layer.size, diff_id, None),
            slimmed=slimmed,
            annotations=_of_table(layer),
        )
        yield (contents_key(Digest.parse(contents), rules), compression), found


def _is_in_form(layer: Descriptor, compression: Compression) -> bool:
    """Whether it is stored like that: a chunked one with all that leads to its table."""
    table = _of_table(layer)
    forms = TABLE_ANNOTATIONS if compression.chunking else {}
    return (
        layer.media_type == compression.media_type
        and table.keys() == forms.keys()
        and all(re.fullmatch(form, table[key]) for key, form in forms.items())
    )


def _of_table(layer: Descriptor) -> dict[str, str]:
    """Where a chunked layer has its table."""
    return {key: layer.annotations[key] for key in TABLE_ANNOTATIONS if key in layer.annotations}


def _form(layer: Descriptor) -> tuple[str, str]:
    return slim_rules(layer.annotations.get(LAYER_FORM, ""))


class _NoBlobs:
    """No blob is here: nothing is sent before the image is made."""

    def size(self, digest: Digest) -> int | None:  # noqa: ARG002
        return None

    def open(self, digest: Digest) -> Readable:
        raise AssertionError(digest)


class RemoteOrLocalBlobs(Struct, frozen=True):
    """Blobs of an image, some of which are only where it is pushed to."""

    blobs: Blobs
    there: Mapping[Digest, int]
    """Those, with their sizes."""
    where: str

    def size(self, digest: Digest) -> int | None:
        found = self.blobs.size(digest)
        return self.there.get(digest) if found is None else found

    def open(self, digest: Digest) -> Readable:
        """The blob; `RegistryError` for one that was there, and must be sent after all."""
        if digest in self.there and self.blobs.size(digest) is None:
            raise RegistryError(
                f"cannot push to {self.where}: it lost blob {digest} during the build",
                hint="make all layers: --no-reuse",
            )
        return self.blobs.open(digest)

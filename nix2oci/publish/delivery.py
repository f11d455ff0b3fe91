"""`build --push`: what is asked of registries before the build, and what they get afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.cache.layer_store import Uploads
from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import Nix2OCIError, NotAttachedError
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import StoreLayer
from nix2oci.oci.layout.archive import blob_name
from nix2oci.oci.layout.source import Blobs, Layout, open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.early_uploads import EarlyUploads
from nix2oci.oci.registry.existing_layers import ExistingLayers, RemoteOrLocalBlobs
from nix2oci.oci.registry.push import Known, Pushed
from nix2oci.oci.registry.push_set import PushSet, read_push_set
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.spec import Descriptor
from nix2oci.pipeline.debug_twin import twin_names
from nix2oci.pipeline.platforms import Named
from nix2oci.publish.image_target import PushTarget

if TYPE_CHECKING:
    from nix2oci.publish.attachments import Attachments

Sent = tuple[Sequence[tuple[PushSet, Pushed]], Sequence[Reference]]
"""What was pushed to each repository, and all references, in the order that they are printed in."""


class Send(Protocol):
    """Pushes to references of one repository; `arrived` gets each tag that names the image."""

    def __call__(
        self,
        push_set: PushSet,
        blobs: Blobs,
        to: Sequence[Reference],
        *,
        arrived: list[Reference],
        mount_from: Sequence[str] = (),
        known: Known | None = None,
        early: EarlyUploads | None = None,
    ) -> Pushed: ...


class Delivery(Struct, frozen=True):
    """Images on their way to one repository or more."""

    target: PushTarget
    push: Send
    reuse: Mapping[Repository, ExistingLayers]
    before: Sequence[Repository] = ()
    """Repositories that got other images of the run."""
    clients: Clients | None = None
    """For layers that are sent while others are made; None where the image is to be whole first."""
    early: dict[Repository, EarlyUploads] = field(default_factory=dict)

    @contextmanager
    def sending_early(self, directory: str) -> Iterator[Uploads | None]:
        """What sends layers that are made, of an image that will lie in a layout.

        A repository whose registry gets the image in another one before it waits for that.
        """
        if self.clients is None:
            yield None
            return
        with ExitStack() as stack:
            for place, existing in self.reuse.items():
                if not earlier_in(place, self.reuse):
                    early = EarlyUploads(
                        *(self.clients, place, earlier_in(place, (*self.before, place))),
                        final_path=lambda digest: os.path.join(directory, blob_name(digest)),
                        leave_out=existing.is_listed,
                    )
                    stack.callback(early.close)
                    self.early[place] = early
            yield _Everywhere(tuple(self.early.values()))

    def existing(self, wanted: Iterable[StoreLayer]) -> Mapping[StoreLayer, Layer] | None:
        """Layers that need not be made: one that a single repository lacks must be here.

        None where nothing is known of one repository.
        """
        if not all(each.offered for each in self.reuse.values()):
            return None
        first, *others = self.reuse.values()
        same = [
            each
            for each in wanted
            if all(other.offered.get(each) == first.offered.get(each) for other in others)
        ]
        found, *there = [reuse(same) for reuse in self.reuse.values()]
        return {each: found[each] for each in found if all(each in other for other in there)}

    def send(
        self, path: str, images: Sequence[Named], attachments: Attachments | None = None
    ) -> tuple[Sent, ...]:
        """Push images of the layout or archive at `path`, the main one first; what became of each.

        The main one is the last to arrive in a repository: when it is there, all are. Raises
        `NotAttachedError` when all of them are in all repositories.
        """
        layout, _ = open_layout(path)
        to = [self.target.references(image.names, images[0].names) for image in images]
        sent: list[list[tuple[PushSet, Pushed]]] = [[] for _ in images]
        arrived: list[Reference] = []
        with telling(arrived), at_the_end(NotAttachedError) as kept:
            for place in self.reuse:
                for at, image in reversed(list(enumerate(images))):
                    there = by_repository(to[at])[place]
                    with kept():
                        push_set, blobs = self._push_set(layout, image, place, attachments)
                        pushed = self._send(push_set, blobs, place, there, arrived)
                        sent[at].append((push_set, pushed))
        return tuple(zip(sent, to, strict=True))

    def _push_set(
        self, layout: Layout, image: Named, place: Repository, attachments: Attachments | None
    ) -> tuple[PushSet, Blobs]:
        """What a repository gets of one image."""
        blobs: Blobs = RemoteOrLocalBlobs(layout.blobs, self.reuse[place].taken, str(place))
        push_set = read_push_set(replace(layout, blobs=blobs), image.name.tag or "latest")
        return attachments.added_to(push_set, blobs, place) if attachments else (push_set, blobs)

    def _send(
        self,
        push_set: PushSet,
        blobs: Blobs,
        place: Repository,
        to: Sequence[Reference],
        arrived: list[Reference],
    ) -> Pushed:
        """Push one image to one repository."""
        return self.push(
            *(push_set, blobs, to),
            arrived=arrived,
            mount_from=earlier_in(place, (*self.before, *self.reuse)),
            known=self.reuse[place].known(to[0]),
            early=self.early.get(place),
        )


class _Everywhere(Struct, frozen=True):
    """Uploads to several repositories as one."""

    places: tuple[EarlyUploads, ...]

    def add(self, blob: Descriptor, path: str) -> None:
        for each in self.places:
            each.add(blob, path)

    def go_on(self) -> None:
        for each in self.places:
            each.go_on()

    def rest(self) -> None:
        for each in self.places:
            each.rest()


def prepare_delivery(
    target: PushTarget,
    names: Sequence[Reference],
    spec: ImageSpec,
    clients: Clients,
    push: Send,
    *,
    needs_all: bool,
    before: Sequence[Repository] = (),
) -> Delivery:
    """Ask the registries who may push there, and which layers they have, before anything is built.

    `names` are the image's; with `needs_all` no layer is left out. Repositories `before` got other
    images of the run. Raises `ConfigError` for an
    earlier image that is not trusted and for a tag that the debug twin needs, `RegistryError`, and
    `AuthenticationError`.
    """
    references = target.references(names)
    if spec.debug:
        twin_names(references)
    to = by_repository(references)
    target.check_trust(tuple(to))
    reuse = {}
    for place, (first, *_) in to.items():
        earlier = () if needs_all else target.earlier_images(place, first)
        others = earlier_in(place, (*before, *to))
        reuse[place] = ExistingLayers(first, earlier, clients, spec.compressions.all, others)
    return Delivery(target, push, reuse, before, None if needs_all else clients)


def by_repository(references: Iterable[Reference]) -> dict[Repository, tuple[Reference, ...]]:
    """References by repository: those of one go there in one push."""
    found: dict[Repository, tuple[Reference, ...]] = {}
    for each in references:
        place = Repository.of(each)
        found[place] = (*found.get(place, ()), each)
    return found


def earlier_in(place: Repository, places: Iterable[Repository]) -> list[str]:
    """Repositories of the same registry that were pushed to before: they have the blobs."""
    before = takewhile(lambda each: each != place, places)
    return [each.repository for each in before if each.registry == place.registry]


@contextmanager
def at_the_end(
    kind: type[Nix2OCIError],
) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Raise an error of a kind only when all else is done: the first, where there are several."""
    found: list[Nix2OCIError] = []

    @contextmanager
    def kept() -> Iterator[None]:
        try:
            yield
        except kind as err:
            found.append(err)

    yield kept
    for first in found:
        raise first


@contextmanager
def telling(arrived: Sequence[Reference]) -> Iterator[None]:
    """Say of a push that ends before its end which references have the image by then."""
    try:
        yield
    except Nix2OCIError as err:
        if arrived:
            err.args = (f"{err}; pushed before that: {', '.join(map(str, arrived))}",)
        raise

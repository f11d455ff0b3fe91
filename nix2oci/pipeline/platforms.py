"""One image or several: each platform is built from its own flake system, and an index joins them.

The images share layers where their store paths do, and all of them appear at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.host.progress import Progress
from nix2oci.nix.client import NixClient
from nix2oci.nix.package import Package
from nix2oci.oci.index import index_of
from nix2oci.oci.layout.writer import Image, Staging
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import INDEX, Descriptor, Index, Platform, canonical_json
from nix2oci.pipeline.build import WrittenImage, build
from nix2oci.pipeline.destination import Destination
from nix2oci.plan.layers.layering import LayerHints

Evaluated = tuple[NixClient, Sequence[Package]]
"""What Nix knows of the installables for one system."""

Make = Callable[[Destination], WrittenImage]
"""Makes the image of one platform."""


class Named(Struct, frozen=True):
    """An image or index, under all of its names."""

    names: tuple[Reference, ...]
    descriptor: Descriptor

    @property
    def name(self) -> Reference:
        """The one that counts where there is room for one."""
        return self.names[0]


class Published(Struct, frozen=True):
    """What is at its destination now: an image, or an index of several."""

    main: Named
    twin: Named | None
    images: tuple[WrittenImage, ...]
    """One for each platform."""

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """Those of the images, in their order."""
        return tuple(Platform.of_system(image.prepared.package.system) for image in self.images)

    @property
    def named(self) -> tuple[Named, ...]:
        """All that has names: the image, and its debug twin if there is one."""
        return (self.main, self.twin) if self.twin else (self.main,)


def publish(
    builds: Sequence[Evaluated],
    spec: ImageSpec,
    destination: Destination,
    progress: Progress,
    hints: LayerHints | None = None,
) -> Published:
    """Build an image for each system and put them at their destination, all or nothing.

    One system gives an image, several an image index. Raises what `build` raises.
    """
    say = len(builds) > 1
    makes = [partial(_build, each, spec, progress, hints, say=say) for each in builds]
    return joined(makes, destination)


def joined(makes: Sequence[Make], destination: Destination) -> Published:
    """What makes the image of each platform, done: one image, or an index of several."""
    if len(makes) == 1:
        image = makes[0](destination)
        twin = Named(image.twin.names, image.twin.image.descriptor) if image.twin else None
        return Published(Named(image.identity.names, image.image.descriptor), twin, (image,))
    with ExitStack() as stack:
        shared = _Shared(destination.open, stack)
        parts = replace(destination, open=shared.open)
        images = tuple(make(parts) for make in makes)
        names, staging = shared.opened[0]
        indexes = [(_index([each.image for each in images], staging), names)]
        twins = [each.twin for each in images if each.twin]
        if twins:
            indexes.append((_index([twin.image for twin in twins], staging), twins[0].names))
        staging.finish_indexes(indexes)
    main, *more = (
        Named(tuple(names), Descriptor.of(INDEX, canonical_json(index.to_json())))
        for index, names in indexes
    )
    return Published(main, more[0] if more else None, images)


def _build(
    evaluated: Evaluated,
    spec: ImageSpec,
    progress: Progress,
    hints: LayerHints | None,
    destination: Destination,
    *,
    say: bool,
) -> WrittenImage:
    nix, packages = evaluated
    if say:
        progress.step(f"the image for {Platform.of_system(packages[0].system)}")
    return build(nix, packages, spec, destination, progress, hints=hints)


class _Shared(Struct, frozen=True):
    """A destination that is opened once, for the images of all platforms."""

    open_it: Callable[[Sequence[Reference]], AbstractContextManager[Staging]]
    stack: ExitStack
    opened: list[tuple[tuple[Reference, ...], Staging]] = field(default_factory=list)

    def open(self, names: Sequence[Reference]) -> AbstractContextManager[Staging]:
        if not self.opened:
            self.opened.append((tuple(names), self.stack.enter_context(self.open_it(names))))
        first, staging = self.opened[0]
        if tuple(names) != first:
            raise ConfigError(
                f"cannot make one image of several platforms: it is '{first[0]}' for one of them "
                f"and '{names[0]}' for another",
                hint="name it with --tag NAME:TAG",
            )
        return nullcontext(staging.part())


def _index(images: Sequence[Image], staging: Staging) -> Index:
    return index_of([staging.source(image) for image in images])

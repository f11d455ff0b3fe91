"""Where the image goes: a file, a registry, an engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.host.scratch import temporary_directory
from nix2oci.oci.engines import Engine
from nix2oci.oci.layout.writer import OutputFormat, Staging, reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.repository import Repository, distinct
from nix2oci.oci.spec import Platform


class PushTarget(Struct, frozen=True):
    """How an image is pushed, as far as the user said."""

    to: tuple[Reference | str, ...]
    """Where to; one without a tag gets each of the image's. Text is REGISTRY/PATH, below which the
    image has its own name; `""` is that name as it is."""
    reuse: tuple[Reference, ...] = ()
    force: bool = False
    """Whether all layers are made, whatever the registry has."""
    trust_registry: bool = False
    """Whether images in other repositories are believed about their layers."""

    def references(
        self, names: Sequence[Reference], main: Sequence[Reference] | None = None
    ) -> tuple[Reference, ...]:
        """Where the image of these names goes, each once, in the order that the user gave.

        One beside the image of the names `main` has only the end of its tags from its names.
        Raises `InvalidReferenceError`.
        """
        main = main or names
        suffix = str(names[0]).removeprefix(str(main[0]))
        found = (each for to in self.to for each in self._by_one(to, main))
        return distinct(Reference.parse(f"{each}{suffix}") for each in found)

    def _by_one(self, to: Reference | str, names: Sequence[Reference]) -> list[Reference]:
        """Where the image goes by one `--push`."""
        if isinstance(to, str):
            there = Reference.parse(f"{to}/{names[0].repository}") if to else None
        elif to.tag is not None:
            return [to]
        else:
            there = to
        return [replace(there or name, tag=name.tag or "latest") for name in names]

    def registries(self, name: str | None) -> tuple[str, ...]:
        """Those that an image goes to which is called so, or is yet to get a name."""
        known = Reference.parse(name) if name else Reference("unnamed")
        places = map(Repository.of, self.references([known]))
        return tuple(dict.fromkeys(place.registry for place in places))

    def earlier_images(self, place: Repository, over: Reference) -> tuple[Reference, ...]:
        """The images whose layers need not be made for a repository that gets the tag `over`."""
        if self.force:
            return ()
        return tuple(each for each in self.reuse if self._is_trusted(each, place)) or (over,)

    def _is_trusted(self, reference: Reference, place: Repository) -> bool:
        there = Repository.of(reference)
        return there == place or (self.trust_registry and there.registry == place.registry)

    def check_trust(self, places: Sequence[Repository]) -> None:
        """Raise `ConfigError` for an image to reuse that no repository may have layers of."""
        for reference in self.reuse:
            if any(self._is_trusted(reference, place) for place in places):
                continue
            names = " and ".join(map(str, places))
            there = Repository.of(reference).registry
            if all(place.registry != there for place in places):
                raise ConfigError(
                    f"cannot reuse layers of {reference}: it is in another registry than {names}",
                    hint="push it there first: nix2oci push",
                )
            raise ConfigError(
                f"cannot reuse layers of {reference}: it is in another repository than {names}",
                hint="if you trust who pushes there: --trust-reuse registry",
            )


class ImageTarget(Struct, frozen=True):
    """Where the image goes, as far as the user said; `-` is stdout."""

    path: str | None
    output_format: OutputFormat
    stdout: BinaryIO
    engine: Engine | None = None
    """What it is loaded into when it is there."""
    push: PushTarget | None = None
    """How it is pushed then."""
    in_git: bool = False
    """Whether it lies in a git work tree, where a layout is to be ignored."""

    @property
    def needs_all(self) -> bool:
        """Whether the image is read here, not only in the registry."""
        return self.path is not None or self.engine is not None

    @property
    def keeps_referrers(self) -> bool:
        """Whether what refers to an image can be written where it is: a layout that stays."""
        is_file = self.path is not None or not (self.engine or self.push)
        return is_file and self.path != "-" and self.output_format == "oci"

    @property
    def missing_directory(self) -> str:
        """The directory that the image is to be in, where it has to be made first; else empty."""
        home = os.path.dirname(self.path or "")
        return "" if self.path == "-" or not home or os.path.isdir(home) else home

    def name(self, names: Sequence[Reference]) -> str:
        """What the image is called where it goes first: pushed, in an engine, or in a file."""
        if self.push:
            return str(self.push.references(names)[0])
        return self.engine.known_as(names[0]) if self.engine else str(names[0])

    def path_of(self, name: Reference) -> str:
        if self.path:
            return self.path
        base = name.repository.rpartition("/")[2]
        return f"{base}.oci" if self.output_format == "oci" else f"{base}.tar"

    def references(self, names: Sequence[Reference], main: Sequence[Reference]) -> tuple[str, ...]:
        """What containers tools take for an image, when `main` are those that name the file.

        That are the names where it was pushed to, or the engine's for one that was loaded; none
        for one that went to stdout.
        """
        if self.push:
            return tuple(map(str, self.push.references(names, main)))
        if self.engine:
            return tuple(map(self.engine.known_as, names))
        path = self.path_of(main[0])
        if path == "-":
            return ()
        return tuple(reference_to(path, self.output_format, name) for name in names)

    def open(self, names: Sequence[Reference]) -> AbstractContextManager[Staging]:
        if self.path == "-":
            return streaming(self.stdout)
        return writing(self.path_of(names[0]), self.output_format, in_git=self.in_git)

    @contextmanager
    def with_file(self) -> Iterator[ImageTarget]:
        """The same, or where no file was asked for, one with a file that is gone afterwards."""
        if self.path or not (self.engine or self.push):
            yield self
            return
        with temporary_directory() as scratch:
            yield replace(self, path=os.path.join(scratch, "image.oci"), output_format="oci")


def check_engine(engine: Engine, spec: ImageSpec, systems: Sequence[str]) -> None:
    """Raise `ConfigError` for layers that the engine does not read, or other platforms."""
    if engine.name == "docker" and spec.compressions.has_zstd:
        raise ConfigError(
            "cannot load zstd layers into docker: not every Docker reads them",
            hint="use --compression gzip",
        )
    platforms = [Platform.of_system(system) for system in systems]
    if len(platforms) > 1 and engine.fitting(platforms) is None:
        raise ConfigError(
            f"cannot load into {engine.name}: it runs {engine.platform}, "
            f"and the image is for {' and '.join(map(str, platforms))}",
            hint=f"add {engine.platform} to --platform",
        )

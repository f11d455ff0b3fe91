"""Where the image goes: a file, a registry, an engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError
from nix2oci.oci.engines import Engine
from nix2oci.oci.layout.staging import temporary_directory
from nix2oci.oci.layout.writer import OutputFormat, Staging, reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client_options import Repository


class PushTarget(Struct, frozen=True):
    """How an image is pushed, as far as the user said."""

    to: Reference | None
    prefix: str
    """What stands before the image's name where there is no `to`; may be empty."""
    reuse: tuple[Reference, ...] = ()
    force: bool = False
    """Whether all layers are made, whatever the registry has."""
    trust_registry: bool = False
    """Whether images in other repositories are believed about their layers."""

    def reference(self, name: Reference, main: Reference | None = None) -> Reference:
        """Where the image `name` goes; one beside `main` has only its tag from its name.

        Raises `InvalidReferenceError`.
        """
        main = main or name
        if self.to is not None:
            found = replace(self.to, tag=self.to.tag or main.tag or "latest")
        elif self.prefix:
            found = Reference.parse(f"{self.prefix}/{main.repository}:{main.tag or 'latest'}")
        else:
            found = main.tagged()
        suffix = str(name).removeprefix(str(main))
        return Reference.parse(f"{found}{suffix}")

    def registry(self, name: str | None) -> str:
        """The registry that an image goes to which is called so, or is yet to get a name."""
        known = Reference.parse(name) if name else Reference("unnamed")
        return Repository.of(self.reference(known)).registry

    def earlier_images(self, to: Reference) -> tuple[Reference, ...]:
        """The images whose layers need not be made for what is pushed to `to`.

        Raises `ConfigError` for one that is not to be believed about its layers.
        """
        if self.force:
            return ()
        for reference in self.reuse:
            self._check_trust(reference, to)
        return self.reuse or (to,)

    def _check_trust(self, reference: Reference, to: Reference) -> None:
        there, here = Repository.of(reference), Repository.of(to)
        if there.registry != here.registry:
            raise ConfigError(
                f"cannot reuse layers of {reference}: it is in another registry than {here}",
                hint="push it there first: nix2oci push",
            )
        if there != here and not self.trust_registry:
            raise ConfigError(
                f"cannot reuse layers of {reference}: it is in another repository than {here}",
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

    def path_of(self, name: Reference) -> str:
        if self.path:
            return self.path
        base = name.repository.rpartition("/")[2]
        return f"{base}.oci" if self.output_format == "oci" else f"{base}.tar"

    def reference(self, name: Reference, main: Reference) -> str | None:
        """What containers tools take for an image, when `main` is the one that names the file.

        That is the name where it was pushed to, or the engine's for one that was loaded.
        """
        if self.push:
            return str(self.push.reference(name, main))
        if self.engine:
            return self.engine.known_as(name)
        path = self.path_of(main)
        return None if path == "-" else reference_to(path, self.output_format, name)

    def open(self, name: Reference) -> AbstractContextManager[Staging]:
        if self.path == "-":
            return streaming(self.stdout)
        return writing(self.path_of(name), self.output_format, in_git=self.in_git)

    @contextmanager
    def with_file(self) -> Iterator[ImageTarget]:
        """The same, or where no file was asked for, one with a file that is gone afterwards."""
        if self.path or not (self.engine or self.push):
            yield self
            return
        with temporary_directory() as scratch:
            yield replace(self, path=os.path.join(scratch, "image.oci"), output_format="oci")

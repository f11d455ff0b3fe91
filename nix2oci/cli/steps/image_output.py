"""Where `build` puts the image: a file, a registry, an engine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from nix2oci.cli import context
from nix2oci.cli.options.files import Format
from nix2oci.cli.steps.push_target import PushTarget
from nix2oci.errors import OutputError
from nix2oci.oci.engines import Engine
from nix2oci.oci.layout.writer import Staging, reference_to, streaming, writing
from nix2oci.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """Where the image goes, as far as the user said; `-` is stdout."""

    path: str | None
    output_format: Format
    engine: Engine | None = None
    """What it is loaded into when it is there."""
    push: PushTarget | None = None
    """How it is pushed then."""

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
            return streaming(context.standard_output())
        return writing(self.path_of(name), self.output_format)

    @contextmanager
    def with_file(self) -> Iterator[ImageOutput]:
        """The same, or where no file was asked for, one with a file that is gone afterwards."""
        if self.path or not (self.engine or self.push):
            yield self
            return
        try:
            scratch = tempfile.TemporaryDirectory(prefix="nix2oci-", ignore_cleanup_errors=True)
        except OSError as err:
            raise OutputError(f"cannot make a temporary directory: {err.strerror}") from err
        with scratch as directory:
            yield replace(self, path=os.path.join(directory, "image.oci"), output_format="oci")

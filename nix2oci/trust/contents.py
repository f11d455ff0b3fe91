"""What is in an image, as a document that saves whoever asks the reading of its layers.

It has what `inspect`, `diff` and `why` find in layers, but for the files that hold references. The
manifest of the image has its digest, so it cannot have the digest of the image; it lists the layers
that it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from msgspec import Struct, ValidationError, convert, field, to_builtins

from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Json, parse_object
from nix2oci.oci.spec import Digest, canonical_json

PREDICATE = "urn:nix2oci:contents:v1"
"""The type of the document as the predicate of an in-toto statement."""


class DescribedPath(Struct, frozen=True):
    """A store path; `references` are those of the image, itself left out."""

    nar_size: int
    references: tuple[str, ...] = ()
    nar_hash: str = ""
    """As SRI; empty where it is not known, as of those of a base image."""


class DescribedLayer(Struct, frozen=True):
    """A layer, base layer first."""

    digest: str
    """Of its blob."""
    paths: dict[str, int] = field(default_factory=dict)
    """The store paths of which there is something in it, with bytes of NAR."""
    entries: int | None = None
    """How many files, directories and links; None for a layer of whole store paths."""
    top: tuple[str, ...] = ("nix",)
    """The names at the root."""


class Contents(Struct, frozen=True):
    """An image as its layers have it."""

    layers: tuple[DescribedLayer, ...]
    paths: dict[str, DescribedPath]
    outside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By store path, files outside of the store that name it: `/usr/bin/app`."""
    launchers: tuple[str, ...] = ()
    """Programs in the place of wrappers, by their paths in the image."""

    def to_bytes(self) -> bytes:
        """Its one form in bytes."""
        return canonical_json(to_builtins(self))

    @classmethod
    def read(cls, data: bytes, where: str) -> Self:
        """Raises `LayoutError` for bytes that are no such document."""
        return cls.of(parse_object(data, where), where)

    @classmethod
    def of(cls, document: Json, where: str) -> Self:
        """The same of one that is parsed."""
        try:
            return convert(document, cls)
        except ValidationError as err:
            raise LayoutError(f"cannot read {where}: {err}") from err

    def is_about(self, layers: Iterable[Digest]) -> bool:
        """Whether these are its layers."""
        return [each.digest for each in self.layers] == [str(digest) for digest in layers]

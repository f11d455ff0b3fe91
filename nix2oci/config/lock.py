"""nix2oci.lock.yaml: which image each tag in nix2oci.yaml meant when it was looked up.

A tag moves, a digest does not. The file is committed beside nix2oci.yaml, so that everybody builds
on the same base; its text depends on what it holds alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.config.reading import Location, known, mapping
from nix2oci.errors import InvalidReferenceError, LayoutError
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Digest

LOCK_NAME = "nix2oci.lock.yaml"

_VERSION = 1
_HEAD = (
    "# Which images the tags in nix2oci.yaml mean. Written by nix2oci: commit it, do not edit it.\n"
)


class Lock(Struct, frozen=True):
    """The digest of each image reference, by the reference with its tag and without a digest."""

    images: Mapping[str, Digest] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: object, where: str = LOCK_NAME) -> Lock:
        """Read a lock from the document of its file; raises `ConfigError`."""
        found = known(document, Location(where), ("version", "images"))
        if found.get("version") != _VERSION:
            raise Location(f"{where}: version").expected(f"{_VERSION}", found.get("version"))
        location = Location(f"{where}: images")
        images = mapping(found.get("images", {}), location)
        return cls(
            {_key(name, location): _digest(images[name], location.at(name)) for name in images}
        )

    def __str__(self) -> str:
        """The text of the file: YAML, references in bytewise order."""
        lines = [
            f"  {json.dumps(name)}: {digest}\n" for name, digest in sorted(self.images.items())
        ]
        return f"{_HEAD}version: {_VERSION}\n" + ("images:\n" + "".join(lines) if lines else "")

    def pinned(self, reference: Reference) -> Reference | None:
        """The reference with its digest: its own, else the one that is locked, else None."""
        if reference.digest:
            return reference
        digest = self.images.get(str(_tagged(reference)))
        return replace(reference, digest=digest) if digest else None

    def with_image(self, reference: Reference, digest: Digest) -> Lock:
        """The lock in which a reference means a digest, whatever it meant before."""
        return Lock({**self.images, str(_tagged(reference)): digest})


def _tagged(reference: Reference) -> Reference:
    return replace(reference, tag=reference.tag or "latest", digest=None)


def _key(name: str, location: Location) -> str:
    try:
        reference = Reference.parse(name)
    except InvalidReferenceError as err:
        raise location.wrong(str(err)) from err
    if reference.tag is None or reference.digest:
        raise location.wrong(f"expected a reference with a tag and without a digest, got '{name}'")
    return name


def _digest(value: object, location: Location) -> Digest:
    try:
        return Digest.parse(value)
    except LayoutError as err:
        raise location.expected("sha256:<64 hex digits>", value) from err

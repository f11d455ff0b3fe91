"""Names of images: `registry/repository:tag@digest`.

The grammar is that of the distribution specification (Pulling manifests), with the one habit of
docker's that everybody relies on: what stands before the first slash is a registry only when
it has a dot or a colon, or is `localhost`.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import InvalidReferenceError, LayoutError
from nix2oci.oci.spec import Digest
from nix2oci.text import display

SCHEME = "docker://"
"""Says that a reference follows, and no path."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"


class Reference(Struct, frozen=True):
    """The name of an image; `registry`, `tag` and `digest` may be absent."""

    repository: str
    registry: str | None = None
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name; raise `InvalidReferenceError` that says which part is wrong."""
        rest, at, digest_text = text.partition("@")
        digest = _digest(text, digest_text) if at else None
        first, slash, remainder = rest.partition("/")
        registry = None
        if slash and (first == "localhost" or set(first) & set(".:")):
            registry, rest = first, remainder
        name, colon, tag = rest.partition(":")
        if registry is not None and not re.fullmatch(_REGISTRY, registry):
            raise _wrong(text, f"'{registry}' is not a registry")
        if not re.fullmatch(_REPOSITORY, name) or len(name) > 255:
            raise _wrong(text, f"'{name}' is not a repository", _hint(name))
        if colon and not re.fullmatch(_TAG, tag):
            raise _wrong(text, f"'{tag}' is not a tag")
        return cls(name, registry, tag if colon else None, digest)

    def at(self, digest: Digest) -> Reference:
        """The same name, tagged, for exactly the image of a digest."""
        return replace(self, tag=self.tag or "latest", digest=digest)

    def tagged(self) -> Reference:
        """The same name, with a tag and without a digest."""
        return replace(self, tag=self.tag or "latest", digest=None)

    def __str__(self) -> str:
        registry = f"{self.registry}/" if self.registry else ""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{registry}{self.repository}{tag}{digest}"


def in_registry(text: str) -> Reference | None:
    """The reference that a text is when it says that a registry has the image, else None.

    That is `docker://` with any reference, as skopeo writes it, and a reference that names its
    registry. Raises `InvalidReferenceError` for the former where it is none.
    """
    if text.startswith(SCHEME):
        return Reference.parse(text.removeprefix(SCHEME))
    try:
        found = Reference.parse(text)
    except InvalidReferenceError:
        return None
    return found if found.registry else None


def _digest(text: str, digest_text: str) -> Digest:
    try:
        return Digest.parse(digest_text)
    except LayoutError as err:
        raise _wrong(text, f"'{digest_text}' is not a digest") from err


def _hint(name: str) -> str | None:
    lower = name.lower()
    return (
        f"use lower case: {lower}" if lower != name and re.fullmatch(_REPOSITORY, lower) else None
    )


def _wrong(text: str, cause: str, hint: str | None = None) -> InvalidReferenceError:
    message = f"cannot read image reference '{text}': {cause}"
    return InvalidReferenceError(display(message.encode(errors="surrogateescape")), hint=hint)


def parse_reference(text: str) -> Reference:
    """A name in a registry, with the prefix that skopeo has or without; `ConfigError`."""
    return Reference.parse(text.removeprefix(SCHEME))

"""What goes wrong between us and a registry, before it is known what for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nix2oci.errors import AuthenticationError, RegistryError


@dataclass(slots=True, eq=False)
class RequestError(Exception):
    """One exchange, or what came of it, went wrong."""

    cause: str
    """In words for people; nothing secret is in it."""
    hint: str | None = None
    status: int | None = None
    """Of the answer; None when there was none."""
    codes: tuple[str, ...] = ()
    """What the registry calls it (distribution specification, Error Codes)."""
    temporary: bool = False
    """It may go well another time."""
    at_once: bool = False
    """Another try need not be put off."""
    retry_after: str | None = None
    denied: bool = False
    """The registry wants to know who asks, or does not let him."""
    plain: bool = False
    """The other side does not speak TLS."""
    digests: tuple[str, ...] = ()
    """Those of blobs that the registry lacks, as far as it says."""

    def __str__(self) -> str:
        return self.cause


@contextmanager
def as_registry_error(purpose: str) -> Iterator[None]:
    """Turn a `RequestError` into the error that a user is told: `cannot <purpose>: <cause>`."""
    try:
        yield
    except RequestError as err:
        message = f"cannot {purpose}: {err.cause}"
        # Not `from err`: what a library says may hold an address with a secret in it.
        if err.denied:
            raise AuthenticationError(message, hint=err.hint, status=err.status) from None
        raise RegistryError(message, hint=err.hint, status=err.status) from None

"""What goes wrong between us and a server, before it is known what for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nix2oci.errors import AuthenticationError, RegistryError


class RequestError(Exception):
    """One exchange, or what came of it, went wrong."""

    def __init__(
        self,
        cause: str,
        hint: str | None = None,
        *,
        status: int | None = None,
        codes: tuple[str, ...] = (),
        temporary: bool = False,
        at_once: bool = False,
        dropped: bool = False,
        progress: bool = False,
        retry_after: str | None = None,
        denied: bool = False,
        plain: bool = False,
        digests: tuple[str, ...] = (),
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        """In words for people; nothing secret is in it."""
        self.hint = hint
        self.status = status
        """Of the answer; None when there was none."""
        self.codes = codes
        """What the server calls it (distribution specification, Error Codes)."""
        self.temporary = temporary
        """It may go well another time."""
        self.at_once = at_once
        """Another try need not be put off."""
        self.dropped = dropped
        """There was a connection, and it was closed: the line may be bad, the server is there."""
        self.progress = progress
        """Some of the work was done, and need not be done again."""
        self.retry_after = retry_after
        self.denied = denied
        """The registry wants to know who asks, or does not let him."""
        self.plain = plain
        """The other side does not speak TLS."""
        self.digests = digests
        """Those of blobs that the server lacks, as far as it says."""

    def __str__(self) -> str:
        return self.cause


@contextmanager
def as_registry_error(purpose: str) -> Iterator[None]:
    """Turn a `RequestError` about a registry into an error of ours: `cannot <purpose>: <cause>`."""
    try:
        yield
    except RequestError as err:
        message = f"cannot {purpose}: {err.cause}"
        # Not `from err`: what a library says may hold an address with a secret in it.
        if err.denied:
            raise AuthenticationError(message, hint=err.hint, status=err.status) from None
        raise RegistryError(message, hint=err.hint, status=err.status) from None

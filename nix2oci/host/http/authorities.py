"""Which certificates are trusted: a value, made of what an environment says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class Authorities(Protocol):
    """Whose word is taken for who a server is."""

    @property
    def ca_file(self) -> str | None:
        """Certificates that are trusted instead of those of the system."""

    @property
    def certificate_directories(self) -> tuple[str, ...]:
        """Each may have a directory for a host, named `host` or `host:port`."""


class OneFile(Struct, frozen=True):
    """Those of a file, or of the system where there is none."""

    ca_file: str | None = None
    certificate_directories: tuple[str, ...] = ()


def ca_file(env: Mapping[str, str]) -> str | None:
    """The file of certificates that an environment names."""
    return env.get("SSL_CERT_FILE") or env.get("NIX_SSL_CERT_FILE") or None

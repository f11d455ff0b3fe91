"""Whom a transport speaks to, and how: a value."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from nix2oci.host.http.authorities import Authorities
from nix2oci.host.http.proxies import Proxies
from nix2oci.host.http.retry import Clock


class Advice(Struct, frozen=True):
    """What a user can do about a line that fails; `""` where that is nothing."""

    untrusted: str = ""
    """About a certificate that is not trusted."""
    no_tls: str = ""
    """About a server that does not speak TLS."""
    maybe_tls: str = ""
    """About a server that was spoken to without TLS and does not answer."""


class Line(Struct, frozen=True):
    """A server, and how it is spoken to."""

    host: str
    """Whose it is: `host` or `host:port`. What it leads to must reach no further than itself."""
    clock: Clock
    authorities: Authorities
    proxies: Proxies = Proxies()
    user_agent: str = "nix2oci"
    connect: float = 20.0
    """Seconds for a connection."""
    read: float = 60.0
    """Seconds until something comes, and for a whole answer that is no blob."""
    connections: int = 5
    """How many are kept open."""
    verify: bool = True
    """Check certificates."""
    cert_dir: str | None = None
    """Certificates for it, in place of those that `authorities` has for a host."""
    advice: Advice = Advice()
    hear: Callable[[str], None] = lambda _: None
    """Takes a line for each request and its answer, without anything secret; from any thread."""

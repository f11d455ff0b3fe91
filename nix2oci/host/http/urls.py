"""Which addresses that a server names may be followed, and how addresses are shown.

A server decides where a client sends its next request: by the `realm` of a challenge, by
`Location` and by redirects. The hard part is that each of them may lead to where a secret must
not go, or to a machine that only the client can reach.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, quote, urljoin, urlsplit, urlunsplit

from nix2oci.host.http.addresses import Reach, reach

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses of answers whose `Location` is where to ask instead."""

_PORTS = {"http": 80, "https": 443}
_SHOWN = frozenset({"scope", "service", "mount", "from", "digest", "n", "last"})
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


def followed(base: str, location: str | None, own: Reach = Reach.PUBLIC) -> str:
    """The address that `location`, named by an answer from `base`, leads to.

    `own` is how far the server itself reaches. Raises `ValueError`, whose text says what is
    wrong, unless it may be followed: no downgrade from https, no other scheme, no user name, and no
    address where such a server may not lead, unless that is the host of `base` itself. A name is
    judged when it is resolved. Whether a secret may go with it is for `same_origin` to say.
    """
    if not location:
        raise ValueError("it is missing")
    url, parts = _parsed(base, location)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"'{parts.scheme}:' is neither http nor https")
    if not parts.hostname:
        raise ValueError("it has no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("there is a user name in it")
    if parts.scheme == "http" and urlsplit(base).scheme == "https":
        raise ValueError("it leads from https to http")
    if not same_host(base, url):
        if location.startswith("//"):
            raise ValueError(f"it names another host, {parts.hostname}, and no scheme")
        target = reach(parts.hostname)
        if target is not None and not own.may_lead_to(target):
            raise ValueError(f"it leads to {parts.hostname}, which is not a public address")
    return urlunsplit(parts._replace(fragment=""))


def _parsed(base: str, location: str) -> tuple[str, SplitResult]:
    if not _PRINTABLE.fullmatch(location):
        raise ValueError("it is not an address")
    try:
        url = urljoin(base, location)
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # brackets that do not match, a port that is no number
        raise ValueError("it is not an address") from None
    return url, parts


def same_host(one: str, other: str) -> bool:
    """Whether two addresses are of one host, on any port."""
    return urlsplit(one).hostname == urlsplit(other).hostname


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses have scheme, host and port in common: they may see the same secrets.

    Not the host alone: on a machine that many share, another port is somebody else.
    """
    return origin(one) == origin(other)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address, the port also where it is not written."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def is_loopback(registry: str) -> bool:
    """Whether a server, `host` or `host:port`, is this machine."""
    host = urlsplit(f"//{registry}").hostname or ""
    return reach(host) is Reach.LOOPBACK


def with_query(url: str, **more: str) -> str:
    """The address with parameters added after those that it has, which keep order and spelling."""
    added = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in more.items())
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def redacted(url: str) -> str:
    """The address as it may be shown: no user name, and of the query what is never secret."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "REDACTED"
    query = "&".join(
        f"{key}={value if key in _SHOWN else 'REDACTED'}"
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return urlunsplit((parts.scheme, host, parts.path, query, ""))

"""Which proxy stands before which host: a value, made of what an environment says."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct


class Proxies(Struct, frozen=True):
    """Which proxy stands before which host, as the variables of that name have it."""

    http: str = ""
    https: str = ""
    exceptions: str = ""
    """What NO_PROXY has: host names with all below them, addresses, networks, `*`."""

    def __repr__(self) -> str:  # without what is secret
        return f"Proxies(exceptions={self.exceptions!r})"

    @classmethod
    def named_in(cls, env: Mapping[str, str]) -> Proxies:
        """Those that an environment names; for anything that has none of its own, all_proxy's."""
        return cls(
            http=_either(env, "http_proxy") or _either(env, "all_proxy"),
            https=_either(env, "https_proxy") or _either(env, "all_proxy"),
            exceptions=_either(env, "no_proxy"),
        )

    def of(self, url: str) -> str | None:
        """The proxy for an address; none for this machine, as everywhere."""
        parts = urlsplit(url)
        host, scheme = parts.hostname or "", parts.scheme
        proxy = self.https if scheme == "https" else self.http
        if not proxy or self._is_excepted(host, parts.port or (443 if scheme == "https" else 80)):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _is_excepted(self, host: str, port: int) -> bool:
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        return any(
            _covers(pattern, host, port)
            for pattern in re.split(r"[,\s]+", self.exceptions.lower())
            if pattern
        )


def _covers(pattern: str, host: str, port: int) -> bool:
    """Whether an element of NO_PROXY is about a host, which is in lower case."""
    if pattern == "*":
        return True
    address = _address(host)
    if "/" in pattern and address is not None:
        try:
            return address in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    if match := re.fullmatch(r"(\[[^]]*\]|[^:]*):([0-9]+)", pattern):
        if int(match[2]) != port:
            return False
        pattern = match[1]
    if address is not None:
        return _address(pattern) == address
    pattern = pattern.removeprefix("*").lstrip(".")
    return host == pattern or host.endswith("." + pattern)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _either(env: Mapping[str, str], name: str) -> str:
    """A variable that is written in small letters or in capitals."""
    return env.get(name) or env.get(name.upper(), "")

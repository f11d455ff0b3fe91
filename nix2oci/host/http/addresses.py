"""How far an address reaches, and so whether a server may lead a client there.

A server decides where a client connects next. The hard part is that the client may stand where
the server could not go by itself: beside services of its own machine, or beside a cloud's
metadata, which hands out passwords to anyone who asks. So what is judged is the address that is
connected to, and not the name for it, which may mean one thing now and another a moment later.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from enum import Enum

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(Enum):
    """Who can be behind an address."""

    PUBLIC = "public"
    PRIVATE = "private"
    """A machine of the same network: RFC 1918, RFC 4193."""
    LOOPBACK = "loopback"
    """This machine."""
    NEVER = "never"
    """Link-local, metadata of a cloud, and all that is no place for a server's storage."""

    def may_lead_to(self, other: Reach) -> bool:
        """Whether a server that is here may send a client to an address that is there."""
        return other is Reach.PUBLIC or (other is self and self is not Reach.NEVER)


_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
_METADATA = frozenset(
    ipaddress.ip_address(text)
    # AWS and Google by IPv6, Azure; those in 169.254.0.0/16 and 100.64.0.0/10 are not public.
    for text in ("fd00:ec2::254", "fd20:ce::254", "168.63.129.16")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def reach_of(address: Address) -> Reach:
    """How far an address reaches; one that holds another inside reaches as far as that."""
    if isinstance(address, ipaddress.IPv6Address) and (inner := _inner(address)):
        return reach_of(inner)
    if address in _METADATA:
        return Reach.NEVER
    if address.is_loopback:
        return Reach.LOOPBACK
    if any(address in network for network in _PRIVATE if network.version == address.version):
        return Reach.PRIVATE
    usable = address.is_global and not (address.is_multicast or address.is_reserved)
    return Reach.PUBLIC if usable else Reach.NEVER


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a gateway or the kernel would connect to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def reach(host: str) -> Reach | None:
    """How far a host reaches that is given by an address or is this machine by name.

    None for any other name: that is for who resolves it.
    """
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return Reach.LOOPBACK
    address = address_of(host)
    return None if address is None else reach_of(address)


def address_of(host: str) -> Address | None:
    """The address that a text is, in any spelling that resolvers take for one; None for a name."""
    host = host.strip("[]").rstrip(".").partition("%")[0]
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if not re.fullmatch(r"0[xX][0-9a-fA-F]*|[0-9]+", host.rpartition(".")[2]):
        return None
    try:  # `127.1`, `0x7f000001` and the like
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return ipaddress.IPv4Address(0)  # whatever it is, no server has such a name

"""Closures of images that have libraries in common."""

from __future__ import annotations

from support.graphs import closure, info

from nix2oci.model.closure import Closure

KB, MB = 1000, 1_000_000
COMPANY = tuple(f"common{n}" for n in range(12))


def image(name: str, *own: str) -> Closure:
    """An application with libraries of its own, and with the company that all of them have."""
    return closure(
        info(name, MB, "libc", *COMPANY, *own),
        *(info(each, (20 + 7 * n) * KB, "libc") for n, each in enumerate(COMPANY)),
        *(info(each, (3 + n) * MB, "libc") for n, each in enumerate(own)),
        info("libc", 30 * MB),
        roots=(name,),
    )


FLEET = (
    image("shop", "imaging", "queue"),
    image("admin", "charts", "ldap"),
    image("worker", "video", "mail"),
)

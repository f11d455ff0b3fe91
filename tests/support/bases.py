"""Base images for tests: a root as a distribution has it, in one layer, or as a test wants it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from support.smallimage import Entry, Json, Layer, SmallImage, directory, entry, link, nothing, tar

DOCKER = "application/vnd.docker."
OS_RELEASE = b'ID=debian\nNAME="Debian"\n'
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n"
GROUP = b"root:x:0:\ntty:x:5:\nnode:x:1000:\n"
RUN: Json = {
    "Cmd": ["sh"],
    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"],
    "User": "node",
    "WorkingDir": "/work",
    "Labels": {"vendor": "Debian"},
}

MERGED_USR: tuple[Entry, ...] = (
    link("bin", "usr/bin"),
    directory("etc"),
    entry("etc/passwd", PASSWD, mode=0o644),
    entry("etc/group", GROUP, mode=0o644),
    link("etc/os-release", "../usr/lib/os-release"),
    link("lib", "usr/lib"),
    directory("tmp", 0o1777),
    directory("usr"),
    entry("usr/bin", type=b"5", mode=0o751, uid=3, gid=4),
    entry("usr/bin/sh", b"\x7fELF"),
    directory("usr/lib"),
    entry("usr/lib/os-release", OS_RELEASE, mode=0o644),
    directory("work"),
)
"""/bin and /lib are links, and /usr/bin has a mode and an owner of its own."""


def base(
    *entries: Entry,
    run: Json | None = None,
    layers: tuple[Layer, ...] = (),
    config: Callable[[Json], Any] = nothing,
    **rest: Any,
) -> SmallImage:
    """A base of one layer with these entries, by default `MERGED_USR`, and more layers on it."""

    def edit(document: Json) -> None:
        document["config"] = deepcopy(RUN if run is None else run)
        config(document)

    return SmallImage((Layer(tar(*(entries or MERGED_USR))), *layers), edit, **rest)


def as_docker(document: Json) -> None:
    """An edit that makes a Docker manifest (schema 2) of an OCI one."""
    document["mediaType"] = DOCKER + "distribution.manifest.v2+json"
    document["config"]["mediaType"] = DOCKER + "container.image.v1+json"
    for layer in document["layers"]:
        packed = ".gzip" if layer["mediaType"].endswith("gzip") else ""
        layer["mediaType"] = DOCKER + "image.rootfs.diff.tar" + packed

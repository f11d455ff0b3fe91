"""What a closure has that an image shows in its root: programs, etc/, certificates, and so on.

`nix.survey` finds it in the files of a closure, `plan.rootfs` places it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from msgspec import Struct

from nix2oci.model.closure import STORE_DIR, StorePath

ETC_DIRECTORIES = frozenset(
    {b"etc/ssl", b"etc/ssl/certs", b"etc/pki", b"etc/pki/tls", b"etc/pki/tls/certs"}
)
"""Directories that the root has where it has certificates: an output's are merged in."""

OWN_DIRECTORIES = ETC_DIRECTORIES | {
    *(b"etc", b"home", b"home/nonroot", b"root", b"usr", b"var"),
    *(b"var/cache", b"var/empty", b"var/lib", b"var/log"),
}
"""Directories that are real ones in every root, or in every one with certificates."""

OWN_FILES = frozenset(
    b"etc/" + name
    for name in (
        *(b"passwd", b"group", b"nsswitch.conf", b"os-release"),
        *(b"services", b"protocols", b"mime.types"),
        *(b"ssl/cert.pem", b"ssl/certs/ca-certificates.crt", b"ssl/certs/ca-bundle.crt"),
        b"pki/tls/certs/ca-bundle.crt",
    )
)
"""What the root has itself: where an output has one, it is known by its bytes."""

_OF_STATE = frozenset({b"var/cache", b"var/lib", b"var/log", b"var/spool"})


def is_of_state(name: bytes) -> bool:
    """Whether a directory is a real one since programs expect to write there: var/lib/nginx."""
    return name in _OF_STATE or name.rpartition(b"/")[0] in _OF_STATE


DEFAULT_PRIORITY = 5
"""`meta.priority` of a package that says none, as for `nix profile` and buildEnv; lower wins."""


class Reason(Enum):
    """Why the root does not show what an output has at one of its places."""

    FURNITURE = auto()
    """All packages have it, and nobody looks for it in a root: `share`, `lib`, documentation."""
    OF_THE_ENGINE = auto()
    """An engine lays its own over it when a container starts: a link there would send it into the
    store (moby/moby#42706)."""
    MOUNTED = auto()
    """Something is mounted over the directory that it is in, so that nobody would see it."""
    IN_THE_WAY = auto()
    """It cannot be where the root has a directory, or the store."""


_FURNITURE = frozenset(
    {
        *(b"share", b"include", b"libexec", b"nix-support", b"man", b"info", b"doc", b"docs"),
        *(b"lib", b"lib32", b"lib64", b"libx32"),
    }
)
PROGRAM_DIRECTORIES = (b"bin", b"sbin", b"usr/bin", b"usr/sbin")
"""Where an output has programs: they are all in one directory of the root."""
_DOCUMENTS = (b"README", b"LICENSE", b"LICENCE", b"COPYING", b"NOTICE", b"CHANGELOG", b"CHANGES")
_OF_THE_ENGINE = frozenset({b"etc/hostname", b"etc/hosts", b"etc/mtab", b"etc/resolv.conf"})
AT_RUN_TIME = frozenset({b"dev", b"proc", b"run", b"sys", b"tmp", b"var/run", b"var/tmp"})
"""Engines and Kubernetes mount over these, or links lead there, so that what is below them is not
seen. `podman run --read-only` has a tmpfs at /run, /tmp and /var/tmp."""


def reason_left_out(name: bytes) -> Reason | None:
    """Why the root does not show what an output has at `name`; None where it does.

    What is below a name that is left out is left out with it.
    """
    below = name.removeprefix(b"usr/")
    if name in _OF_THE_ENGINE:
        return Reason.OF_THE_ENGINE
    if name in AT_RUN_TIME:
        return Reason.MOUNTED
    if below in _FURNITURE:
        return Reason.FURNITURE
    is_document = name.partition(b".")[0].upper() in _DOCUMENTS
    return Reason.FURNITURE if b"/" not in name and (is_document or name[:1] == b".") else None


class Copied(Struct, frozen=True):
    """What the root has as a file of its own in place of a link.

    `owner` is `USER:GROUP`, names or numbers.
    """

    data: bytes
    mode: int = 0o644
    owner: str = "0:0"


class FoundFile(Struct, frozen=True):
    """A file or directory of the closure that the view can link to.

    `name` is relative to where it was found: `app` in bin/, `etc/nginx/nginx.conf` in an output.
    `target` is its logical absolute path, `owner` the store path that it was reached by.
    `content` says what is there: equal values mean equal contents, whatever the path. It is
    `digest_content` of its bytes for every name that has, or could have, more than one owner, and
    where the links lead to otherwise. `priority` is that of its package; `copied` is the file that
    the root has in place of a link.
    """

    name: bytes
    target: bytes
    owner: StorePath
    content: bytes
    directory: bool = False
    priority: int = DEFAULT_PRIORITY
    copied: Copied | None = None
    is_empty: bool = False
    """Of a directory outside of etc/: whether there is nothing in it that a link could show."""


class LeftOut(Struct, frozen=True):
    """What an output has that its root does not show: paths below the output, by reason."""

    owner: StorePath
    names: Mapping[bytes, Reason]
    is_package: bool = False
    """Whether the root shows what it has as a package, and it has nothing else: then nobody looks
    for its furniture in the root."""


class ClosureContents(Struct, frozen=True):
    """What a closure has that the view shows; nothing here depends on an order.

    `programs` are executable files in `PROGRAM_DIRECTORIES` of the roots, hidden names left out.
    `places` are what else the outputs have for the root, by their names there: the direct children
    of each, and all children of those directories that are in `OWN_DIRECTORIES`, that several
    outputs have, or that have to be real ones, and so on down. `loaders` are dynamic
    loaders, one for each name. `zoneinfo` is a directory of time zones, `locales` one of glibc's
    locales and `locale_archive` the archive in it, `shell` a POSIX shell.
    `left_out` has an item for each output that has something that the root does not show.
    """

    store_dir: str = STORE_DIR
    programs: tuple[FoundFile, ...] = ()
    places: tuple[FoundFile, ...] = ()
    loaders: tuple[FoundFile, ...] = ()
    ca_bundle: FoundFile | None = None
    zoneinfo: FoundFile | None = None
    locales: FoundFile | None = None
    locale_archive: FoundFile | None = None
    services: FoundFile | None = None
    protocols: FoundFile | None = None
    mime_types: FoundFile | None = None
    shell: FoundFile | None = None
    left_out: tuple[LeftOut, ...] = ()


def digest_content(sha256: bytes) -> bytes:
    """What `FoundFile.content` is for a regular file, known by the SHA-256 of its bytes."""
    return b"sha256:" + sha256.hex().encode()

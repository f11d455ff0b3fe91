"""What a closure has that an image shows in its root: programs, etc/, certificates, and so on.

`nix.survey` finds it in the files of a closure, `plan.rootfs` places it.
"""

from __future__ import annotations

from msgspec import Struct

from nix2oci.model.closure import STORE_DIR, StorePath

ETC_DIRECTORIES = frozenset({b"ssl", b"ssl/certs", b"pki", b"pki/tls", b"pki/tls/certs"})
"""Directories below etc/ that the view makes itself, so that an output's must be merged in."""

ETC_FILES = frozenset(
    {
        *(b"passwd", b"group", b"nsswitch.conf", b"os-release"),
        *(b"services", b"protocols", b"mime.types"),
        *(b"ssl/cert.pem", b"ssl/certs/ca-certificates.crt", b"ssl/certs/ca-bundle.crt"),
        b"pki/tls/certs/ca-bundle.crt",
    }
)
"""Names below etc/ that the view gives itself: an output may only have the same content there."""


OF_THE_ENGINE = frozenset({b"hostname", b"hosts", b"mtab", b"resolv.conf"})
"""Names below etc/ that an engine lays its own over when a container starts: a link there would
send it into the store (moby/moby#42706), so an output's are left out."""

FURNITURE = frozenset(
    {
        *(b"bin", b"etc", b"share", b"include", b"libexec", b"nix-support"),
        *(b"man", b"info", b"doc", b"docs", b"lib", b"lib32", b"lib64", b"libx32"),
    }
)
"""What packages have at their top that the root shows, or that nobody looks for in a root."""


class FoundFile(Struct, frozen=True):
    """A file or directory of the closure that the view can link to.

    `name` is relative to where it was found: `app` in bin/, `nginx/nginx.conf` in etc/.
    `target` is its logical absolute path, `owner` the store path that it was reached by.
    `content` says what is there: equal values mean equal contents, whatever the path. It is
    `digest_content` of its bytes for every name that has, or could have, more than one owner, and
    where the links lead to otherwise.
    """

    name: bytes
    target: bytes
    owner: StorePath
    content: bytes
    directory: bool = False


class LeftOut(Struct, frozen=True):
    """What an output has that a root could show and does not: paths below the output."""

    owner: StorePath
    names: tuple[bytes, ...] = ()
    of_the_engine: tuple[bytes, ...] = ()
    """Those in `OF_THE_ENGINE`."""

    @property
    def all_names(self) -> tuple[bytes, ...]:
        return (*self.names, *self.of_the_engine)


class ClosureContents(Struct, frozen=True):
    """What a closure has that the view shows; nothing here depends on an order.

    `programs` are executable files in bin/ of the roots, hidden names left out. `etc` are the
    direct children of etc/ of the roots, and all children of those directories that are in
    `ETC_DIRECTORIES` or that several roots have, and so on down. `loaders` are dynamic loaders,
    one for each name. `zoneinfo` is a directory of time zones, `shell` a POSIX shell. `left_out`
    has an item for each root that has more than its `FURNITURE`.
    """

    store_dir: str = STORE_DIR
    programs: tuple[FoundFile, ...] = ()
    etc: tuple[FoundFile, ...] = ()
    loaders: tuple[FoundFile, ...] = ()
    ca_bundle: FoundFile | None = None
    zoneinfo: FoundFile | None = None
    services: FoundFile | None = None
    protocols: FoundFile | None = None
    mime_types: FoundFile | None = None
    shell: FoundFile | None = None
    left_out: tuple[LeftOut, ...] = ()


def digest_content(sha256: bytes) -> bytes:
    """What `FoundFile.content` is for a regular file, known by the SHA-256 of its bytes."""
    return b"sha256:" + sha256.hex().encode()

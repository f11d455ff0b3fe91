"""Which servers are believed to be who they say, and by which certificate they know us.

A directory of certificates is one as docker and podman have it: `*.crt` are authorities that are
trusted besides those of the system, `NAME.cert` with `NAME.key` is a certificate of our own.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator

from nix2oci.host.http.authorities import Authorities
from nix2oci.host.http.request_error import RequestError

# What Python 3.13 made its default: on every Python, it is as for docker, podman and skopeo.
_ONLY_NEWER = ssl.VERIFY_X509_STRICT
"""Refuses authorities without a key usage, as many private ones are."""
_ALSO_OLDER = ssl.VERIFY_X509_PARTIAL_CHAIN
"""A certificate that is named as an authority is one, even if another authority signed it."""


def context(
    host: str,
    authorities: Authorities,
    cert_dir: str | None = None,
    *,
    verify: bool = True,
    own: bool = True,
) -> ssl.SSLContext:
    """How to speak TLS with a server, named `host` or `host:port`.

    With `cert_dir`, that directory alone is asked for certificates; `own` says whether for one of
    our own, too. Raises `RequestError` when
    one cannot be read.
    """
    where = cert_dir or authorities.ca_file or ""
    try:
        listed = (
            {directory: _names(directory) for directory in _directories(host, authorities)}
            if cert_dir is None
            else {cert_dir: sorted(os.listdir(cert_dir))}
        ).items()
        where = authorities.ca_file or ""
        made = ssl.create_default_context(cafile=authorities.ca_file)
        made.verify_flags = made.verify_flags & ~_ONLY_NEWER | _ALSO_OLDER
        if not verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        for where in _files(listed, ".crt"):
            made.load_verify_locations(cafile=where)
        for where in _files(listed, ".cert") if own else ():
            made.load_cert_chain(where, where.removesuffix(".cert") + ".key")
    except FileNotFoundError as err:
        missing = _named(err.filename or where, authorities)
        raise RequestError(f"there is no certificate, or no key to it, at {missing}") from err
    except (ssl.SSLError, OSError) as err:
        cause = "it is no certificate" if isinstance(err, ssl.SSLError) else err.strerror
        named = _named(where, authorities)
        raise RequestError(f"the certificate {named} cannot be read: {cause}") from err
    return made


def _named(path: str, authorities: Authorities) -> str:
    """A file, and what says that it is that one."""
    is_from_there = path == authorities.ca_file
    return f"{path} (of SSL_CERT_FILE or NIX_SSL_CERT_FILE)" if is_from_there else path


def _directories(host: str, authorities: Authorities) -> list[str]:
    found = [os.path.join(home, host) for home in authorities.certificate_directories]
    return [directory for directory in found if os.path.isdir(directory)]


def _names(directory: str) -> list[str]:
    """What is in the directory of a registry; nothing where it is not for us to see."""
    try:
        return sorted(os.listdir(directory))
    except PermissionError:
        return []


def _files(directories: Iterable[tuple[str, list[str]]], suffix: str) -> Iterator[str]:
    for directory, names in directories:
        for name in names:
            if name.endswith(suffix):
                yield os.path.join(directory, name)

"""What a survey finds, made up; and the exact small files of every image."""

from __future__ import annotations

from msgspec.structs import replace
from support.storefiles import path_of

from nix2oci.model.closure_contents import FoundFile, digest_content

SAME, OTHER = digest_content(b"\1" * 32), digest_content(b"\2" * 32)


def found(
    owner: str, path: str, content: bytes | None = None, *, directory: bool = False
) -> FoundFile:
    """What a store path has at `path`; alone with its content unless that is given."""
    target = f"{path_of(owner)}/{path}".encode()
    name = path.rpartition("/")[2] if path.startswith("bin/") else path
    return FoundFile(name.encode(), target, path_of(owner), content or target, directory)


def closure_level(owner: str, path: str) -> FoundFile:
    one = found(owner, path, SAME)
    return replace(one, name=one.name.rpartition(b"/")[2])


CACERT = closure_level("nss-cacert-3.101", "etc/ssl/certs/ca-bundle.crt")
TZDATA = closure_level("tzdata-2024a", "share/zoneinfo")
BASH = closure_level("bash-5.2p26", "bin/sh")

PASSWD = """\
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
"""
GROUP = """\
root:x:0:
nobody:x:65534:
tty:x:5:
staff:x:50:
nonroot:x:65532:
"""
NSSWITCH = """\
passwd:    files
group:     files
shadow:    files
gshadow:   files
hosts:     files dns
networks:  files
protocols: files
services:  files
ethers:    files
rpc:       files
"""
OS_RELEASE = """\
ID=nix2oci
ID_LIKE=nixos
NAME="nix2oci"
PRETTY_NAME="nix2oci image"
"""

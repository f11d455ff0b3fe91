"""Files of an image as `ls` and `cat` ask for them, with the names of their owners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.model.links import At
from nix2oci.oci.layer.inodes import Inode
from nix2oci.oci.merged_files import ImageFiles
from nix2oci.text import display

_MOST = 1 << 20
"""Bytes of an /etc/passwd that is read."""


class Listed(Struct, frozen=True):
    """What is at a path; `layer` is the digest of the one that has it, if any has an entry."""

    path: bytes
    """From the root, with a slash before it."""
    inode: Inode
    layer: str | None
    user: str | None
    """The name that the image has for the number of the owner."""
    group: str | None

    @property
    def size(self) -> int:
        """Bytes of a file, or of where a link leads."""
        return self.inode.member.size if self.inode.target is None else len(self.inode.target)


def list_path(files: ImageFiles, path: bytes) -> tuple[Listed, ...]:
    """What is in a directory, or the file or link that is there, as `ls -l` has it.

    Raises `ConfigError` where there is nothing, and what reading layers raises.
    """
    found, at = _find(files, path, "list", follow=False)
    paths = files.names(found) if at is At.DIRECTORY else [found]
    inodes = {path: inode for path in paths if (inode := files.inode(path))}
    users = _names(files, b"etc/passwd") if inodes else {}
    groups = _names(files, b"etc/group") if inodes else {}
    return tuple(
        Listed(
            b"/" + path,
            inode,
            files.layer(inode),
            users.get(inode.member.uid),
            groups.get(inode.member.gid),
        )
        for path, inode in inodes.items()
    )


def file_content(files: ImageFiles, path: bytes) -> Iterator[memoryview]:
    """The bytes of the regular file that a path leads to.

    Raises `ConfigError` where it leads to none, and what reading layers raises.
    """
    found, at = _find(files, path, "read", follow=True)
    inode = files.inode(found)
    if at is At.DIRECTORY or inode is None or not inode.is_file:
        what = "a directory" if at is At.DIRECTORY else "no regular file"
        raise ConfigError(
            f"cannot read {_shown(path)} of {files.where}: it is {what}",
            hint=f"see: nix2oci ls {files.where} {_shown(path)}",
        )
    return files.content(inode)


def _find(files: ImageFiles, path: bytes, verb: str, *, follow: bool) -> tuple[bytes, At]:
    found = files.find(path, follow=follow)
    if found.exists:
        return found.path[1:], found.at
    cause, above = "it is not in the image", found.path.rpartition(b"/")[0] or b"/"
    if found.at is At.LOOP:
        cause = "links lead in circles there"
    elif follow and files.find(path, follow=False).exists:
        cause = f"it leads to {display(found.path)}, which is not in the image"
    raise ConfigError(
        f"cannot {verb} {_shown(path)} of {files.where}: {cause}",
        hint=None if found.at is At.LOOP else f"see: nix2oci ls {files.where} {display(above)}",
    )


def _shown(path: bytes) -> str:
    return display(b"/" + path.lstrip(b"/"))


def _names(files: ImageFiles, path: bytes) -> Mapping[int, str]:
    """The first name of each number in a file like /etc/passwd (passwd(5), group(5))."""
    found = files.find(path)
    inode = files.inode(found.path[1:]) if found.at is At.FILE else None
    if inode is None or not inode.is_file or inode.member.size > _MOST:
        return {}
    names: dict[int, str] = {}
    for line in b"".join(files.content(inode)).split(b"\n"):
        name, _, number, *_ = *line.split(b":"), b"", b"", b""
        if name and number.isdigit() and len(number) <= 10:
            names.setdefault(int(number), display(name))
    return names

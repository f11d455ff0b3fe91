"""The small files of every root, and what becomes of them where an output has such a file.

An output that was named has a say: its accounts come before ours, as those of a base image do, and
its nsswitch.conf and os-release take the place of ours. nixpkgs' fakeNss and the /etc of a NixOS
are such outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.model.accounts import Accounts
from nix2oci.model.closure_contents import FoundFile, digest_content
from nix2oci.model.tree import File, Owned, Symlink, text_file
from nix2oci.plan.claims import Claim, link, own
from nix2oci.plan.overlay.join_accounts import join_group, join_passwd, owner_of_file
from nix2oci.text import display

# glibc has `files` and `dns` built in; every other service is a library that an image lacks.
_NSSWITCH = """\
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

# os-release(5). Scanners choose a feed of advisories by ID: an image holds no distribution's
# packages, so it has an ID of its own. No version, lest every release change every image.
_OS_RELEASE = """\
ID=nix2oci
ID_LIKE=nixos
NAME="nix2oci"
PRETTY_NAME="nix2oci image"
"""

_PASSWD, _GROUP = b"etc/passwd", b"etc/group"
_NSSWITCH_CONF, _RELEASE = b"etc/nsswitch.conf", b"etc/os-release"


class Asked(Struct, frozen=True):
    """The names of accounts that the image spec adds."""

    users: Collection[str] = ()
    groups: Collection[str] = ()


class OwnFiles(Struct, frozen=True):
    """Accounts of the image, and which output has a say in which file."""

    passwd: bytes
    group: bytes
    theirs: Mapping[bytes, FoundFile]

    @classmethod
    def of(cls, accounts: Accounts, asked: Asked, places: Iterable[FoundFile]) -> OwnFiles:
        """Raises `ConfigError` where an output has other accounts of a name or number asked for."""
        theirs = _first_of_each(places)
        passwd, group = accounts.passwd().encode(), accounts.group().encode()
        if below := _copied(theirs, _PASSWD):
            passwd = join_passwd(below[0], passwd, asked.users, below[1])
        if below := _copied(theirs, _GROUP):
            group = join_group(below[0], group, asked.groups, below[1])
        return cls(passwd, group, theirs)

    def claims(self) -> Iterator[Claim]:
        """The four files, and the other name of os-release."""
        yield self._accounts(_PASSWD, self.passwd)
        yield self._accounts(_GROUP, self.group)
        if _NSSWITCH_CONF not in self.theirs:
            yield _text(_NSSWITCH_CONF, _NSSWITCH)
        release = self.theirs.get(_RELEASE)
        name = Symlink(_RELEASE, b"../usr/lib/os-release")
        if release is None:
            yield _text(b"usr/lib/os-release", _OS_RELEASE)
            yield own(name, digest(_OS_RELEASE.encode()))
        else:
            yield link(b"usr/lib/os-release", release)
            yield Claim(Owned(name, str(release.owner)), release.content, release.priority)

    def _accounts(self, path: bytes, data: bytes) -> Claim:
        file, found = File(path, len(data), (data,), 0o644), self.theirs.get(path)
        if found is None or found.copied is None:
            return own(file, digest(data))
        return Claim(Owned(file, str(found.owner)), found.content, found.priority)

    def copy(self, path: bytes, found: FoundFile) -> Claim:
        """What an output has at `path`: a file of the root where it is copied, else a link.

        Raises `ConfigError` for an owner that nobody knows.
        """
        copied = found.copied
        if copied is None or path in (_PASSWD, _GROUP):
            return link(path, found)
        ids = owner_of_file(copied.owner, self.passwd, self.group)
        if ids is None:
            raise ConfigError(
                f"cannot copy {display(found.target)} to /{display(path)}: nobody knows its owner, "
                f"'{copied.owner}'",
                hint="name it in 'users' and 'groups', or say in 'files' what is at that path",
            )
        file = File(path, len(copied.data), (copied.data,), copied.mode, *ids)
        content = b"%s %o %d:%d" % (digest(copied.data), copied.mode, *ids)
        return Claim(Owned(file, str(found.owner)), content, found.priority)


def digest(data: bytes) -> bytes:
    """The content of a claim for these bytes."""
    return digest_content(hashlib.sha256(data).digest())


def _text(path: bytes, text: str) -> Claim:
    return own(text_file(path.decode(), text), digest(text.encode()))


def _first_of_each(places: Iterable[FoundFile]) -> dict[bytes, FoundFile]:
    """What outputs have in place of our files; the lowest priority counts, then the first."""
    names = {_PASSWD, _GROUP, _NSSWITCH_CONF, _RELEASE}
    found: dict[bytes, FoundFile] = {}
    for each in sorted(places, key=lambda each: (each.priority, each.owner)):
        if each.name in names and not each.directory:
            found.setdefault(each.name, each)
    return found


def _copied(theirs: Mapping[bytes, FoundFile], path: bytes) -> tuple[bytes, str] | None:
    """The bytes that an output has there, and the output."""
    found = theirs.get(path)
    return (found.copied.data, str(found.owner)) if found and found.copied else None

"""Users and groups of an image joined to those that a base image has.

The lines of the base stay as they are, byte for byte, and ours come behind them. Those that every
image has are left out where the base has their name or number; what the image spec asks for is
never left out in silence.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.model.accounts import Accounts, Group, User


class _Line(Struct, frozen=True):
    """Name, and the numbers behind the password: uid and gid, or gid alone."""

    name: str
    numbers: tuple[int, ...]


def join_passwd(below: bytes, accounts: Accounts, asked: Container[str]) -> bytes:
    """The content of /etc/passwd: the base's, and our users behind it.

    `asked` are the names of users that the image spec adds. Raises `ConfigError` where one of
    these has a name or number that another user of the base has.
    """
    taken = _Taken.of(below, 2)
    new = [user for user in accounts.users if taken.lacks(_of_user(user), "user", asked)]
    return _behind(below, Accounts(tuple(new), ()).passwd())


def join_group(below: bytes, accounts: Accounts, asked: Container[str]) -> bytes:
    """The content of /etc/group: the base's, and our groups behind it.

    `asked` are the names of groups that the image spec adds. Raises `ConfigError` where one of
    these has the name or number of another group of the base.
    """
    taken = _Taken.of(below, 1)
    new = [group for group in accounts.groups if taken.lacks(_of_group(group), "group", asked)]
    for group in accounts.groups:
        if group.name in asked and group not in new and group.members:
            raise ConfigError(
                f"cannot add group '{group.name}': the base image has it, with members of its own",
                hint="leave its members out, or give it another name and number",
            )
    return _behind(below, Accounts((), tuple(new)).group())


class _Taken(Struct, frozen=True):
    """What the lines of a file have taken."""

    lines: Mapping[str, _Line]
    names: Mapping[int, str]

    @classmethod
    def of(cls, content: bytes, numbers: int) -> _Taken:
        lines = list(_lines(content, numbers))
        return cls(
            {line.name: line for line in reversed(lines)},
            {line.numbers[0]: line.name for line in reversed(lines)},
        )

    def lacks(self, line: _Line, what: str, asked: Container[str]) -> bool:
        """Whether neither name nor number is there; raises for what was asked for and differs."""
        name, number = line.name, line.numbers[0]
        there = self.lines.get(name)
        if there is None and number not in self.names:
            return True
        if name in asked and there != line:
            cause = "that name already"
            if number in self.names and self.names[number] != name:
                cause = f"its number {number} already, as '{self.names[number]}'"
            raise ConfigError(
                f"cannot add {what} '{name}': the base image has {cause}",
                hint=f"choose a name and a number that the base image has no {what} for",
            )
        return False


def _lines(content: bytes, numbers: int) -> Iterator[_Line]:
    """The lines that are accounts, the first `numbers` numbers of each."""
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        name, *fields = line.split(":")
        found = fields[1 : 1 + numbers]
        if len(found) == numbers and all(field.isascii() and field.isdigit() for field in found):
            yield _Line(name, tuple(map(int, found)))


def _of_user(user: User) -> _Line:
    return _Line(user.name, (user.uid, user.gid))


def _of_group(group: Group) -> _Line:
    return _Line(group.name, (group.gid,))


def _behind(below: bytes, added: str) -> bytes:
    newline = b"\n" if below and added and not below.endswith(b"\n") else b""
    return below + newline + added.encode()

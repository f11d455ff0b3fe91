"""Users and groups of an image joined to those that a base image has.

The lines of the base stay as they are, byte for byte, and ours come behind them. Those that every
image has are left out where the base has their name or number; what the image spec asks for is
never left out in silence.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.model.accounts import LAST_ID, Accounts, Group, User


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


def owner_of(user: str, passwd: bytes, group: bytes) -> tuple[int, int] | None:
    """The uid and gid of a process that `USER` or `USER:GROUP` of a configuration starts.

    As engines have it (config.md, User): no user is root, a user without a group has that of
    /etc/passwd, else 0. None for a name that is not there: no engine starts it.
    """
    name, _, group_name = user.partition(":")
    of_user = _numbers(name, _lines(passwd, 2))
    of_group = _numbers(group_name, _lines(group, 1)) if group_name else (of_user or ())[1:]
    return (of_user[0], of_group[0]) if of_user and of_group else None


def owner_of_file(owner: str, passwd: bytes, group: bytes) -> tuple[int, int] | None:
    """The uid and gid that `OWNER` or `OWNER:GROUP` means for a file; None for an unknown name.

    Without a group that is the owner's own: the one of /etc/passwd, else of the same number.
    """
    name, _, group_name = owner.partition(":")
    known = any(name in (line.name, str(line.numbers[0])) for line in _lines(passwd, 2))
    of_owner = owner_of(owner, passwd, group)
    return (of_owner[0], of_owner[0]) if of_owner and not (known or group_name) else of_owner


def home_of(uid: int, passwd: bytes) -> str:
    """Where a user is at home; empty for one that has no line."""
    for line in passwd.decode("utf-8", "surrogateescape").split("\n"):
        fields = line.split(":")
        if len(fields) > 5 and fields[2] == str(uid):
            return fields[5]
    return ""


def _numbers(name: str, lines: Iterable[_Line]) -> tuple[int, ...] | None:
    """Those of the first line with that name or number; a number without a line has group 0."""
    for line in lines:
        if name in (line.name, str(line.numbers[0])):
            return line.numbers
    if not name:
        return 0, 0
    return (int(name), 0) if _is_id(name) and int(name) <= LAST_ID else None


def _is_id(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) <= len(str(LAST_ID))


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
        if len(found) == numbers and all(map(_is_id, found)):
            yield _Line(name, tuple(map(int, found)))


def _of_user(user: User) -> _Line:
    return _Line(user.name, (user.uid, user.gid))


def _of_group(group: Group) -> _Line:
    return _Line(group.name, (group.gid,))


def _behind(below: bytes, added: str) -> bytes:
    newline = b"\n" if below and added and not below.endswith(b"\n") else b""
    return below + newline + added.encode()

"""Users and groups joined to those of a base image, or of an output.

The lines that are there stay as they are, byte for byte, and others come behind them. Those that
every image has are left out where their name or number is there; what was asked for is never left
out in silence.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.model.accounts import LAST_ID
from nix2oci.plan.overlay.lower_tree import THE_BASE


class _Line(Struct, frozen=True):
    """Name, the numbers behind the password (uid and gid, or gid alone), and the whole line."""

    name: str
    numbers: tuple[int, ...]
    text: str

    def is_as(self, other: _Line) -> bool:
        return (self.name, self.numbers) == (other.name, other.numbers)


def join_passwd(below: bytes, above: bytes, asked: Container[str], who: str = THE_BASE) -> bytes:
    """The content of /etc/passwd: what is there, and the users of `above` behind it.

    `asked` are the names of users that were asked for. Raises `ConfigError` where one of these
    has a name or number that another user has of `who`.
    """
    taken = _Taken.of(below, 2, who)
    return _behind(below, [one for one in _lines(above, 2) if taken.lacks(one, "user", asked)])


def join_group(below: bytes, above: bytes, asked: Container[str], who: str = THE_BASE) -> bytes:
    """The content of /etc/group: what is there, and the groups of `above` behind it.

    `asked` are the names of groups that were asked for. Raises `ConfigError` where one of these
    has the name or number of another group of `who`, or members that it has not there.
    """
    taken = _Taken.of(below, 1, who)
    new = [one for one in _lines(above, 1) if taken.lacks(one, "group", asked)]
    for one in _lines(above, 1):
        if one.name in asked and one not in new and one.text.rpartition(":")[2]:
            raise ConfigError(
                f"cannot add group '{one.name}': {who} has it, with members of its own",
                hint="leave its members out, or give it another name and number",
            )
    return _behind(below, new)


def names_in(content: bytes) -> set[str]:
    """The names of the accounts in /etc/passwd or /etc/group."""
    return {line.name for line in _lines(content, 1)}


def is_member(user: str, group: bytes) -> bool:
    """Whether a user has more groups: engines add them only where no group is named."""
    return any(user in line.text.rpartition(":")[2].split(",") for line in _lines(group, 1))


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
    """What the lines of a file of `who` have taken."""

    lines: Mapping[str, _Line]
    names: Mapping[int, str]
    who: str

    @classmethod
    def of(cls, content: bytes, numbers: int, who: str) -> _Taken:
        lines = list(_lines(content, numbers))
        return cls(
            {line.name: line for line in reversed(lines)},
            {line.numbers[0]: line.name for line in reversed(lines)},
            who,
        )

    def lacks(self, line: _Line, what: str, asked: Container[str]) -> bool:
        """Whether neither name nor number is there; raises for what was asked for and differs."""
        name, number = line.name, line.numbers[0]
        there = self.lines.get(name)
        if there is None and number not in self.names:
            return True
        if name in asked and not (there and there.is_as(line)):
            cause = "that name already"
            if number in self.names and self.names[number] != name:
                cause = f"its number {number} already, as '{self.names[number]}'"
            raise ConfigError(
                f"cannot add {what} '{name}': {self.who} has {cause}",
                hint=f"choose a name and a number that {self.who} has no {what} for",
            )
        return False


def _lines(content: bytes, numbers: int) -> Iterator[_Line]:
    """The lines that are accounts, the first `numbers` numbers of each."""
    for line in content.decode("utf-8", "surrogateescape").split("\n"):
        name, *fields = line.split(":")
        found = fields[1 : 1 + numbers]
        if len(found) == numbers and all(map(_is_id, found)):
            yield _Line(name, tuple(map(int, found)), line)


def _behind(below: bytes, added: Iterable[_Line]) -> bytes:
    lines = b"".join(one.text.encode("utf-8", "surrogateescape") + b"\n" for one in added)
    newline = b"\n" if below and lines and not below.endswith(b"\n") else b""
    return below + newline + lines

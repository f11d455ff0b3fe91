"""The users and groups of an image: /etc/passwd, /etc/group, and whom the image runs as.

Three users and five groups are always there, first, with the same bytes as in distroless images.
The hard part is that all of it becomes lines of two files with ':' between the fields: a value
that would make another line, or shadow an account that is there, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from nix2oci.errors import ConfigError

NOLOGIN = "/sbin/nologin"
"""The shell of an account that nobody logs in to; the file need not exist."""

# What useradd and systemd both take (shadow's useradd(8), systemd's docs/USER_NAMES.md, "relaxed").
_NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,30}"
_FIELD = r"/[^:\x00-\x1f\x7f]*"
LAST_ID = (1 << 32) - 2
"""The largest uid and gid: 2^32 - 1 means "no user" to chown(2)."""


class User(Struct, frozen=True):
    """A line of /etc/passwd. `home` is absolute; an empty one means /home/NAME."""

    name: str
    uid: int
    gid: int
    home: str = ""
    shell: str = NOLOGIN

    @property
    def home_path(self) -> str:
        """Where the user is at home, absolute."""
        return self.home or f"/home/{self.name}"


class Group(Struct, frozen=True):
    """A line of /etc/group; `members` are names of users that have it besides their own."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


# The same as in distroless images (gcr.io/distroless/static, common/BUILD.bazel).
_USERS = (
    User("root", 0, 0, "/root"),
    User("nobody", 65534, 65534, "/nonexistent"),
    User("nonroot", 65532, 65532),
)
_GROUPS = (
    Group("root", 0),
    Group("nobody", 65534),
    Group("tty", 5),
    Group("staff", 50),
    Group("nonroot", 65532),
)


class Accounts(Struct, frozen=True):
    """All users and groups of an image, in the order of their lines."""

    users: tuple[User, ...]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, users: Iterable[User] = (), groups: Iterable[Group] = ()) -> Accounts:
        """The accounts that are always there, then those that are given, in their order.

        A gid that is no group becomes one, named after the first user that has it. Raises
        `ConfigError` for a name, ID, home or shell that has no form in the files, for a name or
        ID that is there already, and for a group member that is no user.
        """
        everyone = list(_USERS)
        for user in users:
            _check_user(user)
            _check_new(
                f"user '{user.name}'", user.name, user.uid, {u.name: u.uid for u in everyone}
            )
            everyone.append(user)
        all_groups = list(_GROUPS)
        for group in [*groups, *_own_groups(everyone, groups)]:
            _check_group(group, everyone)
            taken = {g.name: g.gid for g in all_groups}
            _check_new(f"group '{group.name}'", group.name, group.gid, taken)
            all_groups.append(group)
        return cls(tuple(everyone), tuple(all_groups))

    def passwd(self) -> str:
        """The content of /etc/passwd (passwd(5)); the name serves as the comment, too."""
        return "".join(
            f"{u.name}:x:{u.uid}:{u.gid}:{u.name}:{u.home_path}:{u.shell}\n" for u in self.users
        )

    def group(self) -> str:
        """The content of /etc/group (group(5))."""
        return "".join(f"{g.name}:x:{g.gid}:{','.join(g.members)}\n" for g in self.groups)

    def run_as(self, text: str) -> str:
        """What the image configuration says of `USER` or `USER:GROUP`: numbers, always.

        Names must be in /etc/passwd and /etc/group. Numbers need not be: a number is kept, and
        without a group the runtime takes that of /etc/passwd, or 0 for a user that is not in it
        (image-spec, config.md, User). A user who is in the image gets its gid written out,
        unless it has more groups: a runtime adds those only where no group is given.
        Raises `ConfigError` for a name that is not there, and for anything else.
        """
        user_text, colon, group_text = text.partition(":")
        names = {user.name: user.uid for user in self.users}
        uid = _id(text, user_text, names, "/etc/passwd")
        if colon:
            groups = {group.name: group.gid for group in self.groups}
            return f"{uid}:{_id(text, group_text, groups, '/etc/group')}"
        user = next((u for u in self.users if u.uid == uid), None)
        if user is None or any(user.name in group.members for group in self.groups):
            return str(uid)
        return f"{uid}:{user.gid}"


def _own_groups(users: Iterable[User], groups: Iterable[Group]) -> list[Group]:
    """A group for each gid that a user has and no group is, named after the first such user."""
    known = {group.gid for group in (*_GROUPS, *groups)}
    own: dict[int, Group] = {}
    for user in users:
        if user.gid not in known:
            own.setdefault(user.gid, Group(user.name, user.gid))
    return list(own.values())


def _check_user(user: User) -> None:
    what = f"user '{user.name}'"
    _check_name(what, user.name)
    _check_id(what, "uid", user.uid)
    _check_id(what, "gid", user.gid)
    for field, value in (("home", user.home_path), ("shell", user.shell)):
        if not re.fullmatch(_FIELD, value) or {"..", "."} & set(value.split("/")) or "//" in value:
            raise ConfigError(
                f"cannot add {what}: {field} {value!r} is not a plain absolute path",
                hint="start it with '/' and leave out ':', '.', '..' and control characters",
            )


def _check_group(group: Group, users: Iterable[User]) -> None:
    what = f"group '{group.name}'"
    _check_name(what, group.name)
    _check_id(what, "gid", group.gid)
    names = {user.name for user in users}
    for member in group.members:
        if member not in names:
            raise ConfigError(
                f"cannot add {what}: its member '{member}' is not a user of the image",
                hint="the users are " + ", ".join(sorted(names)),
            )


def _check_name(what: str, name: str) -> None:
    if not re.fullmatch(_NAME, name):
        raise ConfigError(
            f"cannot add {what}: it is not a name that /etc/passwd can hold",
            hint="use at most 31 letters, digits, '_', '.' and '-', a letter or '_' first",
        )


def _check_id(what: str, field: str, number: int) -> None:
    if not 0 <= number <= LAST_ID:
        raise ConfigError(f"cannot add {what}: {field} {number} is not in 0 to {LAST_ID}")


def _check_new(what: str, name: str, number: int, taken: dict[str, int]) -> None:
    hint = "these are taken: " + ", ".join(f"{n} ({i})" for n, i in taken.items())
    if name in taken:
        raise ConfigError(f"cannot add {what}: the image has that name already", hint=hint)
    for other, its_number in taken.items():
        if number == its_number:
            raise ConfigError(
                f"cannot add {what}: the image has its number {number} already, as '{other}'",
                hint=hint,
            )


def _id(whole: str, part: str, known: dict[str, int], file: str) -> int:
    if part in known:
        return known[part]
    if re.fullmatch(r"[0-9]{1,10}", part) and int(part) <= LAST_ID:
        return int(part)
    raise ConfigError(
        f"cannot run as user '{whole}': '{part}' is neither in the image's {file} nor a number",
        hint=f"give numbers, or one of {', '.join(known)}",
    )

"""Users and groups: what cannot be one, and whom an image runs as."""

from __future__ import annotations

import pytest

from nix2oci.errors import ConfigError
from nix2oci.model.accounts import Accounts, Group, User

TAKEN_USERS = "these are taken: root (0), nobody (65534), nonroot (65532)"
TAKEN_GROUPS = "these are taken: root (0), nobody (65534), tty (5), staff (50), nonroot (65532)"
PLAIN = "start it with '/' and leave out ':', '.', '..' and control characters"
NAME = "use at most 31 letters, digits, '_', '.' and '-', a letter or '_' first"


@pytest.mark.parametrize(
    ("users", "groups", "message", "hint"),
    [
        pytest.param(
            [User("nonroot", 7, 7)],
            [],
            "cannot add user 'nonroot': the image has that name already",
            TAKEN_USERS,
            id="a user's name is taken",
        ),
        pytest.param(
            [User("app", 0, 0)],
            [],
            "cannot add user 'app': the image has its number 0 already, as 'root'",
            TAKEN_USERS,
            id="a uid is taken",
        ),
        pytest.param(
            [User("a", 7, 7), User("b", 7, 7)],
            [],
            "cannot add user 'b': the image has its number 7 already, as 'a'",
            TAKEN_USERS + ", a (7)",
            id="two new users with one uid",
        ),
        pytest.param(
            [],
            [Group("tty", 7)],
            "cannot add group 'tty': the image has that name already",
            TAKEN_GROUPS,
            id="a group's name is taken",
        ),
        pytest.param(
            [],
            [Group("app", 5)],
            "cannot add group 'app': the image has its number 5 already, as 'tty'",
            TAKEN_GROUPS,
            id="a gid is taken",
        ),
        pytest.param(
            [User("app", 7, 8)],
            [Group("app", 9)],
            "cannot add group 'app': the image has that name already",
            TAKEN_GROUPS + ", app (9)",
            id="a user's own group has a name that another gid has",
        ),
        pytest.param(
            [],
            [Group("app", 9, ("root", "nix"))],
            "cannot add group 'app': its member 'nix' is not a user of the image",
            "the users are nobody, nonroot, root",
            id="a member is no user",
        ),
        pytest.param(
            [User("a:b", 7, 7)],
            [],
            "cannot add user 'a:b': it is not a name that /etc/passwd can hold",
            NAME,
            id="a name with a colon",
        ),
        pytest.param(
            [],
            [Group("1000", 7)],
            "cannot add group '1000': it is not a name that /etc/passwd can hold",
            NAME,
            id="a name that is a number",
        ),
        pytest.param(
            [User("app", 7, 7, "home")],
            [],
            "cannot add user 'app': home 'home' is not a plain absolute path",
            PLAIN,
            id="a home that is relative",
        ),
        pytest.param(
            [User("app", 7, 7, "/a/../b")],
            [],
            "cannot add user 'app': home '/a/../b' is not a plain absolute path",
            PLAIN,
            id="a home that climbs",
        ),
        pytest.param(
            [User("app", 7, 7, "/a", "/bin/sh\nx:y")],
            [],
            "cannot add user 'app': shell '/bin/sh\\nx:y' is not a plain absolute path",
            PLAIN,
            id="a shell that is another line",
        ),
        pytest.param(
            [User("app", -1, 7)],
            [],
            "cannot add user 'app': uid -1 is not in 0 to 4294967294",
            None,
            id="a negative uid",
        ),
        pytest.param(
            [User("app", 7, 4294967295)],
            [],
            "cannot add user 'app': gid 4294967295 is not in 0 to 4294967294",
            None,
            id="a gid that means none",
        ),
    ],
)
def test_accounts_that_cannot_be(
    users: list[User], groups: list[Group], message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        Accounts.of(users, groups)
    assert (str(caught.value), caught.value.hint) == (message, hint)


ACCOUNTS = Accounts.of(
    [User("app", 1000, 1000), User("db", 1001, 1000)], [Group("adm", 4, ("db",))]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("nobody", "65534:65534", id="a name becomes numbers"),
        pytest.param("65532", "65532:65532", id="a known number gets its group"),
        pytest.param("0:0", "0:0", id="numbers are kept"),
        pytest.param("1234", "1234", id="an unknown number is allowed"),
        pytest.param("1234:7", "1234:7", id="so is an unknown group"),
        pytest.param("app:adm", "1000:4", id="names of user and group"),
        pytest.param("1000:adm", "1000:4", id="a number and a name"),
        pytest.param("db", "1001", id="a runtime adds more groups only where none is given"),
        pytest.param("0012", "12", id="a number is written plainly"),
    ],
)
def test_run_as(text: str, expected: str) -> None:
    assert ACCOUNTS.run_as(text) == expected


@pytest.mark.parametrize(
    ("text", "part", "file", "known"),
    [
        pytest.param("web", "web", "/etc/passwd", "root, nobody, nonroot, app, db", id="no user"),
        pytest.param("x y", "x y", "/etc/passwd", "root, nobody, nonroot, app, db", id="a blank"),
        pytest.param("", "", "/etc/passwd", "root, nobody, nonroot, app, db", id="nothing"),
        pytest.param(
            "4294967295",
            "4294967295",
            "/etc/passwd",
            "root, nobody, nonroot, app, db",
            id="too large",
        ),
        pytest.param(
            "app:web",
            "web",
            "/etc/group",
            "root, nobody, tty, staff, nonroot, adm, app",
            id="no group",
        ),
        pytest.param(
            "0:0:0",
            "0:0",
            "/etc/group",
            "root, nobody, tty, staff, nonroot, adm, app",
            id="a third number",
        ),
    ],
)
def test_run_as_nobody_there(text: str, part: str, file: str, known: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ACCOUNTS.run_as(text)
    assert str(caught.value) == (
        f"cannot run as user '{text}': '{part}' is neither in the image's {file} nor a number"
    )
    assert caught.value.hint == f"give numbers, or one of {known}"

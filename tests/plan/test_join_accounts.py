"""Users and groups of an image behind those of its base."""

from __future__ import annotations

import pytest

from nix2oci.errors import ConfigError
from nix2oci.model.accounts import Accounts, Group, User
from nix2oci.plan.overlay.join_accounts import join_group, join_passwd, owner_of

PASSWD = b"root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/sh\n"
GROUP = b"root:x:0:\nnode:x:1000:\nwww:x:33:node\n"
NOBODY = b"nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
NONROOT = b"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
OTHERS = b"nobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n"


def passwd(below: bytes, *users: User) -> bytes:
    return join_passwd(below, Accounts.of(users).passwd().encode(), {user.name for user in users})


def group(below: bytes, *groups: Group, users: tuple[User, ...] = ()) -> bytes:
    above = Accounts.of(users, groups).group().encode()
    return join_group(below, above, {each.name for each in groups})


@pytest.mark.parametrize(
    ("below", "added"),
    [
        pytest.param(PASSWD, NOBODY + NONROOT, id="root is the base's"),
        pytest.param(PASSWD[:-1], b"\n" + NOBODY + NONROOT, id="a file without a last newline"),
        pytest.param(
            PASSWD + b"nobody:x:99:99::/:/\n", NONROOT, id="a name that the base has, any number"
        ),
        pytest.param(
            PASSWD + b"me:x:65532:1::/:/\n", NOBODY, id="a number that the base has, any name"
        ),
        pytest.param(
            PASSWD + b"\n# x\n+::::::\nbad:x:y:z:::\n\xff:x:7:7::/:/\n",
            NOBODY + NONROOT,
            id="lines that are no users stay",
        ),
    ],
)
def test_lines_of_the_base_stay_and_ours_come_behind(below: bytes, added: bytes) -> None:
    assert passwd(below) == below + added


def test_an_empty_file_gets_all_users() -> None:
    assert passwd(b"") == Accounts.of().passwd().encode()


def test_a_user_that_is_asked_for_comes_last() -> None:
    app = b"app:x:1001:1001:app:/home/app:/sbin/nologin\n"
    assert passwd(PASSWD, User("app", 1001, 1001)) == PASSWD + NOBODY + NONROOT + app


def test_a_user_that_the_base_has_is_the_bases() -> None:
    assert passwd(PASSWD, User("node", 1000, 1000)) == PASSWD + NOBODY + NONROOT


@pytest.mark.parametrize(
    ("user", "message"),
    [
        pytest.param(
            User("app", 1000, 1000),
            "cannot add user 'app': the base image has its number 1000 already, as 'node'",
            id="a number that another user has",
        ),
        pytest.param(
            User("node", 1001, 1001),
            "cannot add user 'node': the base image has that name already",
            id="a name that has another number",
        ),
        pytest.param(
            User("node", 1000, 7),
            "cannot add user 'node': the base image has that name already",
            id="a name and number with another group",
        ),
    ],
)
def test_a_user_that_the_base_has_otherwise_is_refused(user: User, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        passwd(PASSWD, user)
    assert str(raised.value) == message
    assert raised.value.hint == "choose a name and a number that the base image has no user for"


def test_groups_come_behind_those_of_the_base() -> None:
    assert group(GROUP) == GROUP + OTHERS
    audit = b"audit:x:2000:\n"
    assert group(GROUP, Group("audit", 2000)) == GROUP + OTHERS + audit


def test_the_group_of_a_user_is_the_bases_where_it_has_the_number() -> None:
    assert group(GROUP, users=(User("web", 1001, 33),)) == GROUP + OTHERS
    own = b"web:x:1001:\n"
    assert group(GROUP, users=(User("web", 1001, 1001),)) == GROUP + OTHERS + own


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param(
            Group("audit", 33),
            "cannot add group 'audit': the base image has its number 33 already, as 'www'",
            id="a number that another group has",
        ),
        pytest.param(
            Group("www", 34),
            "cannot add group 'www': the base image has that name already",
            id="a name that has another number",
        ),
        pytest.param(
            Group("www", 33, ("nonroot",)),
            "cannot add group 'www': the base image has it, with members of its own",
            id="members for a group of the base",
        ),
    ],
)
def test_a_group_that_the_base_has_otherwise_is_refused(asked: Group, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        group(GROUP, asked)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        ("", (0, 0)),
        ("node", (1000, 1001)),
        ("1000", (1000, 1001)),
        ("node:www", (1000, 33)),
        ("7", (7, 0)),
        ("7:8", (7, 8)),
        ("node:", (1000, 1001)),
        ("nobody", None),
        ("node:staff", None),
        ("9" * 5000, None),
    ],
)
def test_a_process_has_the_numbers_that_engines_give_it(
    user: str, owner: tuple[int, int] | None
) -> None:
    passwd = b"root:x:0:0::/:\nhuge:x:" + b"9" * 5000 + b":0::/:\nnode:x:1000:1001::/:\n"
    assert owner_of(user, passwd, b"root:x:0:\nwww:x:33:\n") == owner

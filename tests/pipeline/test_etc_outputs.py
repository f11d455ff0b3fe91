"""Outputs that are an /etc: fakeNss of nixpkgs, and system.build.etc of NixOS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.bases import base
from support.fakestore import Link, Node, Program
from support.several import flags_of, flake_of, image_of, listed, out_of
from support.smallimage import directory, entry
from support.surveys import GROUP, NSSWITCH, PASSWD

APP: Node = {b"bin": {b"app": Program(b"\x7fELF")}}
# As nixpkgs' fakeNss has them, with a user of one's own.
FAKE_PASSWD = """\
root:x:0:0:root user:/var/empty:/bin/sh
nobody:x:65534:65534:nobody:/var/empty:/bin/sh
shop:x:9001:9001:shop:/var/empty:/bin/sh
"""
FAKE_GROUP = "root:x:0:\nnobody:x:65534:\nshop:x:9001:\n"
FAKE_NSS: Node = {
    b"etc": {
        b"passwd": FAKE_PASSWD.encode(),
        b"group": FAKE_GROUP.encode(),
        b"nsswitch.conf": b"hosts: files dns\n",
    },
    b"var": {b"empty": {}},
}
NONROOT = "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
GROUPS = "tty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n"


def files(tmp_path: Path, more: Node, settings: str = "", *flags: str) -> dict[str, str]:
    packages = {"app": APP, "more": more}
    return listed(flake_of(tmp_path, packages, settings), *flags_of(packages), *flags)


def error(tmp_path: Path, more: Mapping[str, Node], settings: str = "") -> str:
    packages = {"app": APP, **more}
    done = flake_of(tmp_path, packages, settings).run("build", *flags_of(packages), "-o", "../x")
    assert done.returncode in (2, 5), done.stderr
    return done.stderr


# --- fakeNss ----------------------------------------------------------------------------------


def test_the_accounts_of_an_output_come_first(tmp_path: Path) -> None:
    found = files(tmp_path, FAKE_NSS, "files: {/data: {directory: true, owner: shop}}")
    assert found["/etc/passwd"] == f"0644 0:0 {FAKE_PASSWD}{NONROOT}"
    assert found["/etc/group"] == f"0644 0:0 {FAKE_GROUP}{GROUPS}"
    assert found["/etc/nsswitch.conf"] == f"-> {out_of('more')}/etc/nsswitch.conf"
    assert found["/var/empty"] == "0755 0:0 dir"
    assert found["/data"] == "0755 9001:9001 dir"


@pytest.mark.parametrize(
    ("user", "numbers"),
    [
        pytest.param("shop", "9001:9001", id="a user of the output"),
        pytest.param("shop:staff", "9001:5" + "0", id="and a group of every image"),
        pytest.param("nobody", "65534:65534", id="a user of every image"),
        pytest.param("www", "33", id="who has more groups, so that engines look for them"),
    ],
)
def test_the_image_runs_as_a_user_of_an_output(tmp_path: Path, user: str, numbers: str) -> None:
    etc: dict[bytes, Node] = {
        b"passwd": FAKE_PASSWD.encode() + b"www:x:33:33:::\n",
        b"group": FAKE_GROUP.encode() + b"www:x:33:\nlogs:x:44:shop1,www\n",
    }
    packages: dict[str, Node] = {"app": APP, "more": {b"etc": etc}}
    terminal = flake_of(tmp_path, packages, f"user: '{user}'\nworkdir: /work")
    found = listed(terminal, *flags_of(packages))
    assert image_of(terminal).user == numbers
    assert found["/work"].startswith(f"0755 {numbers.partition(':')[0]}:")


def test_the_image_runs_as_a_user_of_the_base(tmp_path: Path) -> None:
    terminal = flake_of(tmp_path, {"app": APP}, "base: ./base.oci:1.0\nuser: www")
    passwd = entry("etc/passwd", b"www:x:33:34:::\n")
    base(directory("etc"), passwd).write(terminal.directory / "base.oci")
    listed(terminal, ".#app")
    assert image_of(terminal).user == "33:34"


def test_a_user_whom_nobody_has_is_an_error(tmp_path: Path) -> None:
    said = error(tmp_path, {"more": FAKE_NSS}, "user: bob")
    assert "error: cannot run as user 'bob': it is neither in the image's /etc/passwd" in said
    assert "hint: give numbers" in said


def test_users_that_are_added_come_behind(tmp_path: Path) -> None:
    found = files(tmp_path, FAKE_NSS, "users: [{name: web, uid: 7}]")
    web = "web:x:7:7:web:/home/web:/sbin/nologin\n"
    assert found["/etc/passwd"] == f"0644 0:0 {FAKE_PASSWD}{NONROOT}{web}"


def test_a_user_that_the_output_has_otherwise_is_an_error(tmp_path: Path) -> None:
    said = error(tmp_path, {"more": FAKE_NSS}, "users: [{name: web, uid: 9001}]")
    assert f"cannot add user 'web': {out_of('more')} has its number 9001 already, as 'shop'" in said
    assert "hint: choose a name and a number" in said


def test_without_etc_the_files_are_those_of_every_image(tmp_path: Path) -> None:
    found = files(tmp_path, FAKE_NSS, "view: {etc: false}")
    assert found["/etc/passwd"] == f"0644 0:0 {PASSWD}"
    assert found["/etc/group"] == f"0644 0:0 {GROUP}"
    assert found["/etc/nsswitch.conf"] == f"0644 0:0 {NSSWITCH}"


def test_over_a_base_its_accounts_come_first(tmp_path: Path) -> None:
    theirs = "root:x:0:0:root:/root:/bin/bash\n"
    (tmp_path / "b").mkdir()
    base(directory("etc"), entry("etc/passwd", theirs.encode())).write(tmp_path / "b" / "base.oci")
    found = files(tmp_path, FAKE_NSS, "", "--base", f"{tmp_path}/b/base.oci:1.0")
    others = "".join(FAKE_PASSWD.splitlines(keepends=True)[1:])
    assert found["/etc/passwd"] == f"0644 0:0 {theirs}{others}{NONROOT}"


def test_two_outputs_with_other_accounts_are_an_error(tmp_path: Path) -> None:
    other: Node = {b"etc": {b"passwd": b"root:x:0:0::/:/\n"}}
    said = error(tmp_path, {"more": FAKE_NSS, "other": other})
    assert "cannot place /etc/passwd: both" in said
    assert "hint: leave one of them out, give one a lower meta.priority" in said


def test_the_os_release_of_an_output_is_the_images(tmp_path: Path) -> None:
    found = files(tmp_path, {b"etc": {b"os-release": b"ID=mine\n"}})
    assert found["/usr/lib/os-release"] == f"-> {out_of('more')}/etc/os-release"
    assert found["/etc/os-release"] == "-> ../usr/lib/os-release"


# --- NixOS ------------------------------------------------------------------------------------

NIXOS: Node = {
    b"etc": {
        b"static": {b"issue": b"hello"},
        b"issue": Link(b"/etc/static/issue"),
        b"hosts": b"127.0.0.1 localhost\n",
        b"sudoers": b"root ALL\n",
        b"sudoers.mode": b"0440\n",
        b"sudoers.uid": b"+0\n",
        b"sudoers.gid": b"staff\n",
        b"ssh": {
            b"config": b"Port 22\n",
            b"keys": b"secret",
            b"keys.mode": b"0400",
            b"keys.uid": b"nonroot",
            b"keys.gid": b"+7",
        },
        b"motd": Link(b"/etc/static/issue"),
        b"motd.mode": b"direct-symlink\n",
        b"motd.uid": b"+0\n",
        b"motd.gid": b"+0\n",
        b"game.mode": b"hard\n",
    }
}


def test_files_of_a_nixos_have_their_modes_and_owners(tmp_path: Path) -> None:
    found = files(tmp_path, NIXOS)
    etc = {path: said for path, said in found.items() if path.startswith("/etc/")}
    of_all = ("passwd", "group", "nsswitch.conf", "os-release")
    out = f"-> {out_of('more')}/etc"
    assert {path: said for path, said in etc.items() if path[5:] not in of_all} == {
        "/etc/static": f"{out}/static",
        "/etc/issue": f"{out}/issue",
        "/etc/sudoers": "0440 0:50 root ALL\n",
        "/etc/ssh": "0755 0:0 dir",
        "/etc/ssh/config": f"{out}/ssh/config",
        "/etc/ssh/keys": "0400 65532:7 secret",
        "/etc/motd": f"{out}/motd",
        "/etc/game.mode": f"{out}/game.mode",
    }


def test_an_owner_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    etc: Node = {b"etc": {b"x": b"", b"x.mode": b"0400", b"x.uid": b"nginx", b"x.gid": b"nginx"}}
    said = error(tmp_path, {"more": etc})
    assert f"cannot copy {out_of('more')}/etc/x to /etc/x: nobody knows its owner" in said
    assert "hint: name it in 'users' and 'groups'" in said
    (tmp_path / "again").mkdir()
    found = files(tmp_path / "again", etc, "users: [{name: nginx, uid: 60}]")
    assert found["/etc/x"] == "0400 60:60 "


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
def test_what_is_copied_is_small(tmp_path: Path, size: int) -> None:
    etc: Node = {b"etc": {b"passwd": b"#" * size}}
    if size > 1 << 20:
        assert "to /etc/passwd: it is larger than 1 MiB" in error(tmp_path, {"more": etc})
    else:
        assert files(tmp_path, etc)["/etc/passwd"].endswith(PASSWD)

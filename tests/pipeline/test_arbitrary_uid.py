"""`arbitrary-uid`: what is the user's is open to group 0, so that any user id of it may write."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from support.bases import base
from support.smallimage import SmallImage, directory, entry
from support.terminal import Terminal

SHOP = ("--user", "shop", "--users", "shop:1000:100")
FILES = """\
files:
  /data: {directory: true, owner: shop, mode: "0750"}
  /data/key: {text: a, owner: "shop:2000", mode: "0600"}
  /data/run: {text: a, owner: shop, mode: "0511"}
  /data/root: {text: a, mode: "0600"}
  /data/other: {text: a, owner: nobody, mode: "0600"}
  /data/set: {text: a, owner: shop, mode: "6711"}
  /data/drop: {directory: true, owner: shop, mode: "3700"}
  /data/link: {link: key}
"""


def built(scratch: Path, *flags: str, files: str = "", image: SmallImage | None = None) -> Terminal:
    """Where there is an image `../x`."""
    terminal = Terminal.make(scratch)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / "nix2oci.yaml").write_text(files)
    on: tuple[str, ...] = ()
    if image:
        image.write(terminal.directory / "base.oci")
        on = ("--base", "./base.oci:1.0")
    done = terminal.run("build", ".#app", "-o", "../x", "--arbitrary-uid", *on, *flags)
    assert done.returncode == 0, done.stderr
    return terminal


def listed(terminal: Terminal) -> dict[str, str]:
    """Mode and owner of each path."""
    assert terminal.run("export", "../x", "-o", "../x.tar").returncode == 0
    with tarfile.open(terminal.directory / "../x.tar") as tar:
        return {
            "/" + member.name.removeprefix("./"): f"{member.mode:04o} {member.uid}:{member.gid}"
            for member in tar
        }


def environment(terminal: Terminal) -> list[str]:
    done = terminal.run("inspect", "../x", "--json", "-q")
    env: list[str] = json.loads(done.stdout)["config"]["config"]["Env"]
    return [each for each in env if not each.startswith("PATH=")]


@pytest.mark.parametrize(
    ("flags", "files", "expected"),
    [
        pytest.param(
            [],
            "",
            {"/home/nonroot": "0770 65532:0", "/home": "0755 0:0", "/root": "0700 0:0"},
            id="the home of the default user, and nothing of root's",
        ),
        pytest.param(
            [*SHOP, "--users", "other:7", "--volumes", "/a/b", "--workdir", "/w"],
            "",
            {
                "/home/shop": "0770 1000:0",
                "/a/b": "0775 1000:0",
                "/w": "0775 1000:0",
                "/a": "0755 0:0",
                "/home/other": "0700 7:7",
                "/home/nonroot": "0700 65532:65532",
            },
            id="home, volume and workdir of the user, and nothing of other users",
        ),
        pytest.param(
            [*SHOP],
            FILES,
            {
                "/data": "0770 1000:0",
                "/data/key": "0660 1000:0",
                "/data/run": "0551 1000:0",
                "/data/root": "0600 0:0",
                "/data/other": "0600 65534:65534",
                "/data/set": "0771 1000:0",
                "/data/drop": "3770 1000:0",
            },
            id="files of the user have no more rights for the group than the owner has",
        ),
        pytest.param(
            ["--user", "7", "--volumes", "/v"],
            "",
            {"/v": "0775 7:0", "/home/nonroot": "0700 65532:65532"},
            id="of a number that nobody has",
        ),
    ],
)
def test_what_is_the_users_is_open_to_group_0(
    tmp_path: Path, flags: list[str], files: str, expected: dict[str, str]
) -> None:
    found = listed(built(tmp_path, *flags, files=files))
    assert {path: found[path] for path in expected} == expected


def test_the_store_and_what_is_roots_are_as_without_it(tmp_path: Path) -> None:
    flags = (*SHOP, "--volumes", "/v")
    terminal = built(tmp_path, *flags)
    found = listed(terminal)
    assert terminal.run("build", ".#app", "-o", "../x", *flags).returncode == 0
    plain = listed(terminal)
    assert found.keys() == plain.keys()
    assert {path for path in found if found[path] != plain[path]} == {"/home/shop", "/v"}


NODE = base(
    directory("etc"),
    entry("etc/passwd", b"node:x:1000:1000::/home/node:/bin/sh\n"),
    *(entry(name, type=b"5", mode=0o750, uid=1000, gid=1000) for name in ("home/node", "w", "n")),
    entry("w/f", b"", mode=0o600, uid=1000, gid=1000),
    entry("v", type=b"5", mode=0o700, uid=3, gid=4),
    run={"User": "node", "WorkingDir": "/w", "Volumes": {"/v": {}}},
)


def test_of_a_base_it_is_home_workdir_and_volumes_of_the_user(tmp_path: Path) -> None:
    files = "files: {/n/f: {text: a, owner: node}}"
    found = listed(built(tmp_path, image=NODE, files=files))
    expected = {
        "/home/node": "0770 1000:0",
        "/w": "0770 1000:0",
        "/n/f": "0664 1000:0",
        "/v": "0700 3:4",
        "/n": "0750 1000:1000",
        "/w/f": "0600 1000:1000",
    }
    assert {path: found[path] for path in expected} == expected


@pytest.mark.parametrize(
    ("flags", "image", "expected"),
    [
        pytest.param([], None, ["HOME=/home/nonroot"], id="the home of the default user"),
        pytest.param([*SHOP], None, ["HOME=/home/shop"], id="the home of the user"),
        pytest.param([*SHOP, "--env", "HOME=/tmp"], None, ["HOME=/tmp"], id="what env says"),
        pytest.param(["--user", "7"], None, [], id="nothing for a user without a home"),
        pytest.param(["--user", "nobody"], None, [], id="nothing where the home is nowhere"),
        pytest.param([], NODE, ["HOME=/home/node"], id="the home of the base image's user"),
        pytest.param(
            [],
            base(directory("etc"), run={"Env": ["HOME=/srv"]}),
            ["HOME=/srv"],
            id="what the base image says",
        ),
    ],
)
def test_home_is_told_to_who_has_none(
    tmp_path: Path, flags: list[str], image: SmallImage | None, expected: list[str]
) -> None:
    assert environment(built(tmp_path, *flags, image=image)) == expected


@pytest.mark.parametrize("user", ["root", "0", "0:5"])
def test_nothing_of_roots_is_shared(tmp_path: Path, user: str) -> None:
    done = Terminal.make(tmp_path).run("build", ".#app", "-q", "--arbitrary-uid", "--user", user)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith(
        "error: cannot let any user id write where user 0"
    )


def test_a_user_of_the_base_without_a_number_has_nothing_to_share(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    base(directory("etc"), run={"User": "node"}).write(terminal.directory / "base.oci")
    flags = ("-q", "--base", "base.oci:1.0", "-o", "x", "--arbitrary-uid")
    done = terminal.run("build", ".#app", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot run as user 'node' of the base image: ")


def test_the_names_that_people_try_lead_to_the_key(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / "nix2oci.yaml").write_text("openshift: true\n")
    done = terminal.run("plan", ".#app", "-q")
    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == "hint: it is 'arbitrary-uid: true'"

"""Volumes and the working directory: directories of the last layer that the user may write to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.bases import PASSWD, RUN, base
from support.fakestore import Node, Program
from support.smallimage import SmallImage, directory, entry, link
from support.terminal import APP, Terminal

from nix2oci.oci.base_image import BaseImage, read_base_image
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.spec import Platform
from nix2oci.oci.validate.check_image import validate_layout

Directories = dict[str, tuple[int, int, int]]
NGINX: Node = {b"bin": {b"app": Program(b"\x7fELF")}, b"etc": {b"nginx": {b"conf.d": {}}}}


def built(scratch: Path, *flags: str, image: SmallImage | None = None, app: Node = APP) -> Any:
    """What an image has: the layers of it, and the digest."""
    terminal = Terminal.make(scratch, app)
    on: tuple[str, ...] = ()
    if image:
        image.write(terminal.directory / "base.oci")
        on = ("--base", "base.oci:1.0")
    done = terminal.run("build", ".#app", "-o", "x", *on, *flags)
    assert done.returncode == 0, done.stderr
    layout = str(terminal.directory / "x")
    assert [str(finding) for finding in validate_layout(layout)] == []
    return read_base_image(open_image(layout), Platform("amd64"))


def directories(image: BaseImage, *paths: str) -> Directories:
    found = image.directories()
    return {path: found[path[1:].encode()] for path in paths}


MADE = [
    pytest.param(
        ["--volumes", "/var/lib/shop", "--workdir", "/app"],
        {
            "/var/lib/shop": (0o755, 65532, 65532),
            "/app": (0o755, 65532, 65532),
            "/var/lib": (0o755, 0, 0),
        },
        id="the default user's",
    ),
    pytest.param(
        ["--user", "7:8", "--volumes", "/a/b/c"],
        {"/a/b/c": (0o755, 7, 8), "/a/b": (0o755, 0, 0), "/a": (0o755, 0, 0)},
        id="a number's and its group's; root's above",
    ),
    pytest.param(["--user", "7", "--workdir", "/d"], {"/d": (0o755, 7, 0)}, id="group 0 without"),
    pytest.param(["--user", "root", "--workdir", "/d"], {"/d": (0o755, 0, 0)}, id="root's"),
    pytest.param(
        ["--user", "shop", "--users", "shop:1000:100:/home/s", "--volumes", "/home/s/v"],
        {"/home/s": (0o700, 1000, 100), "/home/s/v": (0o755, 1000, 100)},
        id="below a home, which stays as it is",
    ),
    pytest.param(
        ["--user", "shop", "--users", "shop:1000::/var/lib/shop", "--volumes", "/var/lib/shop"],
        {"/var/lib/shop": (0o700, 1000, 1000)},
        id="a home",
    ),
    pytest.param(
        ["--user", "shop", "--users", "shop:7:8", "--groups", "more:9:shop", "--workdir", "/d"],
        {"/d": (0o755, 7, 8)},
        id="of a user with more groups, who is recorded without a group",
    ),
    pytest.param(
        ["--volumes", "/var/cache", "--workdir", "/tmp"],
        {"/var/cache": (0o755, 0, 0), "/tmp": (0o1777, 0, 0)},
        id="what the root has is as it is",
    ),
    pytest.param(
        ["--volumes", "/lib/x", "--volumes", "/var/tmp/y"],
        {"/usr/lib/x": (0o755, 65532, 65532), "/var/tmp/y": (0o755, 65532, 65532)},
        id="behind a link of the root",
    ),
    pytest.param(
        ["--volumes", "/v", "--volumes", "/v/w", "--workdir", "/v"],
        {"/v": (0o755, 65532, 65532), "/v/w": (0o755, 65532, 65532)},
        id="one in another, and one twice",
    ),
]


@pytest.mark.parametrize(("flags", "expected"), MADE)
def test_a_directory_is_the_users(tmp_path: Path, flags: list[str], expected: Directories) -> None:
    assert directories(built(tmp_path, *flags), *expected) == expected


@pytest.mark.parametrize(
    "path",
    [
        *("/run/app", "/var/run/app", "/tmp/x", "/dev/x", "/proc/x", "/sys/fs/x"),
        *("/nix", "/nix/store", "/nix/store/x"),
    ],
)
def test_nothing_is_made_below_what_is_mounted_or_in_the_store(tmp_path: Path, path: str) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    found = built(tmp_path / "with", "--volumes", path, app=NGINX)
    plain = built(tmp_path / "without", app=NGINX)
    assert found.source.layers() == plain.source.layers()
    assert found.config.run.volumes == (path,)


@pytest.mark.parametrize("path", ["/etc/nginx", "/etc/nginx/conf.d", "/etc/nginx/x"])
def test_at_and_below_a_directory_of_an_output_it_is_made(tmp_path: Path, path: str) -> None:
    found = built(tmp_path, "--volumes", path, app=NGINX)
    assert directories(found, path) == {path: (0o755, 65532, 65532)}


ETC = (directory("etc"), entry("etc/passwd", PASSWD, mode=0o644))


@pytest.mark.parametrize(
    ("image", "flags", "expected"),
    [
        pytest.param(
            base(*ETC, run={"User": "node"}),
            ["--volumes", "/data"],
            {"/data": (0o755, 1000, 1000)},
            id="a user whom only the base knows",
        ),
        pytest.param(
            base(*ETC, run={"User": "1000"}),
            ["--volumes", "/data"],
            {"/data": (0o755, 1000, 1000)},
            id="a number whose group only the base knows",
        ),
        pytest.param(
            base(*ETC, run={"User": "node"}),
            ["--volumes", "/data", "--user", "5:6"],
            {"/data": (0o755, 5, 6)},
            id="who is asked for wins over the base",
        ),
        pytest.param(
            base(*ETC, run={"User": "node", "WorkingDir": "/w", "Volumes": {"/v": {}}}),
            [],
            {"/w": (0o755, 1000, 1000), "/v": (0o755, 1000, 1000)},
            id="what the base names and does not have",
        ),
        pytest.param(
            base(*ETC, entry("data", type=b"5", mode=0o750, uid=3, gid=4)),
            ["--volumes", "/data/x", "--workdir", "/data"],
            {"/data/x": (0o755, 1000, 1000), "/data": (0o750, 3, 4)},
            id="what the base has, and the directory above, is as it is",
        ),
        pytest.param(
            base(*ETC, directory("mnt"), link("data", "mnt/disk")),
            ["--volumes", "/data/x"],
            {"/mnt/disk/x": (0o755, 1000, 1000), "/mnt/disk": (0o755, 0, 0)},
            id="behind a link of the base that leads nowhere yet",
        ),
    ],
)
def test_a_base_has_its_say(
    tmp_path: Path, image: SmallImage, flags: list[str], expected: Directories
) -> None:
    assert directories(built(tmp_path, *flags, image=image), *expected) == expected


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        pytest.param(
            ["--volumes", "/etc/passwd"],
            "error: cannot make the directory /etc/passwd: /etc/passwd is a file of the image",
            id="a file",
        ),
        pytest.param(
            ["--workdir", "/etc/os-release/x"],
            "error: cannot make the directory /etc/os-release/x: "
            "/usr/lib/os-release is a file of the image",
            id="below a file, behind a link",
        ),
    ],
)
def test_a_file_is_no_directory(tmp_path: Path, flags: list[str], error: str) -> None:
    done = Terminal.make(tmp_path).run("build", ".#app", "-q", *flags)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == error


def test_a_user_of_the_base_without_a_number_owns_nothing(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    base(directory("etc"), run=RUN).write(terminal.directory / "base.oci")
    flags = ("-q", "--base", "base.oci:1.0", "-o", "x")
    done = terminal.run("build", ".#app", *flags, "--volumes", "/data")
    assert done.stderr.splitlines()[0] == (
        "error: cannot run as user 'node' of the base image: "
        "it is not in its /etc/passwd or /etc/group"
    )
    assert terminal.run("build", ".#app", *flags).returncode == 0

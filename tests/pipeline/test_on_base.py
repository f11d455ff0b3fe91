"""An image on a base image, as a user gets it, with a Nix that says what a test wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.bases import GROUP, PASSWD, RUN, as_docker, base
from support.fakenix import OUT
from support.json_page import documented
from support.smallimage import (
    Entry,
    Json,
    Layer,
    SmallImage,
    directory,
    entry,
    link,
    tar,
)
from support.spoiled import zstd
from support.terminal import APP, Completed, Terminal
from support.tools_terminal import ToolsTerminal

from nix2oci.oci.base_image import BaseImage, read_base_image
from nix2oci.oci.layout.source import ImageSource, open_image
from nix2oci.oci.spec import Platform
from nix2oci.oci.validate.check_image import validate_layout

PROGRAM = f"{OUT}/bin/app"
STORE = (
    directory("nix"),
    directory("nix/store"),
    directory(OUT[1:], 0o555),
    directory(OUT[1:] + "/bin", 0o555),
)
COMPLETE = (*STORE, entry(PROGRAM[1:], APP[b"bin"][b"app"].content))
"""The app's own store path, as a base may have it."""


class Place:
    """A terminal with a base in it, `base.oci:1.0`."""

    def __init__(self, scratch: Path, image: SmallImage) -> None:
        self.terminal = Terminal.make(scratch)
        self.directory = self.terminal.directory
        image.write(self.directory / "base.oci")

    def run(self, *more: str) -> Completed:
        base = () if "--base" in more else ("--base", "base.oci:1.0")
        return self.terminal.run("build", ".#app", *base, "-o", "x", *more)

    def build(self, *more: str) -> ImageSource:
        done = self.run(*more)
        assert done.returncode == 0, done.stderr
        assert [str(finding) for finding in validate_layout(str(self.directory / "x"))] == []
        return open_image(str(self.directory / "x"))

    def fails(self, *more: str) -> tuple[int, list[str]]:
        """Exit code, and the lines of the error; nothing is left."""
        done = self.run(*more)
        assert done.stdout == ""
        assert set(self.terminal.left()) <= {"base.oci", "nix2oci.yaml"}
        lines = done.stderr.splitlines()
        return done.returncode, lines[next(i for i, x in enumerate(lines) if "error: " in x) :]


def files(source: ImageSource) -> BaseImage:
    """What is in an image, read as a base is."""
    return read_base_image(source, Platform("amd64"))


def digests(source: ImageSource) -> list[str]:
    return [str(layer.digest) for layer in source.layers()]


def many(count: int) -> SmallImage:
    """A base of so many layers."""
    return base(layers=tuple(Layer(tar(entry(f"layer-{n:03}"))) for n in range(1, count)))


GOOD = [
    pytest.param(base(), id="/bin -> usr/bin"),
    pytest.param(many(120), id="120 layers"),
    pytest.param(base(layers=(Layer(tar(entry("z")), zstd, "+zstd"),)), id="a zstd layer"),
    pytest.param(base(manifest=as_docker), id="a Docker manifest"),
]


@pytest.mark.parametrize("image", GOOD)
def test_layers_of_the_base_come_first_as_they_are(tmp_path: Path, image: SmallImage) -> None:
    place = Place(tmp_path, image)
    below = open_image(str(place.directory / "base.oci"))
    found = place.build("--max-layers", "127")
    count = len(below.layers())
    assert digests(found)[:count] == digests(below)
    assert len(digests(found)) == count + 2
    ids = found.config().diff_ids
    assert ids[:count] == below.config().diff_ids
    assert all(".oci.image.layer." in layer.media_type for layer in found.layers())
    nodes = files(found).nodes
    assert nodes[b"bin"].target == b"usr/bin"
    assert nodes[b"usr/bin/app"].target == PROGRAM.encode()
    assert b"usr/bin/sh" in nodes
    notes = found.manifest().annotations
    assert notes["org.opencontainers.image.base.digest"] == str(below.descriptor.digest)
    assert notes["org.opencontainers.image.base.name"] == "base:1.0"


def test_the_configuration_goes_on(tmp_path: Path) -> None:
    image = Place(tmp_path, base()).build().config()
    run = image.run.fields.values
    assert run["Entrypoint"] == [PROGRAM]
    assert "Cmd" not in run
    assert {key: run[key] for key in ("Env", "User", "WorkingDir")} == {
        key: RUN[key] for key in ("Env", "User", "WorkingDir")
    }
    labels = image.run.labels
    assert (labels["vendor"], labels["org.opencontainers.image.title"]) == ("Debian", "app")


def test_what_is_asked_for_wins(tmp_path: Path) -> None:
    asked = ("--user", "7", "--workdir", "/", "--env", "LANG=C", "--labels", "vendor=me")
    run = Place(tmp_path, base()).build(*asked).config().run
    assert (run.user, run.working_dir, run.labels["vendor"]) == ("7", "/", "me")
    assert run.env == ("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C")


def test_users_are_added_to_those_of_the_base(tmp_path: Path) -> None:
    found = files(Place(tmp_path, base()).build("--users", "app:1001"))
    assert found.read(b"etc/passwd").startswith(PASSWD)
    assert found.read(b"etc/passwd").endswith(b"app:x:1001:1001:app:/home/app:/sbin/nologin\n")
    assert found.read(b"etc/group").startswith(GROUP)
    assert b"nonroot:x:65532:" in found.read(b"etc/group")


def test_the_same_base_and_closure_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    images = [Place(tmp_path / name, base()).build() for name in "ab"]
    assert images[0].descriptor.digest == images[1].descriptor.digest


def test_an_archive_is_a_base_too(tmp_path: Path) -> None:
    place = Place(tmp_path, base())
    first = place.terminal.run("build", ".#app", "-o", "first.tar", "--tag", "first:2")
    assert first.returncode == 0, first.stderr
    done = place.terminal.run("build", ".#app", "--base", first.stdout.strip(), "-o", "x")
    assert done.returncode == 0, done.stderr
    found = open_image(str(place.directory / "x"))
    assert found.manifest().annotations["org.opencontainers.image.base.name"] == (
        "docker.io/library/first:2"
    )
    assert [str(finding) for finding in validate_layout(str(place.directory / "x"))] == []


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        pytest.param(COMPLETE, True, id="all of it"),
        pytest.param((*STORE, entry(PROGRAM[1:], b"another")), False, id="other content"),
        pytest.param(STORE, False, id="a part of it"),
    ],
)
def test_store_paths_that_the_base_has_are_left_out(
    tmp_path: Path, more: tuple[Entry, ...], *, left_out: bool
) -> None:
    place = Place(tmp_path, base(layers=(Layer(tar(*more)),)))
    found = place.build()
    assert len(found.layers()) == (3 if left_out else 4)
    document = json.loads(place.run("--json", "-q").stdout)
    assert document["base"]["paths"] == ([OUT] if left_out else [])
    assert files(found).store_paths.keys() == ({OUT} if left_out else set())


def test_a_program_of_the_base_can_be_replaced_and_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path, base(layers=(Layer(tar(entry("usr/bin/app", b"old"))),)))
    done = place.run()
    assert "nix2oci: files of the base image that are replaced: /usr/bin/app\n" in done.stderr
    assert files(open_image(str(place.directory / "x"))).nodes[b"usr/bin/app"].target
    (replaced,) = json.loads(place.run("--json", "-q").stdout)["base"]["replaced"]
    assert replaced == {"file": "/usr/bin/app", "by": OUT}


def test_the_table_of_what_won_is_told_with_v(tmp_path: Path) -> None:
    place = Place(tmp_path, base())
    assert "configuration" not in place.run().stderr
    told = place.run("-v").stderr
    assert (
        "nix2oci: files that are as the base image has them: "
        "/bin, /etc/os-release, /lib, /usr/lib/os-release\n"
    ) in told
    rows = [line.split() for line in told.partition("configuration")[2].splitlines()]
    assert rows[0] == ["base", "image", "won"]
    assert ["User", "node", "65532:65532", "base"] in rows
    assert ["Cmd", '["sh"]', "-", "image"] in rows


def test_json_has_the_keys_that_are_documented(tmp_path: Path) -> None:
    place = Place(tmp_path, base())
    built = json.loads(place.run("--json", "-q").stdout)
    planned = json.loads(place.terminal.run("plan", ".#app", "--base", "base.oci", "--json").stdout)
    assert set(built["base"]) == set(planned["base"]) == documented("base", 0)
    assert all(set(row) == documented("base", 1) for row in built["inherited"])
    assert built["inherited"][0]["key"] == "Env PATH"
    assert built["size"] == sum(
        layer.size for layer in open_image(str(place.directory / "x")).layers()
    )


def test_plan_says_what_the_base_has(tmp_path: Path) -> None:
    place = Place(tmp_path, base(layers=(Layer(tar(*COMPLETE)),)))
    done = place.terminal.run("plan", ".#app", "--base", "base.oci")
    assert "on base image base:1.0, 2 layers, digest sha256:" in done.stdout
    assert "which has 1 store path already" in done.stdout
    assert "in 0 layers" in done.stdout


def test_the_debug_twin_has_every_layer_of_the_base_too(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    base().write(place.terminal.directory / "base.oci")
    done = place.build("--debug", "--base", "base.oci")
    assert done.returncode == 0, done.stderr
    layout = str(place.terminal.directory / "x")
    plain, twin = (open_image(f"{layout}:{tag}") for tag in ("latest", "latest-debug"))
    assert digests(twin)[:-1] == digests(plain)
    assert twin.config().run.user == RUN["User"]
    assert "PATH=/usr/local/bin:/usr/bin:/bin:/busybox" in twin.config().run.env
    assert [str(finding) for finding in validate_layout(layout)] == []


def test_the_debug_twin_may_not_have_too_many_layers_either(tmp_path: Path) -> None:
    code, lines = Place(tmp_path, many(125)).fails(
        "--debug", "--debug-tools", ".#app", "--max-layers", "127"
    )
    assert code == 2
    assert lines[0] == (
        "error: cannot make a debug twin: it would have 128 layers, "
        "more than the 127 that engines can mount"
    )


def test_a_path_in_the_file_is_taken_from_its_directory(tmp_path: Path) -> None:
    place = Place(tmp_path, base())
    config = place.directory / "sub/nix2oci.yaml"
    config.parent.mkdir()
    config.write_text("base: ../base.oci:1.0\n")
    done = place.terminal.run("build", ".#app", "--config", str(config), "-o", "x")
    assert done.returncode == 0, done.stderr
    assert len(open_image(str(place.directory / "x")).layers()) == 3


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(("/usr/bin/sh",), id="a path of the base"),
        pytest.param(("/bin/sh", "-c"), id="a path behind a link of the base"),
        pytest.param(("/bin/app",), id="a path behind a link to a program of ours"),
    ],
)
def test_a_program_of_the_base_can_be_the_entrypoint(
    tmp_path: Path, given: tuple[str, ...]
) -> None:
    flags = [f"--entrypoint={each}" for each in given]
    assert Place(tmp_path, base()).build(*flags).config().run.entrypoint == tuple(given)


REFUSED: list[Any] = [
    pytest.param(
        many(120),
        ["--max-layers", "121"],
        2,
        [
            (
                "error: cannot use base image base.oci:1.0: it has 120 layers, "
                "and at least 2 come on top: at most 121 are to be made"
            ),
            "hint: use --max-layers 122, or up to 127",
        ],
        id="no room in the budget",
    ),
    pytest.param(
        many(126),
        ["--max-layers", "127"],
        5,
        [
            (
                "error: cannot use base image base.oci:1.0: it has 126 layers, "
                "and at least 2 come on top: engines can mount 127"
            )
        ],
        id="no room in any budget",
    ),
    pytest.param(
        base(layers=(Layer(tar(entry("z")), zstd, "+zstd"),)),
        ["--format", "archive"],
        2,
        [
            (
                "error: cannot write an archive on base image base.oci:1.0: it has zstd layers, "
                "which 'docker load' does not read"
            ),
            "hint: use --format oci",
        ],
        id="an archive of zstd layers",
    ),
    pytest.param(
        base(layers=(Layer(tar(link("nix", "/data"))),)),
        [],
        5,
        ["error: cannot lay the store over the base image: its /nix is a link, no directory"],
        id="/nix is a link",
    ),
    pytest.param(
        base(),
        ["--users", "me:1000"],
        2,
        [
            "error: cannot add user 'me': the base image has its number 1000 already, as 'node'",
            "hint: choose a name and a number that the base image has no user for",
        ],
        id="a user whose number the base gives to another",
    ),
    pytest.param(
        base(directory("bin"), entry("bin/sh", b"x")),
        ["--entrypoint", "/bin/app"],
        2,
        [
            "error: cannot use entrypoint /bin/app: it is not in the image",
            "hint: choose one with --entrypoint: app",
        ],
        id="a program in a /bin of the base's own",
    ),
    pytest.param(
        base(),
        ["--base", "none.oci"],
        8,
        ["error: cannot read image at none.oci: No such file or directory"],
        id="no base",
    ),
]


@pytest.mark.parametrize(("image", "more", "code", "lines"), REFUSED)
def test_what_cannot_be_is_refused(
    tmp_path: Path, image: SmallImage, more: list[str], code: int, lines: list[str]
) -> None:
    assert Place(tmp_path, image).fails(*more) == (code, lines)


def test_a_recorded_closure_has_no_base(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    recorded: Mapping[str, Json] = {OUT: {"narHash": "x"}}
    (terminal.directory / "c.json").write_text(json.dumps(recorded))
    done = terminal.run("plan", "--closure", "c.json", "--base", "b")
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot plan --closure on a base image: a record names no platform\n"
    )

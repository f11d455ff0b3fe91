"""Several tags of one image: in files and engines; `test_cli_places.py` has registries."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.fakeengine import FakeEngine
from support.json_page import documented
from support.terminal import Terminal
from support.tools_terminal import ToolsTerminal
from support.two_systems import BOTH, place

from nix2oci.oci.layout.source import open_image
from nix2oci.oci.spec import INDEX
from nix2oci.oci.validate.check_image import validate_layout

TWO = ("--tag", "1.10", "--tag", "latest")
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def local_flake(terminal: Terminal, text: str) -> None:
    (terminal.directory / ".git").mkdir()
    (terminal.directory / "flake.nix").write_text("{ }")
    (terminal.directory / "nix2oci.yaml").write_text(text)


def listed(layout: Path) -> list[tuple[str, str]]:
    """Tag and digest of each image of a layout."""
    index = json.loads((layout / "index.json").read_text())
    return [(each["annotations"][REF_NAME], each["digest"]) for each in index["manifests"]]


def in_archive(path: Path, name: str) -> Any:
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        assert file
        return json.load(file)


# --- files ----------------------------------------------------------------------------------


def test_stdout_has_a_line_for_each_tag_in_the_order_given(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "--tag", "b", "--tag", "team/app:a", "--tag", "c")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "oci:app.oci:b\noci:app.oci:a\noci:app.oci:c\n"


def test_a_layout_has_one_image_under_each_tag(terminal: Terminal) -> None:
    terminal.run("build", ".#app", "-o", "one", "--tag", "1.10")
    terminal.run("build", ".#app", "-o", "x", *TWO)
    ((_, digest),) = listed(terminal.directory / "one")
    assert listed(terminal.directory / "x") == [("1.10", digest), ("latest", digest)]
    assert validate_layout(str(terminal.directory / "x")) == ()
    for tag in ("1.10", "latest"):
        done = terminal.run("inspect", f"oci:x:{tag}")
        assert done.returncode == 0, done.stderr


def test_tags_replace_those_of_an_earlier_build_and_no_others(terminal: Terminal) -> None:
    terminal.run("build", ".#app", "-o", "x", "--tag", "1.9", "--tag", "latest")
    ((_, old), _) = listed(terminal.directory / "x")
    terminal.run("build", ".#app", "-o", "x", *TWO, "--labels", "a=b")
    found = dict(listed(terminal.directory / "x"))
    assert found["1.9"] == old
    assert found["1.10"] == found["latest"] != old


def test_an_archive_has_all_names_in_one_place_and_each_layer_once(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "-o", "x.tar", "--name", "team/app", *TWO)
    assert done.stdout == "oci-archive:x.tar:1.10\noci-archive:x.tar:latest\n"
    path = terminal.directory / "x.tar"
    (image,) = in_archive(path, "manifest.json")
    names = ["docker.io/team/app:1.10", "docker.io/team/app:latest"]
    assert image["RepoTags"] == names
    entries = in_archive(path, "index.json")["manifests"]
    assert [each["annotations"][FULL_NAME] for each in entries] == names
    with tarfile.open(path) as tar:
        files = tar.getnames()
    assert len(files) == len(set(files))
    assert validate_layout(str(path)) == ()


def test_tags_may_be_a_list_in_the_file_and_flags_replace_it(terminal: Terminal) -> None:
    local_flake(terminal, "name: team/app\ntag: [1.10, latest]\n")
    done = terminal.run("build", ".#app", "-o", "x")
    assert done.stdout == "oci:x:1.10\noci:x:latest\n", done.stderr
    done = terminal.run("build", ".#app", "-o", "x", "--tag", "2")
    assert done.stdout == "oci:x:2\n"


def test_json_has_all_references_and_the_first_one_by_itself(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "--json", "--image-refs", "refs", *TWO)
    document = json.loads(done.stdout)
    assert document["references"] == ["oci:app.oci:1.10", "oci:app.oci:latest"]
    assert (document["reference"], document["name"]) == ("oci:app.oci:1.10", "app:1.10")
    assert set(document) == documented("build", 0)
    digest = document["digest"]
    refs = (terminal.directory / "refs").read_text()
    assert refs == f"app:1.10@{digest}\napp:latest@{digest}\n"


def test_an_archive_on_stdout_has_all_names_and_no_reference(terminal: Terminal) -> None:
    local_flake(terminal, "tag: [a, b]\n")
    argv = terminal.argv("build", ".#app", "-o", "-", "--metadata", "meta")
    with (terminal.directory / "out.tar").open("wb") as out:
        subprocess.run(argv, cwd=terminal.directory, env=terminal.env(), stdout=out, check=True)
    assert len(in_archive(terminal.directory / "out.tar", "index.json")["manifests"]) == 2
    document = json.loads((terminal.directory / "meta").read_text())
    assert (document["reference"], document["references"]) == (None, [])


def test_the_debug_twin_has_each_tag(tmp_path: Path) -> None:
    terminal = ToolsTerminal(tmp_path).terminal
    done = terminal.run("build", ".#app", "--debug", "-o", "x.tar", *TWO, "--json")
    assert done.returncode == 0, done.stderr
    path, document = terminal.directory / "x.tar", json.loads(done.stdout)
    assert [image["RepoTags"] for image in in_archive(path, "manifest.json")] == [
        ["docker.io/library/app:1.10", "docker.io/library/app:latest"],
        ["docker.io/library/app:1.10-debug", "docker.io/library/app:latest-debug"],
    ]
    assert document["debug"]["references"] == [
        "oci-archive:x.tar:1.10-debug",
        "oci-archive:x.tar:latest-debug",
    ]
    assert set(document["debug"]) == documented("debug", 0)


def test_an_index_of_platforms_has_each_tag(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    done = terminal.run("build", ".#app", *BOTH, "-o", "x", *TWO)
    assert done.stdout == "oci:x:1.10\noci:x:latest\n", done.stderr
    index = json.loads((terminal.directory / "x/index.json").read_text())
    assert {each["mediaType"] for each in index["manifests"]} == {INDEX}
    assert len({each["digest"] for each in index["manifests"]}) == 1


def test_images_that_are_joined_may_get_several_tags(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    for arch in ("amd64", "arm64"):
        terminal.run("build", ".#app", "--platform", f"linux/{arch}", "-o", f"{arch}.tar")
    done = terminal.run(
        *("index", "amd64.tar", "arm64.tar", "-o", "x", "--tag", "t/app:1", "--tag", "t/app:2"),
        "--json",
    )
    document = json.loads(done.stdout)
    assert document["references"] == ["oci:x:1", "oci:x:2"]
    assert (document["name"], set(document)) == ("t/app:1", documented("index", 0))
    assert [tag for tag, _ in listed(terminal.directory / "x")] == ["1", "2"]
    done = terminal.run("index", "amd64.tar", "-o", "y", "--tag", "a:1", "--tag", "b:1")
    assert (done.returncode, done.stdout, (terminal.directory / "y").exists()) == (2, "", False)
    assert done.stderr.splitlines() == [
        "error: cannot name the index a:1 and b:1: a layout has one image for each tag",
        "hint: push it under several names: nix2oci push IMAGE REF...",
    ]


# --- engines --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "before"),
    [("docker", ""), ("podman", "localhost/"), ("containerd", "docker.io/library/")],
)
def test_an_engine_gets_the_image_once_and_all_names_are_checked(
    terminal: Terminal, engine: str, before: str
) -> None:
    fake = FakeEngine(terminal.fake.directory)
    done = terminal.run("build", ".#app", "--load", engine, *TWO)
    assert (done.returncode, done.stdout) == (0, f"{before}app:1.10\n{before}app:latest\n")
    load = [call for call in fake.calls if "load" in call or "import" in call]
    assert len(load) == 1
    asked = [call[-1].removeprefix("name==") for call in fake.calls[-2:]]
    assert asked == done.stdout.split()
    document = open_image(f"{fake.received}:1.10")
    assert document.descriptor.digest == open_image(f"{fake.received}:latest").descriptor.digest


def test_a_name_that_an_engine_has_not_taken_is_an_error(terminal: Terminal) -> None:
    fake = FakeEngine(terminal.fake.directory)
    fake.answer("image inspect --format {{.Id}} app:latest", stderr="Error: No such image", code=1)
    done = terminal.run("build", ".#app", "--load", "docker", *TWO)
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr.splitlines()[-1] == (
        "error: cannot load app:latest into docker: No such image"
    )


# --- what is no tag -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        pytest.param(
            ("--tag", "a:1", "--tag", "b:2"),
            [
                "error: --tag: the image has one name, and not a and b",
                "hint: push it under several names: --push NAME:TAG, as often as there are names",
            ],
            id="two names",
        ),
        pytest.param(
            ("--tag", "1", "--tag", "1"), ["error: --tag: '1' is there twice"], id="a tag twice"
        ),
        pytest.param(
            ("--tag", "a:1", "--tag", "1-debug", "--debug"),
            [
                "error: cannot make a debug twin: its name would be a:1-debug, which the image has",
                "hint: leave out the tag '1-debug'",
            ],
            id="the tag of the debug twin",
        ),
    ],
)
def test_tags_that_do_not_go_together_end_it_before_anything_is_built(
    terminal: Terminal, flags: tuple[str, ...], error: list[str]
) -> None:
    done = terminal.run("build", ".#app", *flags)
    assert (done.returncode, done.stdout, terminal.left()) == (2, "", [])
    assert done.stderr.splitlines()[-len(error) :] == error
    assert "building with Nix" not in done.stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("tag: [1, 1]", "tag[1]: '1' is there twice"),
        (
            "tag: [a b]",
            "tag[0]: expected a tag: up to 128 letters, digits, '_', '.', '-', got 'a b'",
        ),
        ("tag: {a: b}", "tag: expected text, got a mapping"),
    ],
)
def test_a_list_of_tags_that_is_wrong(terminal: Terminal, text: str, error: str) -> None:
    local_flake(terminal, f"{text}\n")
    done = terminal.run("build", ".#app")
    assert (done.returncode, terminal.left()) == (2, [".git", "flake.nix", "nix2oci.yaml"])
    assert f"error: ./nix2oci.yaml: {error}" in done.stderr.splitlines()

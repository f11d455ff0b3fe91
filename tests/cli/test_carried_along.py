"""What is attached to an image in a layout: other commands see it, keep it and take it along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.pushing import REPOSITORY
from support.signing import BUNDLE, CYCLONEDX, IN_TOTO, SPDX, KeyPair, about
from support.terminal import Terminal
from support.tools_terminal import ToolsTerminal
from support.two_systems import BOTH, place

ALL = "--attach=sbom,provenance"
OF_IMAGE = [CYCLONEDX, SPDX, IN_TOTO, *[BUNDLE] * 4]
OF_INDEX = [IN_TOTO, BUNDLE, BUNDLE]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return place(tmp_path)


@pytest.fixture
def built(terminal: Terminal) -> dict[str, Any]:
    """What `--json` says of a layout for two platforms, with all that can be attached."""
    key = KeyPair.make(terminal.directory)
    flags = ("--tag=app:1", ALL, f"--sign-key={key.secret}", "--json", *BOTH)
    done = terminal.run("build", ".#app", "-o", "app.oci", *flags)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def index_of(terminal: Terminal, layout: str = "app.oci") -> list[dict[str, Any]]:
    path = terminal.directory / layout / "index.json"
    entries: list[dict[str, Any]] = json.loads(path.read_text())["manifests"]
    return entries


def test_each_image_has_all_of_it_and_the_index_no_bill(
    terminal: Terminal, built: dict[str, Any]
) -> None:
    kinds = [each.get("artifactType") for each in index_of(terminal)]
    assert kinds == [None, *OF_IMAGE, *OF_IMAGE, *OF_INDEX]
    subjects = {each["subject"] for each in built["attached"]}
    assert subjects == {built["digest"], *(each["digest"] for each in built["platforms"])}


@pytest.mark.usefixtures("built")
def test_it_is_a_valid_layout_whose_image_is_found_by_its_tag(terminal: Terminal) -> None:
    done = terminal.run("validate", "app.oci")
    assert done.returncode == 0, done.stdout
    assert terminal.run("inspect", "app.oci:1").returncode == 0
    assert terminal.run("inspect", "app.oci").returncode == 0


@pytest.mark.usefixtures("built")
def test_inspect_shows_what_is_attached_to_the_index_and_the_image(terminal: Terminal) -> None:
    done = terminal.run("inspect", "app.oci", "--json", "--platform=linux/arm64")
    kinds = [each["artifact_type"] for each in json.loads(done.stdout)["attached"]]
    assert kinds == [*OF_INDEX, *OF_IMAGE]


@pytest.mark.usefixtures("built")
def test_verify_holds_a_layout_against_itself(terminal: Terminal) -> None:
    done = terminal.run("verify", "app.oci", "--key=key.pub")
    assert done.returncode == 0, done.stdout + done.stderr


def test_push_and_index_take_it_along(terminal: Terminal, built: dict[str, Any]) -> None:
    with running(FakeRegistry(lists_referrers=True)) as registry:
        to = f"{registry.registry}/{REPOSITORY}:1"
        pushed = terminal.run("push", "app.oci", to)
        assert pushed.returncode == 0, pushed.stderr
        assert about(registry, built["digest"]) == OF_INDEX
        for each in built["platforms"]:
            assert about(registry, each["digest"]) == OF_IMAGE
        joined = terminal.run("index", to, "-o", "again.oci", "--tag=app:1")
        assert joined.returncode == 0, joined.stderr
    found = [each.get("artifactType") for each in index_of(terminal, "again.oci")]
    assert sorted(filter(None, found)) == sorted([*OF_IMAGE, *OF_IMAGE, *OF_INDEX])


@pytest.mark.usefixtures("built")
def test_what_others_attached_stays_when_the_image_does(terminal: Terminal) -> None:
    path = terminal.directory / "app.oci" / "index.json"
    before = json.loads(path.read_text())
    done = terminal.run("build", ".#app", "-o", "app.oci", "--tag=app:1", *BOTH)
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text()) == before


def test_the_same_bytes_in_another_time_zone_and_for_another_user(
    terminal: Terminal, built: dict[str, Any]
) -> None:
    flags = ("--tag=app:1", ALL, "--sign-key=key.pem", "--json", *BOTH)
    more = {"TZ": "Asia/Tokyo", "USER": "mallory", "HOME": "/nonexistent"}
    done = terminal.run("build", ".#app", "-o", "b.oci", "--no-cache", *flags, **more)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["attached"] == built["attached"]


def test_a_debug_twin_has_a_bill_of_its_own_and_a_signature(tmp_path: Path) -> None:
    tools = ToolsTerminal(tmp_path)
    key = KeyPair.make(tools.terminal.directory)
    with running(FakeRegistry(lists_referrers=True)) as registry:
        to = f"{registry.registry}/{REPOSITORY}:1"
        flags = ("--debug", "--json", ALL, f"--sign-key={key.secret}", "--push", to)
        done = tools.terminal.run("build", ".#app", *flags)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert about(registry, made["digest"]) == OF_IMAGE
        assert about(registry, made["debug"]["digest"]) == [CYCLONEDX, SPDX, *[BUNDLE] * 3]
        for name in (to, f"{to}-debug"):
            checked = tools.terminal.run("verify", name, f"--key={key.public}")
            assert checked.returncode == 0, checked.stdout + checked.stderr

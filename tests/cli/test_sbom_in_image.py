"""`sbom-in-image`: a list of the store paths as a file of the last layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT
from support.judges import spdx_findings
from support.terminal import Terminal
from support.wrapped_app import BASH, LIB, WRAPPED, give

PLACE = "/var/lib/db/sbom/app.spdx.json"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def built(terminal: Terminal, name: str, *options: str, **env: str) -> list[str]:
    """Digests of the layers of an image."""
    done = terminal.run("build", ".#app", "-o", name, "--json", *options, **env)
    assert done.returncode == 0, done.stderr
    return [layer["digest"] for layer in json.loads(done.stdout)["layers"]]


def document(terminal: Terminal, name: str) -> dict[str, Any]:
    done = terminal.run("cat", name, PLACE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_has_the_store_paths_of_the_image_and_what_was_dropped(
    terminal: Terminal, tmp_path: Path
) -> None:
    give(terminal, WRAPPED)
    built(terminal, "a.oci", "--sbom-in-image")
    found = document(terminal, "a.oci")
    image, *packages = found["packages"]
    assert spdx_findings(json.dumps(found).encode(), tmp_path) == []
    assert found["spdxVersion"] == "SPDX-2.3"
    assert [each["name"] for each in packages] == ["app"]
    notes = [each["comment"] for each in packages[0]["annotations"]]
    assert f"nix:output_path: {OUT}" in notes
    assert f"nix:replaced: {OUT}/bin/app" in notes
    said = [each["comment"] for each in image["annotations"]]
    assert {f"dropped: {BASH}", f"dropped: {LIB}"} <= {*said}


def test_it_is_in_the_last_layer_alone(terminal: Terminal) -> None:
    plain, described = built(terminal, "a.oci"), built(terminal, "b.oci", "--sbom-in-image")
    assert plain[:-1] == described[:-1]
    assert plain[-1] != described[-1]


def test_without_it_there_is_none(terminal: Terminal) -> None:
    built(terminal, "a.oci")
    assert terminal.run("cat", "a.oci", PLACE).returncode != 0


def test_no_time_is_in_it(terminal: Terminal) -> None:
    built(terminal, "a.oci", "--sbom-in-image", "--created", "2001-02-03T04:05:06Z")
    one = document(terminal, "a.oci")
    built(terminal, "b.oci", "--sbom-in-image", "--created", "now", TZ="Asia/Tokyo")
    assert document(terminal, "b.oci") == one
    assert one["creationInfo"]["created"] == "1980-01-01T00:00:01Z"


def test_it_is_called_as_the_image_is(terminal: Terminal) -> None:
    built(terminal, "a.oci", "--sbom-in-image", "--tag", "example.org/team/shop:1")
    done = terminal.run("ls", "a.oci", "/var/lib/db/sbom")
    assert "/shop.spdx.json" in done.stdout


def test_an_image_with_both_is_valid_and_reproduced(terminal: Terminal) -> None:
    give(terminal, WRAPPED)
    both = ("--sbom-in-image", "--nix-db")
    built(terminal, "a.oci", *both)
    assert terminal.run("validate", "a.oci").returncode == 0
    done = terminal.run("verify", "a.oci", ".#app", "--rebuild", "-q", *both)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_file_of_another_maker_in_its_place_is_an_error(terminal: Terminal) -> None:
    (terminal.directory / "x.json").write_text("{}")
    done = terminal.run("build", ".#app", "--sbom-in-image", "--files", f"{PLACE}=x.json")
    assert (done.returncode, done.stdout) == (5, "")
    assert "the bill of materials" in done.stderr

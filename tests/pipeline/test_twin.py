"""The debug twin as a user gets it, with a Nix that says what a test wants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakenix import SYSTEM, missing
from support.fakestore import Program
from support.json_page import documented
from support.tools_terminal import LOCKED_URL, NIXPKGS, ToolsTerminal

from nix2oci.errors import ConfigError, InvalidReferenceError
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.reference import Reference
from nix2oci.oci.validate.check_image import validate_layout
from nix2oci.pipeline.debug_twin import debug_names


def test_busybox_is_that_of_the_nixpkgs_that_the_flake_uses(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    done = place.build("--debug", "--override-input", "nixpkgs", "path:/n")
    assert (done.returncode, done.stdout) == (0, "oci:x:latest\n"), done.stderr
    told = "nix2oci: debug twin: oci:x:latest-debug, "
    assert any(line.startswith(told) for line in done.stderr.splitlines()), done.stderr
    twin = open_image(f"{place.terminal.directory}/x:latest-debug").config()
    assert (twin.history or ())[-1]["comment"] == "debug tools: /busybox, of busybox-1.36"
    assert validate_layout(f"{place.terminal.directory}/x", 1) == ()


def test_what_is_said_of_inputs_goes_to_the_flake_alone(tmp_path: Path) -> None:
    """Nix would warn that nixpkgs has no such input."""
    place = ToolsTerminal(tmp_path)
    assert place.build("--debug", "--override-input", "nixpkgs", "path:/n").returncode == 0
    overriding = {call[-1]: "--override-input" in call for call in place.terminal.fake.calls}
    assert overriding["."] is overriding[".#app"] is True
    assert overriding[NIXPKGS] is overriding[NIXPKGS.partition("#")[0]] is False


def test_tools_may_be_named_by_the_input_that_has_them(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    named = f"nixpkgs#legacyPackages.{SYSTEM}.busybox"
    done = place.build("--debug", "--debug-tools", named, "--json")
    assert json.loads(done.stdout)["debug"]["tools"] == "busybox-1.36"
    assert json.loads(done.stdout)["unpinned"] == []
    assert "warning" not in done.stderr


def test_a_flake_without_nixpkgs_may_have_busybox_itself(tmp_path: Path) -> None:
    own = f".#legacyPackages.{SYSTEM}.busybox"
    place = ToolsTerminal(tmp_path, named=own, lock=None)
    assert place.build("--debug").returncode == 0


def test_tools_may_be_named(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path, named="t#box", lock=None)
    done = place.build("--debug", "--debug-tools", "t#box", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["unpinned"] == [{"installable": "t#box", "url": LOCKED_URL}]
    assert (
        "nix2oci: warning: t#box is not pinned: only the flake registry of this machine knows 't', "
        f"today as {LOCKED_URL}\n"
    ) in done.stderr
    assert open_image(f"{place.terminal.directory}/x:latest-debug").config().diff_ids


def test_json_has_the_keys_that_are_documented(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    done = place.build("--debug", "--json", "--tag", "team/app:1")
    debug = json.loads(done.stdout)["debug"]
    assert set(debug) == documented("debug", 0)
    assert set(debug["layer"]) == documented("debug", 1)
    assert debug["reference"] == "oci:x:1-debug"
    assert debug["name"] == "team/app:1-debug"
    assert debug["tools"] == "busybox-1.36"
    there = open_image(f"{place.terminal.directory}/x:1-debug")
    assert debug["digest"] == str(there.descriptor.digest)
    assert debug["layer"]["digest"] == str(there.layers()[-1].digest)


def test_without_debug_nothing_of_it_is_done(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    done = place.build("--json")
    assert json.loads(done.stdout)["debug"] is None
    assert "debug" not in done.stderr
    assert not any("busybox" in " ".join(call) for call in place.terminal.fake.calls)


def test_the_file_switches_it_on_and_a_flag_off(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    (place.terminal.directory / "c.yaml").write_text(f"debug: true\ndebug-tools: {NIXPKGS!r}\n")
    assert json.loads(place.build("--config", "c.yaml", "--json").stdout)["debug"]
    again = place.build("--config", "c.yaml", "--no-debug", "--json")
    assert json.loads(again.stdout)["debug"] is None


@pytest.mark.parametrize("more", [(), ("--no-debug",)], ids=["not asked for", "switched off"])
def test_tools_without_a_twin_are_an_error(tmp_path: Path, more: tuple[str, ...]) -> None:
    assert ToolsTerminal(tmp_path).fails("--debug-tools", "t#box", *more) == (
        2,
        ["error: --debug-tools: there is no debug twin to have them", "hint: add --debug"],
    )


NAME_THEM = "hint: name some with --debug-tools, such as --debug-tools nixpkgs#busybox"


def test_a_flake_that_has_neither(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path, lock=None)
    own = f".#legacyPackages.{SYSTEM}.busybox"
    fake = place.terminal.fake
    fake.answer("legacyPackages", stderr=missing("busybox"), code=1)
    fake.nix()
    code, lines = place.fails("--debug")
    assert code == 3
    assert lines[0].startswith(f"error: cannot choose debug tools: cannot evaluate '{own}': ")
    assert lines[1] == NAME_THEM


def test_an_installable_of_no_flake(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    done = place.terminal.run("build", "--file", "x.nix", "app", "-o", "x", "--debug")
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (
        2,
        ["error: cannot choose debug tools: 'app' is of no flake", NAME_THEM],
    )


def test_tools_without_a_program(tmp_path: Path) -> None:
    named = f"nixpkgs#legacyPackages.{SYSTEM}.busybox"
    place = ToolsTerminal(tmp_path, {b"lib": {b"busybox": Program()}})
    assert place.fails("--debug") == (
        2,
        [
            f"error: cannot use debug tools '{named}': there is no program in bin/",
            NAME_THEM,
        ],
    )


def test_tools_for_another_system(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path, named="t#box", system="aarch64-linux")
    mine = f"the image is for {SYSTEM}"
    assert place.fails("--debug", "--debug-tools", "t#box") == (
        2,
        [f"error: cannot use debug tools 't#box': they are for aarch64-linux, {mine}"],
    )


def test_there_is_room_for_one_more_layer() -> None:
    name = Reference.parse("team/app:1")
    assert str(*debug_names([name], 126)) == "team/app:1-debug"
    with pytest.raises(ConfigError) as caught:
        debug_names([name], 127)
    assert str(caught.value) == (
        "cannot make a debug twin: it would have 128 layers, more than the 127 that engines can "
        "mount"
    )
    assert caught.value.hint == "use --max-layers 126"


def test_a_tag_that_is_too_long_for_its_twin() -> None:
    with pytest.raises(InvalidReferenceError):
        debug_names([Reference.parse("app:" + "a" * 123)], 3)

"""What the program says of itself: groups of options, `help`, and short spellings."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from support.cli_page import commands
from support.terminal import Terminal

from nix2oci import __version__
from nix2oci.config.layer_keys import PARTS
from nix2oci.config.options.image import LAYERS

GROUPS = ["Image", "Files", "Registries", "Trust", "Engines", "Layers", "Nix", "Output"]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def sections(text: str) -> dict[str, list[str]]:
    """The first spelling of each option in the help of a command, by its heading."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\w[\w ]*):", line):
            found[heading[1]] = []
        elif option := re.match(r"  (-[\w-]+)", line):
            found[list(found)[-1]].append(option[1])
    return found


@pytest.mark.parametrize(
    ("command", "headings", "first"),
    [
        pytest.param(
            "build",
            ["Most used", *GROUPS],
            "-o -t --push --load --platform --base --contents --entrypoint --env --user",
            id="build",
        ),
        pytest.param(
            "plan",
            ["Most used", "Image", "Registries", "Layers", "Nix", "Output"],
            "--html --closure --max-layers --stable --volatile --popularity --plan-from --base"
            " --contents --json",
            id="plan",
        ),
    ],
)
def test_the_help_has_groups_and_what_people_need_first_is_at_its_top(
    command: str, headings: list[str], first: str, terminal: Terminal
) -> None:
    found = sections(terminal.run(command, "--help").stdout)
    assert list(found) == headings
    assert found["Most used"] == first.split()
    assert len(found["Most used"]) == 10


def test_each_flag_is_in_the_group_that_it_is_about(terminal: Terminal) -> None:
    found = sections(terminal.run("build", "--help").stdout)
    assert {"--name", "--workdir", "--users", "--shell", "--refresh-base"} <= {*found["Image"]}
    written = {"--image-refs", "--metadata", "--github", "--sbom-dir"}
    written |= {"--provenance", "--provenance-times", "--builder-id"}
    assert {"--format", *written} == {*found["Files"]}
    assert {"--reuse", "--plain-http", "--cert-dir"} <= {*found["Registries"]}
    assert {"--attach", "--sign-key"} == {*found["Trust"]}
    assert {"--namespace"} == {*found["Engines"]}
    assert {"--max-layers", "--compression", "--cache-size"} <= {*found["Layers"]}
    assert {f"--{name}" for name in PARTS} <= {*found["Layers"]}
    assert {"--store", "--override-input", "--impure", "--from"} <= {*found["Nix"]}
    assert found["Output"] == ["-q", "-v", "--json", "-h"]


@pytest.mark.parametrize("command", ["build", "plan", "diff", "inspect", "ls"])
def test_each_flag_is_there_once(command: str, terminal: Terminal) -> None:
    found = sections(terminal.run(command, "--help").stdout)
    shown = [option for options in found.values() for option in options]
    known = [p.opts[0] for p in commands()[command].params if isinstance(p, click.Option)]
    assert sorted(shown) == sorted([*known, "-h"])


def test_few_flags_have_no_groups(terminal: Terminal) -> None:
    assert list(sections(terminal.run("inspect", "--help").stdout)) == ["Options"]


def test_flags_of_layers_are_flags_of_the_image() -> None:
    """Whoever plans an image has them from both groups, once."""
    assert set(PARTS) <= {flag.opts[-1].removeprefix("--") for flag in LAYERS.flags}


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        pytest.param("help", "--help", id="all commands"),
        pytest.param("help build", "build --help", id="a command with groups"),
        pytest.param("help cat", "cat -h", id="a command with few options"),
        pytest.param("help help", "help --help", id="the help itself"),
    ],
)
def test_help_is_another_way_to_ask(asked: str, same: str, terminal: Terminal) -> None:
    found, expected = (terminal.run(*line.split()) for line in (asked, same))
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == expected.stdout
    assert found.stdout.startswith("Usage: nix2oci ")


def test_help_of_no_command_names_the_nearest(terminal: Terminal) -> None:
    done = terminal.run("help", "bild")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no command 'bild'\nhint: did you mean 'build'?\n"


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version(flag: str, terminal: Terminal) -> None:
    done = terminal.run(flag)
    assert (done.returncode, done.stdout) == (0, f"nix2oci {__version__}\n")


def test_t_is_short_for_tag(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "-t", "team/shop:2", "-o", "shop.oci")
    assert (done.returncode, done.stdout) == (0, "oci:shop.oci:2\n")

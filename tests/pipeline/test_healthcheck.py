"""`healthcheck`: what the configuration has of it, and that its program can be started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.bases import base
from support.fakenix import OUT
from support.fakestore import Node, Program
from support.smallimage import SmallImage, directory, entry
from support.terminal import Terminal

from nix2oci.config.image_spec import load
from nix2oci.errors import ConfigError
from nix2oci.oci.validate.check_image import validate_layout

ELF = Program(b"\x7fELF")
APP: Node = {b"bin": {b"app": ELF, b"check": ELF}}
SCRIPT: Node = {b"bin": {b"app": ELF, b"script": Program(b"#!/bin/sh\n")}}


def flake(scratch: Path, settings: str, app: Node = APP) -> Terminal:
    terminal = Terminal.make(scratch, app)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / "nix2oci.yaml").write_text(settings)
    return terminal


def healthcheck(terminal: Terminal, *flags: str) -> Any:
    """`Healthcheck` of the image, None where it has none."""
    done = terminal.run("build", ".#app", "-o", "../x", *flags)
    assert done.returncode == 0, done.stderr
    assert [str(each) for each in validate_layout(str(terminal.directory / "../x"))] == []
    shown = terminal.run("inspect", "../x", "--json", "-q").stdout
    return json.loads(shown)["config"]["config"].get("Healthcheck")


SECOND = 1_000_000_000
READ = [
    pytest.param("", None, id="nobody asked for one"),
    pytest.param("healthcheck: {test: check}", {"Test": ["CMD", "check"]}, id="a program"),
    pytest.param(
        "healthcheck: {test: [check, --url, 'http://x/']}",
        {"Test": ["CMD", "check", "--url", "http://x/"]},
        id="with arguments",
    ),
    pytest.param(
        "healthcheck: {test: [CMD, check]}", {"Test": ["CMD", "check"]}, id="as in a Compose file"
    ),
    pytest.param(
        "healthcheck: {test: [/bin/check, '{}']}", {"Test": ["CMD", "/bin/check", "{}"]}, id="path"
    ),
    pytest.param(
        "healthcheck: {test: check, interval: 1m30s, timeout: 500ms, start-period: 1h,"
        " start-interval: 2s, retries: 5}",
        {
            "Test": ["CMD", "check"],
            "Interval": 90 * SECOND,
            "Timeout": SECOND // 2,
            "StartPeriod": 3600 * SECOND,
            "StartInterval": 2 * SECOND,
            "Retries": 5,
        },
        id="with all times, in nanoseconds",
    ),
    pytest.param("healthcheck: none", {"Test": ["NONE"]}, id="none"),
]


@pytest.mark.parametrize(("settings", "expected"), READ)
def test_it_is_written_as_docker_does(tmp_path: Path, settings: str, expected: object) -> None:
    assert healthcheck(flake(tmp_path, settings)) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(
            ["--healthcheck", "check", "--healthcheck=-v"],
            {"Test": ["CMD", "check", "-v"], "Interval": SECOND},
            id="a test, with the times of the file",
        ),
        pytest.param(["--healthcheck", "none"], {"Test": ["NONE"]}, id="none"),
    ],
)
def test_the_flag_wins(tmp_path: Path, flags: list[str], expected: object) -> None:
    settings = "healthcheck: {test: app, interval: 1s}"
    assert healthcheck(flake(tmp_path, settings), *flags) == expected


ON: SmallImage = base(
    directory("usr/bin"),
    entry("usr/bin/curl", b"\x7fELF", mode=0o755),
    run={"Healthcheck": {"Test": ["CMD-SHELL", "curl x"], "Retries": 9}, "Env": ["PATH=/usr/bin"]},
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param("", {"Test": ["CMD-SHELL", "curl x"], "Retries": 9}, id="the base's"),
        pytest.param("healthcheck: {test: check}", {"Test": ["CMD", "check"]}, id="ours, whole"),
        pytest.param(
            "healthcheck: {test: curl}", {"Test": ["CMD", "curl"]}, id="a program of the base"
        ),
        pytest.param("healthcheck: none", {"Test": ["NONE"]}, id="none"),
    ],
)
def test_a_base_has_its_say(tmp_path: Path, settings: str, expected: object) -> None:
    terminal = flake(tmp_path, settings)
    ON.write(terminal.directory / "../base.oci")
    done = terminal.run("build", ".#app", "-o", "../x", "--base", "../base.oci:1.0")
    assert done.returncode == 0, done.stderr
    shown = json.loads(terminal.run("inspect", "../x", "--json", "-q").stdout)
    assert shown["config"]["config"]["Healthcheck"] == expected


def test_what_became_of_the_bases_is_told(tmp_path: Path) -> None:
    terminal = flake(tmp_path, "healthcheck: {test: check}")
    ON.write(terminal.directory / "../base.oci")
    done = terminal.run("build", ".#app", "-o", "../x", "--base", "../base.oci:1.0", "--json")
    (found,) = [e for e in json.loads(done.stdout)["inherited"] if e["key"] == "Healthcheck"]
    assert (found["won"], found["image"]) == ("image", {"Test": ["CMD", "check"]})


UNSTARTABLE = [
    pytest.param(
        "curl",
        "curl: it is not in the image",
        'name its path, such as "{nixpkgs#curl}/bin/curl", or add it to the image, such as '
        "with --contents nixpkgs#curl",
        id="a name that nothing has",
    ),
    pytest.param(
        "/etc/passwd", "/etc/passwd: it is not an executable file", None, id="not executable"
    ),
    pytest.param(
        "script",
        f"script: {OUT}/bin/script: its interpreter '/bin/sh' is not in the image",
        "give the image /bin/sh with --contents nixpkgs#bash --view sh, "
        "or test with another program",
        id="a script without its shell",
    ),
]


@pytest.mark.parametrize(("test", "cause", "hint"), UNSTARTABLE)
@pytest.mark.parametrize("command", ["build .#app -o ../x", "plan .#app"])
def test_a_program_that_cannot_be_started(
    tmp_path: Path, test: str, cause: str, hint: str | None, command: str
) -> None:
    done = flake(tmp_path, f"healthcheck: {{test: [{test}]}}", SCRIPT).run(*command.split(), "-q")
    error, *rest = done.stderr.splitlines()
    assert (done.returncode, error) == (2, f"error: cannot use healthcheck {cause}")
    assert hint is None or rest == [f"hint: {hint}"]


def test_path_is_that_of_the_image(tmp_path: Path) -> None:
    settings = "healthcheck: {test: check}\nenv: {PATH: /opt/bin}"
    done = flake(tmp_path, settings).run("plan", ".#app", "-q")
    assert done.stderr.startswith("error: cannot use healthcheck check: it is not in the image")


REFUSED = [
    ("{}", ": 'test' is missing: the program that is to be started"),
    ("check", ": expected a mapping, or none, got 'check'"),
    ("[check]", ": expected a mapping, or none, got a list"),
    ("{test: []}", ".test: there is no program to be started"),
    ("{test: check it}", ".test: expected a program, got 'check it'"),
    ("{test: [CMD]}", ".test: there is no program to be started"),
    ("{test: [CMD-SHELL, check]}", ".test: CMD-SHELL is for images with a shell"),
    ("{test: [NONE]}", ".test: NONE is no program"),
    ("{test: ./check}", ".test: expected the name of a program in bin/, or an absolute path"),
    ("{test: a, cmd: b}", ": unknown key 'cmd'"),
    ("{test: a, interval: 30}", ".interval: expected a time such as 30s, 1m30s or 500ms, got 30"),
    ("{test: a, retries: 0}", ".retries: expected a number from 1 to 1000000, got 0"),
    ("{test: a, retries: '3'}", ".retries: expected a number from 1 to 1000000, got '3'"),
    *(
        (f"{{test: a, timeout: {time}}}", ".timeout: expected a time such as")
        for time in ("0s", "0", "-1s", "1.5s", "1", "s", "''", "1s1m", "1s 1ms", "1d", "1ns", "1S")
    ),
    ("{test: a, timeout: 1234567s}", ".timeout: expected a time such as"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[value for value, _ in REFUSED])
def test_what_has_no_meaning_is_refused_with_its_line(
    tmp_path: Path, value: str, message: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"name: a\nhealthcheck: {value}")
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    assert str(caught.value).startswith(f"{path}:2: healthcheck{message}")


def test_inspect_and_diff_show_it(tmp_path: Path) -> None:
    terminal = flake(tmp_path, "healthcheck: {test: [check, -v], interval: 1m30s, retries: 2}")
    healthcheck(terminal)
    assert terminal.run("build", ".#app", "-o", "../y", "--healthcheck", "none").returncode == 0
    line = "check -v (interval 1m30s, retries 2)"
    assert f"health:     {line}" in terminal.run("inspect", "../x", "-q").stdout.splitlines()
    assert line in terminal.run("diff", "../x", "../y", "-q").stdout

"""Progress, colours and width: on a terminal, in a log, and where nothing is to be said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.smallimage import SmallImage
from support.terminal import Terminal, on_pty

from nix2oci.cli.render.console import Bars

STYLE = re.compile(rb"\x1b\[[0-9]+m")
READING = [
    pytest.param(("inspect", "x"), id="inspect"),
    pytest.param(("validate", "x"), id="validate"),
    pytest.param(("why", "x", "app"), id="why"),
    pytest.param(("popularity", "--image", "x", "-o", "/dev/null"), id="popularity"),
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    made = Terminal.make(tmp_path_factory.mktemp("progress"))
    SmallImage().write(made.directory / "x")
    SmallImage(config=lambda config: config["config"].update(Env=[f"A={'long ' * 30}"])).write(
        made.directory / "y"
    )
    paths = [f"/nix/store/{number:032}-package-{number}" for number in range(420)]
    info = {"narHash": f"sha256-{'A' * 43}=", "narSize": 1000, "references": []}
    top = f"/nix/store/{'a' * 32}-top"
    record = dict.fromkeys(paths, info) | {top: {**info, "references": paths}}
    (made.directory / "large.json").write_text(json.dumps(record))
    return made


def screen(here: Terminal, *args: str, **env: str) -> bytes:
    return on_pty(here.argv(*args), here.env(**{"TERM": "xterm", **env}), here.directory)


def results(here: Terminal, *args: str, **env: str) -> list[str]:
    """What a terminal has in the end, without styles: lines of stdout."""
    seen = STYLE.sub(b"", screen(here, *args, "-q", **env)).decode()
    return seen.replace("\r\n", "\n").splitlines()


def test_bars_are_drawn_without_a_thread() -> None:
    """The processes that write layers are forked meanwhile, and a thread may hold a lock then."""
    before = set(threading.enumerate())
    with Bars().bytes("writing", 10) as counter:
        counter(5)
        assert set(threading.enumerate()) <= before


def test_a_bar_is_not_drawn_for_each_of_many_steps(here: Terminal) -> None:
    """Drawing takes longer than most steps do."""
    work = (
        "from nix2oci.cli.render.console import Bars\n"
        "with Bars().steps('counting', 9000) as at:\n"
        "    for _ in range(9000): at(1)\n"
    )
    start = time.monotonic()
    seen = on_pty([sys.executable, "-c", work], here.env(TERM="xterm"), here.directory)
    often = 10 * (time.monotonic() - start)
    assert 1 < seen.count(b"counting") <= often + 2


@pytest.mark.parametrize("args", READING)
def test_a_log_has_a_line_for_an_image_that_is_read(args: tuple[str, ...], here: Terminal) -> None:
    said = here.run(*args).stderr.splitlines()
    (line,) = [line for line in said if "reading" in line]
    assert re.fullmatch(r"nix2oci: reading x \(\d+ B\)", line)
    assert here.run(*args, "-q").stderr == ""


@pytest.mark.parametrize("args", READING)
def test_a_terminal_has_a_bar_for_it(args: tuple[str, ...], here: Terminal) -> None:
    seen = screen(here, *args)
    assert b"reading x" in seen
    assert "━".encode() in seen
    assert b"\x1b[?25h" in seen, "the cursor is there again"
    assert "━".encode() not in screen(here, *args, "-q")
    assert "━".encode() not in screen(here, *args, TERM="dumb")


def test_a_large_plan_says_that_it_is_made(here: Terminal) -> None:
    line = "nix2oci: planning layers of 421 store paths\n"
    assert here.run("plan", "--closure", "large.json").stderr == line
    assert here.run("plan", "--closure", "large.json", "-q").stderr == ""
    assert "━".encode() in screen(here, "plan", "--closure", "large.json")


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(("inspect", "y"), id="inspect"),
        pytest.param(("inspect", "y", "-v"), id="inspect -v"),
        pytest.param(("why", "y", "app"), id="why"),
        pytest.param(("diff", "x", "y", "-v"), id="diff"),
        pytest.param(("plan", "--closure", "large.json", "--max-layers", "9"), id="plan"),
    ],
)
def test_a_text_fits_the_terminal(args: tuple[str, ...], here: Terminal) -> None:
    for width in (50, 80, 200):
        assert max(map(len, results(here, *args, COLUMNS=str(width)))) <= width


def test_a_pipe_gets_lines_as_long_as_they_are(here: Terminal) -> None:
    done = here.run("inspect", "y", COLUMNS="50", TERM="xterm")
    assert f"env:        A={'long ' * 30}".rstrip() in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("env", "styled"),
    [
        pytest.param({}, True, id="a terminal"),
        pytest.param({"NO_COLOR": "1"}, False, id="who wants no colours"),
        pytest.param({"NO_COLOR": ""}, True, id="an empty NO_COLOR says nothing"),
        pytest.param({"TERM": "dumb"}, False, id="a terminal that can do nothing"),
    ],
)
def test_what_has_colours(env: dict[str, str], here: Terminal, *, styled: bool) -> None:
    for args in (("diff", "x", "y"), ("why", "x", "app"), ("inspect", "x"), ("inspect", "none")):
        assert bool(STYLE.search(screen(here, *args, "-q", **env))) == styled, args


def test_what_changed_has_a_colour(here: Terminal) -> None:
    seen = screen(here, "diff", "x", "large.json", "-q")
    assert b"\x1b[32madded" in seen
    assert b"\x1b[31mremoved" in seen or b"\x1b[33mupdated" in seen


def test_only_stderr_may_be_a_terminal(here: Terminal, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        argv = here.argv("inspect", "y")
        seen = on_pty(argv, here.env(TERM="xterm"), here.directory, stdout=out.fileno())
    assert "━".encode() in seen
    assert (tmp_path / "out").read_text() == here.run("inspect", "y").stdout


def test_a_warning_looks_unlike_what_needs_no_decision(here: Terminal) -> None:
    code = (
        "from nix2oci.cli.render.console import Bars\nBars().step('warning: x')\nBars().step('y')"
    )
    argv = (str(Path(here.argv()[0]).with_name("python")), "-c", code)
    assert on_pty(argv, here.env(TERM="xterm")).splitlines() == [
        b"\x1b[34mnix2oci:\x1b[0m \x1b[33mwarning: \x1b[0mx",
        b"\x1b[34mnix2oci:\x1b[0m y",
    ]


def test_json_has_no_control_character(here: Terminal) -> None:
    done = subprocess.run(
        [*here.argv("validate", "--json", "no\x7f\x9b")],
        cwd=here.directory, env=here.env(), capture_output=True, check=False,
    )  # fmt: skip
    assert b"\x7f" not in done.stdout + done.stderr

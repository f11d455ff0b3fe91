"""Nothing that others wrote gives orders to a terminal: it is shown escaped, wherever it is said.

That is what images, files and arguments hold. The bytes that a command writes are looked at, on
pipes and on a terminal.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.smallimage import STORE_ENTRIES, STORE_PATH, Json, Layer, SmallImage, entry, tar
from support.terminal import Terminal, on_pty

ORDERS = "\x1b]0;PWN\x07\x1b[2J\x9b31m\r\x7f\u202e\u2066\nfake: line"
"""A title for the window, a cleared screen, a colour, a line over the line, text from right to
left, and a line that looks like one of ours."""

BY_NAME = STORE_PATH[1:] + "/lib/" + ORDERS
"""A file whose name is hostile."""

OURS = b"\x1b[0m", b"\x1b[1m", b"\x1b[31m", b"\x1b[33m", b"\x1b[34m"
"""What we send to a terminal: colours of `error:`, `hint:` and `nix2oci:`."""


def hostile(root: Path) -> Path:
    """An image whose every text is hostile."""
    files = entry(BY_NAME), entry(f"b{ORDERS}", STORE_PATH.encode())
    layer = Layer(tar(*STORE_ENTRIES, *files))
    return SmallImage(layers=(layer,), config=_config, manifest=_manifest, index=_index).write(root)


def _config(config: Json) -> None:
    config["created"] = f"2020{ORDERS}"
    config["architecture"] = f"amd64{ORDERS}"
    config["author"] = ORDERS
    config["config"] = {
        "Entrypoint": ["/bin/app", ORDERS],
        "Cmd": [ORDERS],
        "Env": [f"A={ORDERS}", f"B={ORDERS}"],
        "User": ORDERS,
        "WorkingDir": f"/{ORDERS}",
        "ExposedPorts": {f"80{ORDERS}": {}},
        "Volumes": {f"/v{ORDERS}": {}},
        "Labels": {f"l{ORDERS}": ORDERS},
    }


def _manifest(manifest: Json) -> None:
    manifest["annotations"] = {f"a{ORDERS}": ORDERS, "nix2oci.popularity": ORDERS}


def _index(index: Json) -> None:
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = f"1{ORDERS}"
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": f"amd64{ORDERS}"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    made = Terminal.make(tmp_path)
    hostile(made.directory / "hostile")
    SmallImage().write(made.directory / "plain")
    return made


COMMANDS = [
    pytest.param(("inspect", "hostile", "-v"), id="the configuration and the layers of an image"),
    pytest.param(("validate", "hostile"), id="what is wrong with an image"),
    pytest.param(("ls", "hostile"), id="names of files"),
    pytest.param(("ls", "hostile", f"/b{ORDERS}"), id="the name of one file"),
    pytest.param(("ls", "hostile", ORDERS), id="the name of a file that is not there"),
    pytest.param(("diff", "plain", "hostile", "-v"), id="annotations and settings of two images"),
    pytest.param(("why", "hostile", "app", "-v"), id="files that hold a reference"),
    pytest.param(("inspect", "hostile:no"), id="the tags that a hint names"),
    pytest.param(("inspect", "hostile", "--platform", "linux/s390x"), id="platforms of an index"),
    pytest.param(("why", "plain", ORDERS), id="the name that was asked for"),
    pytest.param(("inspect", f"no{ORDERS}"), id="the path of an image that is not there"),
    pytest.param(("build", f"--{ORDERS}"), id="an option that there is not"),
    pytest.param((ORDERS,), id="a command that there is not"),
    pytest.param(("inspect", "hostile", "-vv", "--platform", "a/b"), id="a traceback"),
]


EVALUATING = pytest.param(("build", f".#{ORDERS}"), id="an installable in a line of progress")
"""On a terminal Nix itself says what it does."""


@pytest.mark.parametrize("args", [*COMMANDS, EVALUATING])
def test_a_pipe_gets_no_control_characters(args: Sequence[str], terminal: Terminal) -> None:
    done = _piped(terminal, args)
    printed = (done.stdout + done.stderr).decode()
    assert "PWN" in printed or "-vv" in args, "nothing hostile was said"
    assert [c for c in printed if not c.isprintable() and c != "\n"] == []
    assert "\nfake: line" not in printed


@pytest.mark.parametrize("args", COMMANDS)
def test_a_terminal_gets_no_orders_but_ours(args: Sequence[str], terminal: Terminal) -> None:
    seen = on_terminal(terminal, args)
    for each in OURS:
        seen = seen.replace(each, b"")
    printed = seen.replace(b"\r\n", b"\n").decode()
    assert [c for c in printed if not c.isprintable() and c != "\n"] == []
    assert "\nfake: line" not in printed


def test_a_bar_on_a_terminal_takes_its_text_as_it_is() -> None:
    """Neither orders, nor markup of rich, nor fields of a format string."""
    code = (
        "from nix2oci.cli.render.console import Bars\n"
        f"with Bars().bytes('[red]x{{y}}' + {ORDERS!r}, 9) as counter:\n"
        f"    counter(1 << 30)\n    counter.step({ORDERS!r})\n"
    )
    seen = on_pty((sys.executable, "-c", code), {"TERM": "xterm"})
    assert b"[red]x{y}" in seen
    assert b"\x1b]0;" not in seen
    assert b"\x1b[2J" not in seen
    assert "\u202e".encode() not in seen


def test_json_has_every_text_as_it_is(terminal: Terminal) -> None:
    done = _piped(terminal, ("inspect", "hostile", "--json"))
    assert done.returncode == 0
    assert rb"\u001b]0;PWN\u0007" in done.stdout
    assert b"\x1b" not in done.stdout


def _piped(terminal: Terminal, args: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        terminal.argv(*args),
        cwd=terminal.directory,
        env=terminal.env(),
        capture_output=True,
        check=False,
        timeout=60,
    )


def on_terminal(terminal: Terminal, args: Sequence[str]) -> bytes:
    return on_pty(terminal.argv(*args), terminal.env(TERM="xterm"), terminal.directory)

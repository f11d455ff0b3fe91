"""`build --load` as a user gets it: one line on stdout, and files for a pipeline that asks."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from support.fakeengine import FakeEngine
from support.json_page import documented
from support.started import started
from support.terminal import Terminal
from support.tools_terminal import ToolsTerminal
from support.waiting import wait_for

from nix2oci.oci.layout.source import open_image


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


@pytest.fixture
def fake(terminal: Terminal) -> FakeEngine:
    return FakeEngine(terminal.fake.directory)


@pytest.mark.parametrize(
    ("engine", "printed"),
    [
        ("docker", "app:1.0"),
        ("podman", "localhost/app:1.0"),
        ("containerd", "docker.io/library/app:1.0"),
    ],
)
def test_the_name_is_all_that_is_printed(
    terminal: Terminal, fake: FakeEngine, engine: str, printed: str
) -> None:
    done = terminal.run("build", ".#app", "--tag", "app:1.0", "--load", engine)
    assert (done.returncode, done.stdout) == (0, f"{printed}\n"), done.stderr
    assert f"nix2oci: loading app:1.0 into {engine} (" in done.stderr
    assert "Loaded image" not in done.stderr
    assert terminal.left() == []
    assert fake.received.exists()


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("engine", ["docker", "podman", "containerd"])
def test_a_health_check_that_the_engine_passes_over_is_told(
    terminal: Terminal, engine: str
) -> None:
    """tests/real/test_health_in_engines.py sees that podman does."""
    done = terminal.run("build", ".#app", "--healthcheck", "app", "--load", engine)
    told = f"nix2oci: {engine} reads no health check of an OCI image\n" in done.stderr
    assert (done.returncode, told) == (0, engine != "docker")


def test_what_the_engine_says_is_shown_when_asked_for(terminal: Terminal, fake: FakeEngine) -> None:
    done = terminal.run("build", ".#app", "--tag", "app:1", "--load", "docker", "-v")
    assert "Loaded image: docker.io/library/app:1\n" in done.stderr
    assert fake.calls[-1][-1] == "app:1"


def test_output_and_load_are_one_image(terminal: Terminal, fake: FakeEngine) -> None:
    done = terminal.run("build", ".#app", "--load", "docker", "-o", "x.tar", "--tag", "app:1")
    assert done.stdout == "app:1\n"
    assert terminal.left() == ["x.tar"]
    written = open_image(str(terminal.directory / "x.tar"))
    assert written.descriptor.digest == open_image(str(fake.received)).descriptor.digest


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        pytest.param(
            ("--load", "docker", "-o", "-"),
            "cannot load into docker with -o -: stdout has either the archive or the name",
            "use -o PATH.tar, or leave --load out and pipe: nix2oci build -o - | docker load",
            id="stdout cannot have both",
        ),
        pytest.param(
            ("--load", "podman", "--format", "archive"),
            "cannot use --format with --load podman: no file is written",
            "add -o PATH",
            id="a form of nothing",
        ),
        pytest.param(
            ("--load", "docker", "--namespace", "k8s.io"),
            "cannot use --namespace: only --load containerd has namespaces",
            None,
            id="Docker has no namespaces",
        ),
        pytest.param(
            ("--load", "docker", "--compression", "zstd"),
            "cannot load zstd layers into docker: not every Docker reads them",
            "use --compression gzip",
            id="Docker reads no zstd",
        ),
    ],
)
def test_what_does_not_go_together(
    terminal: Terminal, fake: FakeEngine, args: tuple[str, ...], message: str, hint: str | None
) -> None:
    done = terminal.run("build", ".#app", *args)
    lines = [f"error: {message}", *([f"hint: {hint}"] if hint else [])]
    said = [line for line in done.stderr.splitlines() if not line.startswith("nix2oci: ")]
    assert (done.returncode, done.stdout, said) == (2, "", lines)
    assert not fake.received.exists()


def test_an_engine_that_is_not_there_is_missed_before_anything_is_built(
    terminal: Terminal,
) -> None:
    done = terminal.run("build", ".#app", "--load", "containerd", PATH=str(terminal.fake.bin))
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr.splitlines() == [
        "error: cannot load into containerd: there is no 'ctr' on PATH",
        "hint: install it, or write an archive with -o PATH.tar",
    ]
    assert terminal.fake.calls == []


def test_an_engine_that_refuses_leaves_no_files(terminal: Terminal, fake: FakeEngine) -> None:
    fake.answer("load", stderr="Error response from daemon: full\n", code=1)
    done = terminal.run(
        *("build", ".#app", "--tag", "app:1", "--load", "docker"),
        *("--image-refs", "refs", "--metadata", "meta.json"),
    )
    assert (done.returncode, done.stdout, terminal.left()) == (8, "", [])
    assert done.stderr.splitlines()[-1] == "error: cannot load app:1 into docker: full"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_interrupted_while_the_engine_loads(
    terminal: Terminal, fake: FakeEngine, tmp_path: Path, number: signal.Signals
) -> None:
    fake.answer("load", waits=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    argv = terminal.argv("build", ".#app", "-q", "--load", "docker")
    with started(argv, terminal.env(TMPDIR=str(scratch)), terminal.directory) as process:
        wait_for(fake.state / "waiting")
        process.send_signal(number)
        printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed, said.strip()) == (130, "", "interrupted")
    assert (terminal.left(), list(scratch.iterdir())) == ([], [])
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake.state / "waiting").read_text()), 0)


def test_json_says_what_was_loaded(terminal: Terminal, fake: FakeEngine) -> None:
    done = terminal.run("build", ".#app", "--tag", "app:1", "--load", "podman", "--json")
    document = json.loads(done.stdout)
    assert document["reference"] == "localhost/app:1"
    assert document["loaded"] == {"engine": "podman", "id": document["image_id"]}
    assert set(document["loaded"]) == documented("build", 2)
    assert fake.received.exists()


def test_files_for_a_pipeline(terminal: Terminal) -> None:
    done = terminal.run(
        *("build", ".#app", "--tag", "example.com/app:1", "-o", "x", "--json"),
        *("--image-refs", "refs", "--metadata", "meta.json"),
    )
    assert terminal.left() == ["meta.json", "refs", "x"]
    assert (terminal.directory / "meta.json").read_text() == done.stdout
    digest = open_image(str(terminal.directory / "x")).descriptor.digest
    assert (terminal.directory / "refs").read_text() == f"example.com/app:1@{digest}\n"


def test_the_twin_is_said_to_bring_its_layers_again(tmp_path: Path) -> None:
    place = ToolsTerminal(tmp_path)
    fake = FakeEngine(place.terminal.fake.directory)
    done = place.terminal.run("build", ".#app", "--debug", "--tag", "app:1", "--load", "docker")
    first, second = (line for line in done.stderr.splitlines() if "loading" in line)
    assert first.startswith("nix2oci: loading app:1 into docker (")
    assert second.startswith(
        "nix2oci: loading app:1-debug into docker, "
        "all layers again: an engine takes an image as a whole ("
    )
    assert fake.calls

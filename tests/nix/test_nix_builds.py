"""What is built is held and checked; what fails is told once; nothing outlives an interruption."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from support import covered
from support.fakenix import (
    DRV,
    OUT,
    SYSTEM,
    FakeNix,
    fails,
    info,
    joint,
    make,
    missing,
    value,
)
from support.started import started
from support.waiting import wait_for

from nix2oci.errors import (
    BuildError,
    ClosureError,
    ConfigError,
    Nix2OCIError,
    NixCommandError,
    NixOutputError,
    StoreError,
)
from nix2oci.model.closure import StorePath
from nix2oci.nix.package import Package

LIBRARY = "/nix/store/ai6vwhbrg1fgxn289gkabgn3d4hhfxa3-library-1.2"


@pytest.fixture
def fake(tmp_path: Path) -> FakeNix:
    return FakeNix(tmp_path)


def test_what_is_built_is_held_until_the_end(fake: FakeNix) -> None:
    nix = fake.nix()
    with nix.build([nix.evaluate(nix.installable(".#app"))]):
        call = fake.calls[-1]
        link = Path(call[call.index("--out-link") + 1])
        assert link.parent.is_dir()
        assert link.parent.stat().st_mode & 0o777 == 0o700
    assert not link.parent.exists()
    fake.answer("path-info", code=1)
    fails(fake.nix(), NixCommandError, 3)
    call = next(call for call in reversed(fake.calls) if call[0] == "build")
    assert not Path(call[call.index("--out-link") + 1]).parent.exists()


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        pytest.param(
            (
                f"error: builder for '{DRV}' failed with exit code 3;",
                "       last 1 log lines:",
                "       > one",
                f"       For full logs, run 'nix log {DRV}'.",
            ),
            f"builder for '{DRV}' failed with exit code 3",
            id="2.8",
        ),
        pytest.param(
            (
                f"error: Cannot build '{DRV}'.",
                "       Reason: builder failed with exit code 3.",
                "       last 1 log lines:",
                "       > one",
                "       For full logs, run:",
                f"         nix log {DRV}",
            ),
            f"cannot build '{DRV}': builder failed with exit code 3",
            id="2.34",
        ),
    ],
)
def test_a_builder_that_fails(fake: FakeNix, lines: tuple[str, ...], cause: str) -> None:
    fake.answer("build --json", stderr="\n".join(("building", *lines, "")), code=1)
    error = fails(fake.nix(), BuildError, 4)
    assert str(error) == f"cannot build '.#app': {cause}"
    assert error.hint == f"see the whole log with 'nix log {DRV}'"
    assert fake.shown == ["building", "       last 1 log lines:", "       > one"]


def test_a_system_that_nobody_builds_for(fake: FakeNix) -> None:
    said = "a 'riscv64-linux' with features {} is required to build 'x', but I am a 'x86_64-linux'"
    fake.answer("-- .#app", value(system="riscv64-linux"))
    fake.answer("build --json", stderr=f"error: {said}\n", code=1)
    error = fails(fake.nix(), NixCommandError, 3)
    assert str(error) == f"cannot build '.#app': {said}"
    assert error.hint == (
        "name another system with --system, or give Nix a remote builder or binfmt emulation"
    )


def test_on_a_terminal_nix_speaks_for_itself(fake: FakeNix) -> None:
    fake.answer("build --json", stderr="error: shown by nix\n", code=1)
    read, write = os.pipe()
    with os.fdopen(read) as terminal:
        error = fails(fake.nix(terminal=write), BuildError, 4)
        os.close(write)
        assert terminal.read() == "error: shown by nix\n"
    assert str(error) == "cannot build '.#app': nix ended with exit code 1, see above"
    assert fake.shown == []


def test_on_a_terminal_another_system_is_a_guess(fake: FakeNix) -> None:
    fake.answer("-- .#app", value(system="riscv64-linux"))
    fake.answer("build --json", stderr="x", code=1)
    with open(os.devnull, "wb") as terminal:
        error = fails(fake.nix(terminal=terminal.fileno()), NixCommandError, 3)
    assert str(error) == "cannot build '.#app': nix ended with exit code 1, see above"
    assert error.hint == "if riscv64-linux cannot be built here, see --system and remote builders"


def test_on_a_terminal_of_a_mac_what_it_lacks_is_a_guess(fake: FakeNix) -> None:
    fake.answer("build --json", stderr="x", code=1)
    with open(os.devnull, "wb") as terminal:
        error = fails(
            fake.nix(terminal=terminal.fileno(), NIX_CONFIG="system = x86_64-darwin"), BuildError, 4
        )
    assert (error.hint or "").startswith(
        "if it is for want of Linux, take it built from a binary cache with --from URL, or"
    )


def test_a_derivation_that_was_collected_is_evaluated_again(fake: FakeNix) -> None:
    place = fake.place(DRV)
    fake.answer("eval", value(), run=f"touch {place}")
    fake.rules.insert(0, f"*'#apps.'*) printf %s \"{missing('apps')}\" >&2; exit 1;;")
    fake.answer(
        "build --json",
        json.dumps([{"drvPath": DRV, "outputs": {"out": OUT}}]),
        run=f'test -e {place} || {{ echo "error: no {DRV}" >&2; exit 1; }}',
    )
    nix = fake.nix("--system", SYSTEM)
    package = nix.evaluate(nix.installable(".#app"))
    place.unlink()
    with nix.build([package]) as built:
        assert built[0].roots == (StorePath.parse(OUT),)
    assert [call[0] for call in fake.calls if call[0] == "build"] == ["build", "build"]
    assert fake.shown == []


def test_a_derivation_that_is_collected_each_time(fake: FakeNix) -> None:
    fake.place(DRV).unlink()
    fake.answer("build --json", stderr=f"error: path '{DRV}' is not valid\n", code=1)
    error = fails(fake.nix(), StoreError, 4)
    assert str(error) == "cannot build '.#app': its derivations are garbage-collected each time"
    assert error.hint == "wait for 'nix store gc' to end"


@pytest.mark.parametrize(
    ("answer", "error", "code", "message"),
    [
        pytest.param(
            [{"drvPath": DRV, "outputs": {"out": None}}],
            StoreError,
            4,
            f"cannot build {DRV}: Nix gave no path for its output 'out'",
            id="an output without a path",
        ),
        pytest.param(
            [{"drvPath": DRV, "outputs": {"out": "/nix/store/../../etc/shadow"}}],
            ClosureError,
            4,
            "cannot read store path '/nix/store/../../etc/shadow': it is not one",
            id="a path that leaves the store",
        ),
        pytest.param(
            [LIBRARY],
            NixOutputError,
            3,
            f"cannot read `nix build` output: it says nothing about {DRV}",
            id="another path",
        ),
    ],
)
def test_a_build_that_says_something_else(
    fake: FakeNix, answer: object, error: type[Nix2OCIError], code: int, message: str
) -> None:
    fake.answer("build --json", json.dumps(answer))
    assert str(fails(fake.nix(), error, code)) == message


def test_what_was_built_is_not_where_the_store_should_be(fake: FakeNix) -> None:
    fake.place(OUT).unlink()
    error = fails(fake.nix(), StoreError, 4)
    assert str(error) == f"cannot read {OUT}: Nix has it, but there is no {fake.root}{OUT}"
    assert error.hint == "if the configuration of Nix has another store, name it with --store"


@pytest.mark.parametrize("text", [".#app", OUT])
def test_a_store_on_another_machine(fake: FakeNix, text: str) -> None:
    error = fails(fake.nix("--store", "ssh-ng://builder"), StoreError, 4, text)
    assert str(error) == "cannot read store 'ssh-ng://builder': its files are not on this machine"
    assert error.hint == "take what is there with --from 'ssh-ng://builder'"
    assert fake.calls == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            {OUT: None}, f"cannot read {OUT}: it is not in the store", id="a path that is lost"
        ),
        pytest.param(
            [{"path": OUT, "valid": False}],
            f"cannot read {OUT}: it is not in the store",
            id="a path that is not valid",
        ),
    ],
)
def test_a_path_that_is_not_valid(fake: FakeNix, answer: object, message: str) -> None:
    fake.answer("path-info", json.dumps(answer))
    error = fails(fake.nix(), StoreError, 4)
    assert str(error) == message
    assert error.hint == "it may have been garbage-collected since it was built"


def test_a_closure_that_is_not_closed(fake: FakeNix) -> None:
    fake.answer("path-info", json.dumps(info(references=[LIBRARY])))
    error = fails(fake.nix(), ClosureError, 4)
    assert str(error) == f"cannot use closure: {OUT} refers to {LIBRARY}, which is not in it"


DRIVER = """
import signal, sys
from nix2oci.nix.client import NixClient

def interrupt(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, interrupt)
env = {"PATH": sys.argv[1] + ":/usr/bin:/bin", "HOME": sys.argv[2]}
nix = NixClient(env, ("--store", sys.argv[3]))
try:
    with nix.build([nix.evaluate(nix.installable(".#app"))]):
        print("built", flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stubborn", [False, True], ids=["", "nix misses the first signal"])
def test_interrupted_while_building(
    fake: FakeNix, number: signal.Signals, *, stubborn: bool
) -> None:
    pid = fake.directory / "pid"
    trap = "trap 'test -e again && exit 1; touch again' TERM INT; " if stubborn else ""
    run = f"cd {fake.directory}; {trap}echo $$ > new; mv new pid; while :; do sleep 0.1; done"
    fake.answer("build --json", run=run)
    fake.nix()
    temporary = fake.directory / "tmp"
    temporary.mkdir()
    argv = [sys.executable, "-c", DRIVER, str(fake.bin), str(fake.directory), str(fake.root)]
    env = {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    env |= covered.environment()
    with started(argv, env) as driver:
        wait_for(pid)
        assert list(temporary.iterdir()) != []
        driver.send_signal(number)
        stdout, stderr = driver.communicate(timeout=30)
    assert (driver.returncode, stdout, stderr) == (130, "", "")
    assert list(temporary.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_grandchild_that_keeps_the_pipe_open_is_not_waited_for(fake: FakeNix) -> None:
    fake.answer("path-info", json.dumps(info()), run=f"sleep 300 & echo $! > {fake.directory}/pid")
    make(fake.nix())
    os.kill(int((fake.directory / "pid").read_text()), signal.SIGKILL)  # it is still there


def test_a_null_byte_reaches_no_command_line(fake: FakeNix) -> None:
    error = fails(fake.nix(), ConfigError, 2, ".#a\0b")
    assert str(error) == "cannot use installable '.#a\\x00b': it holds a null byte"
    assert fake.calls == []


def test_much_output_on_both_pipes_does_not_block(fake: FakeNix) -> None:
    """More than the pipes hold, on both at once."""
    fake.answer(
        '#""',
        joint(value()),
        run="yes warning | head -c 1000000 >&2; printf '%500000s'; yes x | head -c 500000 >&2",
    )
    found: Package = (nix := fake.nix()).evaluate(nix.installable(".#app"))
    assert found.name == "app"

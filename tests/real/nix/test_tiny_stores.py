"""Stores and surroundings that are not the usual ones, and the end of a build."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real.distro import nixes
from real.nix.tiny import PRELUDE, fails, make, names
from support.started import started
from support.tools import require

from nix2oci.errors import BuildError, NixCommandError, NixError, StoreError
from nix2oci.model.closure import StorePath
from nix2oci.nix.client import NixClient

pytestmark = pytest.mark.nix


def test_a_store_in_a_directory(
    nix: NixClient, nix_of: Callable[..., NixClient], flake: Path, tmp_path: Path
) -> None:
    (here,), _ = make(nix, f"path:{flake}#app")
    store = tmp_path / "chroot"
    _copy(here.roots, store)
    for name in (str(store), f"local?root={store}"):
        other = nix_of("--store", name)
        (there,), closure = make(other, f"path:{flake}#app")
        assert (there.roots, there.program) == (here.roots, here.program)
        assert other.physical() == str(store)
        for path in closure:
            assert Path(f"{store}{path}").exists()


def _copy(roots: tuple[StorePath, ...], store: Path) -> None:
    def nix_store(*argv: str, data: bytes = b"") -> bytes:
        command = ["nix-store", *argv]
        return subprocess.run(
            command, input=data, stdout=subprocess.PIPE, check=True, timeout=120
        ).stdout

    paths = nix_store("--query", "--requisites", *map(str, roots)).decode().split()
    nix_store("--store", str(store), "--import", data=nix_store("--export", *paths))


def test_a_store_directory_of_its_own(
    nix_of: Callable[..., NixClient], flake: Path, tmp_path: Path
) -> None:
    env = {
        f"NIX_{name}_DIR": str(tmp_path / "own" / name.lower())
        for name in ("STORE", "STATE", "LOG", "CONF", "LOCALSTATE")
    }
    nix = nix_of(**env)
    (built,), closure = make(nix, f"path:{flake}#app")
    assert {path.store_dir for path in closure} == {f"{tmp_path}/own/store"}
    assert built.program == f"{tmp_path}/own/store/{built.roots[1].base}"
    assert Path(built.program).read_text() == "tool\n"
    (again,), _ = make(nix, str(built.roots[0]))
    assert again.roots == built.roots[:1]


def test_a_store_on_another_machine(nix_of: Callable[..., NixClient], flake: Path) -> None:
    error = fails(nix_of("--store", "https://cache.example.org"), StoreError, f"path:{flake}#app")
    assert error.exit_code == 4


def test_content_addressed_derivations(
    nix_of: Callable[..., NixClient], write: Callable[..., Path]
) -> None:
    flake = write(
        f"""{{ outputs = {{ self }}: let {PRELUDE}
          addressed = {{
            __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
          }};
          app = make "ca-1" "echo $out > $out; echo $out > $dev" (
            addressed // {{ outputs = [ "out" "dev" ]; }}
          );
        in {{
          packages.SYSTEM.app = make "user-1" "echo ${{app.dev}} > $out" {{ }};
          apps.SYSTEM.app = {{ type = "app"; program = "${{app}}/bin/x"; }};
          apps.SYSTEM.dev = {{ type = "app"; program = "${{app.dev}}/bin/x"; }};
        }}; }}""",
        "ca/flake.nix",
    ).parent
    nix = nix_of("--option", "extra-experimental-features", "ca-derivations")
    built, closure = make(nix, f"path:{flake}#app", f"path:{flake}#dev")
    user, app = built[0].roots
    assert names((user, app, *built[1].roots)) == ["user-1", "ca-1", "ca-1-dev"]
    assert built[0].program == f"{app}/bin/x"
    assert built[1].program == f"{built[1].roots[0]}/bin/x"
    for path in closure:
        assert Path(str(path)).read_text().startswith("/nix/store/")
    assert app in closure.infos[app].references


def test_without_experimental_features(nix_of: Callable[..., NixClient], flake: Path) -> None:
    config = "".join(
        f"{line}\n"
        for line in os.environ.get("NIX_CONFIG", "").splitlines()  # noqa: TID251
        if "experimental-features" not in line
    )
    (built,), _ = make(nix_of(NIX_CONFIG=config + "experimental-features =\n"), f"path:{flake}#app")
    assert names(built.roots) == ["app-1.0", "tool"]


def test_without_a_daemon(nix_of: Callable[..., NixClient], flake: Path, tmp_path: Path) -> None:
    socket = f"unix://{tmp_path}/nobody.sock"
    error = fails(nix_of(NIX_REMOTE=socket), NixCommandError, f"path:{flake}#app")
    said = f"cannot connect to socket at '{tmp_path}/nobody.sock': "
    assert str(error).startswith(f"cannot evaluate 'path:{flake}#app': {said}")
    assert error.hint == (
        "start the Nix daemon ('systemctl start nix-daemon'), or check NIX_REMOTE and --store"
    )
    assert error.exit_code == 3


def test_without_a_home(
    nix_of: Callable[..., NixClient], flake: Path, repository: Callable[..., str]
) -> None:
    repository("add", ".")
    (built,), _ = make(nix_of(HOME="/proc/nope"), f"{flake}#app")
    assert names(built.roots) == ["app-1.0", "tool"]


@pytest.mark.parametrize("text", ["-x", "--help", ".#$(touch pwned)", ".#a b", "./-#"])
def test_installables_that_look_like_something_else(
    nix: NixClient, flake: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(flake)
    with pytest.raises(NixError) as caught:
        nix.evaluate(nix.installable(text))
    assert str(caught.value).startswith(f"cannot evaluate '{text}': ")
    assert not (flake / "pwned").exists()


DRIVER = """
import os, signal, sys
from nix2oci.nix.client import NixClient
from nix2oci.model.closure import StorePath

def interrupt(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, interrupt)
nix = NixClient(os.environ, ("--print-build-logs",), show=lambda line: print(line, flush=True))
try:
    with nix.build([nix.evaluate(nix.installable(sys.argv[1]))]):
        pass
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_building(
    nix: NixClient, flake: Path, tmp_path: Path, number: signal.Signals
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    assert nix.version.has_flakes
    argv = [sys.executable, "-c", DRIVER, f"path:{flake}#slow"]
    more = {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    with started(argv, {**os.environ, **more}) as driver:  # noqa: TID251
        assert driver.stdout is not None
        for line in driver.stdout:
            if "started" in line:
                break
        children = _descendants(driver.pid)
        assert len(children) >= 2
        driver.send_signal(number)
        driver.communicate(timeout=60)
        assert driver.returncode == 130
    assert [path for path in temporary.iterdir() if path.name.startswith("nix2oci-")] == []
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in children):
            break
        time.sleep(0.1)
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def _descendants(pid: int) -> list[int]:
    parents = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            stat = (directory / "stat").read_text()
        except OSError:
            continue
        parents[int(directory.name)] = int(stat.rpartition(")")[2].split()[1])
    found, queue = [], [pid]
    while queue:
        parent = queue.pop()
        children = [child for child, of in parents.items() if of == parent]
        found += children
        queue += children
    return found


def test_on_a_terminal_nix_draws_its_own_progress(flake: Path) -> None:
    require("nix")
    controller, terminal = os.openpty()
    try:
        nix = NixClient(dict(os.environ), terminal=terminal)  # noqa: TID251
        text = f"path:{flake}#fails"
        error = fails(nix, BuildError, text)
    finally:
        os.close(terminal)
    said = b""
    with os.fdopen(controller, "rb", buffering=0) as stream:
        while True:
            try:
                said += (data := stream.read(4096))
            except OSError:  # EIO is the end of a terminal
                break
            if not data:
                break
    assert str(error) == f"cannot build '{text}': nix ended with exit code 1, see above"
    assert b"failed with exit code 3" in said
    assert b"\x1b[" in said
    assert said.count(b"failed with exit code 3") == 1


def test_every_version_on_the_path_gives_the_same(
    nix: NixClient, nix_of: Callable[..., NixClient], flake: Path
) -> None:
    """What one Nix evaluates and builds, another one finds to be the same."""
    others = [found.parent for found in nixes()[1:]]
    if not others:
        pytest.skip("only one Nix on PATH")
    texts = [f"path:{flake}#{attr}" for attr in ("app", "several", "chosen", "only", "several^*")]
    built, closure = make(nix, *texts)
    for directory in others:
        path = f"{directory}:{os.environ['PATH']}"  # noqa: TID251
        other = nix_of(PATH=path)
        assert str(other.version) != str(nix.version)
        assert make(other, *texts) == (built, closure)

"""Images of wrapped programs without a shell: the programs run, and do not notice."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from real.distro import FLAKES, sample
from real.engines import Engine, Job, Mount, Runc, wait_until
from real.images import NIX2OCI, Layout, nix2oci
from real.work import get, listens
from support.cwrapper import source
from support.tools import require

from nix2oci.wrappers.binary import Option

pytestmark = pytest.mark.slow

LINES = re.MULTILINE
SHELLS = {"ash", "bash", "busybox", "dash", "fish", "ksh", "mksh", "sh", "zsh"}

# What bash itself does to the environment; HOSTNAME is the container's.
BY_BASH = re.compile(r"variable: (PWD|OLDPWD|SHLVL|_|HOSTNAME)=")
ENVIRONMENT = {"XDG_DATA_DIRS": "/a::/b", "TERM": "dumb", "GREETING": "", "ODD": "a b'c\\"}
ARGUMENTS = ("one", "two words", "", "it's")

# The same program behind one wrapper, two, writeShellApplication, and a script around a binary.
PROGRAMS = ("wrapped", "twice", "application", "binary")

FLASK = """\
from flask import Flask
app = Flask(__name__)

@app.get("/<name>")
def greet(name):
    return f"hello {name}"
"""

BINARY = """
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  outputs = { self, nixpkgs }:
    let
      pkgs = nixpkgs.legacyPackages.${"SYSTEM"};
      binary = pkgs.stdenv.mkDerivation {
        name = "binary";
        src = ./.;
        nativeBuildInputs = [ pkgs.makeWrapper ];
        buildPhase = ''
          sed -i "s|/nix/store/PLACE|$out|g" wrapper.c
          $CC -Os -w -o wrapper wrapper.c && strip -S wrapper
          $CC -O2 -o show show.c
        '';
        installPhase = ''
          install -Dm755 show $out/bin/.show
          install -Dm755 wrapper $out/bin/.binary
          makeWrapper $out/bin/.binary $out/bin/binary --inherit-argv0 --set OUTER 1
        '';
        meta.mainProgram = "binary";
      };
    in
    { packages.${"SYSTEM"} = { inherit binary; }; };
}
"""


@dataclass(frozen=True)
class Samples:
    """Images of the flake `wrapped`, and of one with a wrapper binary, each built once."""

    distro: Path
    directory: Path
    documents: dict[tuple[str, str], Any] = field(default_factory=dict)

    def options(self, name: str) -> tuple[str, ...]:
        if name == "flask":
            return (f"path:{self.distro}#python3-flask",)
        if name != "binary":
            return sample(self.distro, "wrapped", name)
        flake = self.directory / "binary"
        if not flake.exists():
            flake.mkdir()
            (flake / "flake.nix").write_text(
                BINARY.replace("SYSTEM", f"{os.uname().machine}-linux")
            )
            command = (
                Option(b"--prefix", (b"PATH", b":", b"/by/binary")),
                Option(b"--add-flags", (b"--from binary",)),
            )
            (flake / "wrapper.c").write_bytes(source(b"/nix/store/PLACE/bin/.show", command))
            (flake / "show.c").write_text((FLAKES / "wrapped/show.c").read_text())
        return (f"path:{flake}#binary", *sample(self.distro, "wrapped")[1:])

    def archive(self, name: str, mode: str) -> Path:
        path = self.directory / f"{name}-{mode}.tar"
        if not path.exists():
            tag = ("--tag", f"nix2oci.test/{name}-{mode}:1")
            more = ("--json", "--shell", mode, "-o", path)
            printed = nix2oci("build", *self.options(name), *tag, *more)
            self.documents[name, mode] = json.loads(printed)
        return path

    def document(self, name: str, mode: str = "auto") -> Any:
        self.archive(name, mode)
        return self.documents[name, mode]

    def build(self, name: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
        argv = (NIX2OCI, "build", *self.options(name), *more)
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=500)


@pytest.fixture(scope="session")
def samples(distro: Path, scratch: Path) -> Samples:
    require("cc", "strip")
    directory = scratch / "wrapped"
    directory.mkdir()
    return Samples(distro, directory)


def names(paths: list[Mapping[str, Any]]) -> list[str]:
    """The names of store paths, without hash part and version."""
    return sorted(re.sub(r"^/nix/store/\w{32}-|-[\d.]+$", "", path["path"]) for path in paths)


def shells_in(rootfs: Path) -> list[str]:
    return sorted(str(path) for path in rootfs.rglob("*") if path.name in SHELLS)


# --- the image has no shell, and the program does not notice ------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_wrapped_program_starts_as_its_wrapper_would_start_it(
    name: str, engine: Engine, samples: Samples
) -> None:
    said = {}
    for mode in ("keep", "auto"):
        image = engine.load(samples.archive(name, mode))
        done = engine.run(Job(image, ARGUMENTS, env=ENVIRONMENT))
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        said[mode] = sorted(line for line in lines if not BY_BASH.match(line))
        assert any(line.startswith("variable: SHLVL=") for line in lines) == (mode == "keep")
    assert said["auto"] == said["keep"]
    assert "argument 0: " in said["auto"][0]
    assert set(ARGUMENTS) <= {line.partition(": ")[2] for line in said["auto"]}


@pytest.mark.parametrize("name", [*PROGRAMS, "perl"])
def test_the_image_has_no_shell(name: str, samples: Samples, runc_engine: Runc) -> None:
    image = runc_engine.load(samples.archive(name, "auto"))
    assert shells_in(runc_engine.rootfs(image)) == []
    shell = samples.document(name)["shell"]
    assert names(shell["dropped"]) == ["bash", "libtinfo6"]
    assert shell["saved"] == sum(path["nar_size"] for path in shell["dropped"]) > 7_000_000
    assert (shell["staying"], shell["broken"], shell["droppable"]) == ([], [], [])
    became = [wrapper["became"] for wrapper in shell["wrappers"]]
    expected = {"twice": 2, "perl": 2}.get(name, 1)  # perl itself is wrapped, too
    assert became == ["launcher"] * expected


def test_what_was_dropped_is_printed_with_its_bytes(samples: Samples, tmp_path: Path) -> None:
    done = samples.build("twice", "-o", tmp_path / "x.oci")
    dropped = r"dropped bash-[\d.]+ and libtinfo6-[\d.]+: 7\.\d MB"
    assert re.search(rf"^nix2oci: 2 wrappers became launchers; {dropped}$", done.stderr, LINES)
    plan = nix2oci("plan", *samples.options("twice"))
    assert re.search(r"/bin/twice: F4, became a launcher for .*/bin/\.twice-wrapped_$", plan, LINES)
    assert re.search(r"^dropped: 7\.\d MB\n  /nix/store/\w{32}-bash-[\d.]+  7\.\d MB$", plan, LINES)


def test_a_script_whose_interpreter_is_a_wrapper_runs(engine: Engine, samples: Samples) -> None:
    """The interpreter of perl's script is a launcher itself, which hands on modules' places."""
    image = engine.load(samples.archive("perl", "auto"))
    done = engine.run(Job(image, ARGUMENTS))
    assert done.returncode == 0, done.stderr
    arguments = [f"argument: {word}" for word in ARGUMENTS]
    assert done.stdout.splitlines() == [*arguments, "greeting: hello, floor: 4"]


def test_gunicorn_serves_a_page_without_a_shell(
    engine: Engine, samples: Samples, share: Path
) -> None:
    arguments = ("--bind", "unix:/srv/socket")
    assert served(engine, samples, "gunicorn", arguments, share) == "hello from /page\n"


def test_flask_serves_a_page_without_a_shell(engine: Engine, samples: Samples, share: Path) -> None:
    (share / "hello.py").write_text(FLASK)
    arguments = ("--app", "/srv/hello.py", "run", "--host", "unix:///srv/socket")
    assert served(engine, samples, "flask", arguments, share) == "hello page"


def served(
    engine: Engine, samples: Samples, name: str, arguments: tuple[str, ...], share: Path
) -> str:
    """The page of a server in an image from which the shell was dropped."""
    image = engine.load(samples.archive(name, "drop"))
    assert names(samples.document(name, "drop")["shell"]["dropped"]) == ["bash"]
    mount = Mount(share, "/srv", read_only=False)
    with engine.start(Job(image, arguments, mounts=(mount,))) as container:
        wait_until(lambda: listens(share / "socket"), container.logs)
        return get(share / "socket", "/page")


# --- the shell stays, and why -------------------------------------------------------------------


STAYS = [
    pytest.param(
        "run",
        "/nix/store/H-run/bin/run:2: shebang: run-line: the line does more than set variables and "
        "change the directory ('mkdir -p \"$HOME/.run\"')",
        id="a wrapper that runs something",
    ),
    pytest.param(
        "script",
        "/nix/store/H-script/bin/.script-wrapped:2: shebang: run-line: the line does more than "
        "set variables and change the directory ('for word; do echo $word; done')",
        id="a wrapper in front of a shell script",
    ),
]


@pytest.mark.parametrize(("name", "why"), STAYS)
def test_the_shell_stays_where_a_script_needs_it(
    name: str, why: str, samples: Samples, tmp_path: Path
) -> None:
    done = samples.build(name, "-v", "-o", tmp_path / "x.oci")
    assert done.returncode == 0
    said = re.sub(r"/nix/store/\w{32}", "/nix/store/H", done.stderr)
    assert f"nix2oci: {why}\n" in said
    assert re.search(r"^nix2oci: bash-[\d.]+ stays: \S+ needs it$", said, LINES)
    lost = rf"^nix2oci: '--shell drop' would save [\d.]+ MB and break the program {name}$"
    assert re.search(lost, said, LINES), said
    layers = json.loads(nix2oci("inspect", "--json", tmp_path / "x.oci"))["layers"]
    assert sum("-bash-" in path for layer in layers for path in layer["paths"]) == 1


@pytest.mark.parametrize(("name", "why"), STAYS)
def test_forbid_fails_and_names_every_file(
    name: str, why: str, samples: Samples, tmp_path: Path
) -> None:
    done = samples.build(name, "--shell", "forbid", "-o", tmp_path / "x.oci")
    said = re.sub(r"/nix/store/\w{32}", "/nix/store/H", done.stderr).splitlines()
    assert (done.returncode, done.stdout) == (5, "")
    error = r"error: cannot make an image without a shell: bash-[\d.]+ stays, 1 file names it"
    assert re.fullmatch(error, said[-3]), done.stderr
    assert said[-2:] == ["hint: what stands in the way:", f"  {why}"]
    assert list(tmp_path.iterdir()) == []


def test_a_script_runs_in_the_image_that_keeps_its_shell(engine: Engine, samples: Samples) -> None:
    image = engine.load(samples.archive("script", "auto"))
    assert engine.run(Job(image, ("a", "b"))).stdout == "a\nb\n"


def test_auto_keeps_the_bash_that_python_names_and_explains(
    samples: Samples, tmp_path: Path
) -> None:
    shell = samples.document("python")["shell"]
    (bash,) = shell["staying"]
    assert shell["dropped"] == []
    files = [(re.sub(r"^.*/|(?<=-3)\d+", "", file["file"]), file["kind"]) for file in bash["files"]]
    assert files == [("subprocess.cpython-3.pyc", "binary"), ("subprocess.py", "text")]
    assert {file["loss"] for file in bash["files"]} == {"subprocess with shell=True"}
    assert bash["path"] in bash["files"][1]["text"]
    assert bash["nar_size"] == sum(path["nar_size"] for path in shell["droppable"])
    summary = samples.build("python", "-v", "-o", tmp_path / "x").stderr
    assert "stays: Python's subprocess (2 files) needs it\n" in summary
    assert re.search(r"would save 7\.\d MB and break subprocess with shell=True\n", summary)


def test_drop_removes_it_and_the_program_runs_but_shell_true_fails(
    engine: Engine, samples: Samples
) -> None:
    images = {mode: engine.load(samples.archive("python", mode)) for mode in ("auto", "drop")}
    asked = Job(images["auto"], ("--shell",))
    assert engine.run(asked).stdout == "from a shell\n['--shell'] hello\n"
    assert engine.run(Job(images["drop"], ("x",))).stdout == "['x'] hello\n"
    failed = engine.run(Job(images["drop"], ("--shell",)))
    assert failed.returncode == 1
    assert re.search(
        r"FileNotFoundError: .*/bash-[\d.]+/bin/sh'|No such file.*/bin/sh", failed.stderr
    )
    broken = samples.document("python", "drop")["shell"]["broken"]
    assert {file["loss"] for file in broken} == {"subprocess with shell=True"}


# --- layers and documents -----------------------------------------------------------------------


def test_images_with_and_without_the_shell_share_store_layers(
    samples: Samples, tmp_path: Path
) -> None:
    layers = {}
    for mode in ("keep", "auto"):
        samples.build("twice", "--shell", mode, "-o", tmp_path / mode)
        layers[mode] = Layout(tmp_path / mode).layers
    dropped = set(layers["keep"]) - set(layers["auto"])
    assert set(layers["auto"][:-1]) < set(layers["keep"])
    assert len(dropped) == 3  # bash, the library that only bash needs, and the view


@pytest.mark.parametrize("layers", ["1", "64"])
def test_an_image_with_launchers_is_valid_and_lists_them(
    layers: str, samples: Samples, tmp_path: Path
) -> None:
    done = samples.build("twice", "--max-layers", layers, "-o", tmp_path / "x")
    assert done.returncode == 0
    assert nix2oci("validate", tmp_path / "x").endswith("x is valid: 0 errors, 0 warnings")
    document = json.loads(nix2oci("inspect", "--json", tmp_path / "x"))
    found = [re.sub(r"^/nix/store/\w{32}", "", path) for path in document["launchers"]]
    assert found == ["-twice/bin/.twice-wrapped_", "-twice/bin/twice"]
    text = nix2oci("inspect", tmp_path / "x")
    assert re.search(r", 2 store paths\n2 launchers stand for wrappers:\n  /nix/store/", text)

"""All commands on what they take for a Mac: the bytes are those of Linux, and it says what it does.

What is simulated is in support/like_a_mac; docs/mac.md says what that is not.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import mac
from support.fakeengine import FakeEngine
from support.fakenix import OUT, value
from support.fakeregistry import PASSWORD, USER, FakeRegistry
from support.fakeserver import running
from support.fakestore import Link, Node, Program, nar, write
from support.hacked import hacked
from support.platform_images import platform_image
from support.pushing import REPOSITORY
from support.terminal import NIX2OCI, Terminal
from support.tools import require, require_root

ELF = b"\x7fELF a program "
NODE: Node = {
    b"bin": {b"app": Program(ELF), b"App": Program(ELF * 2), b"link": Link(b"App")},
    b"etc": {b"app": {b"conf": b"1"}, b"App": {b"conf": b"2"}},
    b"share": {b"Foo": {b"a": b"1", b"A": b"2"}, b"foo": b"3" * 3_000_000},
}
SHELL = "/nix/store/0c5xnk0hzyh8kf4vbcy6h7ifjl8w6fgy-bash-5.2p37/bin/bash"
SAID = "nix2oci: building for x86_64-linux, as images hold Linux programs"


@dataclass(frozen=True)
class Mac(Terminal):
    """A terminal of a Mac."""

    machine: str = "x86_64"

    def env(self, **more: str) -> Mapping[str, str]:
        own = mac.environment(self.machine, self.fake.directory)
        return {**super().env(), **own, **more}


def linux(scratch: Path) -> Terminal:
    scratch.mkdir()
    return Terminal.make(scratch, NODE)


def a_mac(scratch: Path, machine: str = "x86_64") -> Mac:
    """One whose Nix is of macOS, and has the case hack in its store."""
    scratch.mkdir()
    made = Terminal.make(scratch, NODE)
    place = f"{made.fake.root}{OUT}"
    os.rename(place, scratch / "plain")
    write(os.fsencode(place), hacked(NODE))
    made.fake.answer("builtins.currentSystem", json.dumps(f"{machine}-darwin"))
    made.fake.answer("flakes eval --json", value(system="x86_64-linux"))
    made.fake.nix()
    return Mac(made.directory, made.fake, machine)


BUILDS = [
    pytest.param([], id="a layout"),
    pytest.param(["--format", "archive"], id="an archive"),
    pytest.param(["--compression", "zstd"], id="zstd"),
    pytest.param(["--no-cache", "--max-layers", "1"], id="one layer"),
]


@pytest.mark.parametrize("options", BUILDS)
def test_an_image_is_the_same_byte_for_byte(options: list[str], tmp_path: Path) -> None:
    """Layers come from several threads, and from a store with the case hack."""
    built = []
    for terminal in (linux(tmp_path / "linux"), a_mac(tmp_path / "mac")):
        done = terminal.run("build", ".#app", "-o", "image", "--json", *options)
        assert done.returncode == 0, done.stderr
        built.append(json.loads(done.stdout))
        if options == ["--format", "archive"]:
            built.append((terminal.directory / "image").read_bytes())
    assert built[: len(built) // 2] == built[len(built) // 2 :]


@contextmanager
def ext4(scratch: Path) -> Iterator[Mapping[str, str]]:
    """What has temporary files lie where a real file system takes App and app for one."""
    require_root()
    require("mkfs.ext4", "mount", "umount", "chattr")
    disk, place = scratch / "disk", scratch / "mounted"
    disk.touch()
    os.truncate(disk, 64 << 20)
    place.mkdir()
    features = ("-O", "casefold", "-E", "encoding=utf8")
    subprocess.run(["mkfs.ext4", "-q", *features, disk], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", disk, place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("ext4 with casefold: this kernel does not mount it")
    try:
        (place / "tmp").mkdir()
        subprocess.run(["chattr", "+F", place / "tmp"], check=True)
        yield {"TMPDIR": str(place / "tmp"), "FOLDS_CASE": ""}
    finally:
        subprocess.run(["umount", place], check=True)


def simulated(_: Path) -> AbstractContextManager[Mapping[str, str]]:
    """Nothing: a Mac has that already."""
    return nullcontext({})


@pytest.mark.parametrize("folding", [simulated, ext4])
def test_the_same_from_a_binary_cache_where_case_does_not_count(
    folding: Callable[[Path], AbstractContextManager[Mapping[str, str]]], tmp_path: Path
) -> None:
    """Its outline is drawn in a directory that takes App and app for one."""
    built = []
    with folding(tmp_path) as temporary:
        for terminal, env in (
            (linux(tmp_path / "linux"), {}),
            (a_mac(tmp_path / "mac"), temporary),
        ):
            (terminal.fake.directory / "nar").write_bytes(nar(NODE))
            file = shlex.quote(str(terminal.fake.directory / "nar"))
            terminal.fake.answer("dump-path", run=f"cat {file}")
            terminal.fake.nix()
            options = ("--from", "https://cache.test", "--no-check-sigs", "--no-cache")
            done = terminal.run("build", ".#app", "-o", "image", "--json", *options, **env)
            assert done.returncode == 0, done.stderr
            built.append(json.loads(done.stdout))
    assert built[0] == built[1]


def test_a_mac_whose_store_tells_names_apart_says_so(tmp_path: Path) -> None:
    """Its volume is one where case counts: names are what they are."""
    terminal = a_mac(tmp_path / "mac")
    place = f"{terminal.fake.root}{OUT}"
    os.rename(place, tmp_path / "hacked")
    os.rename(tmp_path / "mac" / "plain", place)
    options = ("--option", "use-case-hack", "false", "--json")
    done = terminal.run("build", ".#app", *options, FOLDS_CASE="")
    assert done.returncode == 0, done.stderr
    expected = linux(tmp_path / "linux").run("build", ".#app", "--json")
    assert json.loads(done.stdout) == json.loads(expected.stdout)


def test_linux_of_the_same_processor_is_built_and_that_is_said_once(tmp_path: Path) -> None:
    terminal = a_mac(tmp_path / "mac")
    done = terminal.run("diff", ".#app", ".#app")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count(SAID) == 1
    named = [call[call.index("--system") + 1] for call in terminal.fake.calls if "--system" in call]
    assert set(named) == {"x86_64-linux"}
    assert SAID not in terminal.run("build", ".#app", "-q", "-o", "again").stderr


def test_system_wins_and_nix_does_not_take_the_mac_for_it(tmp_path: Path) -> None:
    terminal = a_mac(tmp_path / "mac", "arm64")
    done = terminal.run("build", ".#app", "--system", "x86_64-linux")
    assert done.returncode == 0, done.stderr
    assert "as images hold Linux programs" not in done.stderr
    told = {call[0] for call in terminal.fake.calls if "--system" in call}
    assert told == {"eval"}


def test_a_linux_package_that_nobody_builds(tmp_path: Path) -> None:
    """All ways are named, and first the one that needs no builder."""
    terminal = a_mac(tmp_path / "mac")
    refused = (
        "error: a 'x86_64-linux' with features {} is required to build 'x', "
        "but I am a 'x86_64-darwin' with features {}\n"
    )
    terminal.fake.answer("build --json", stderr=refused, code=1)
    terminal.fake.nix()
    done = terminal.run("build", ".#app")
    assert done.returncode == 3
    ways = ("--from", "nix.linux-builder.enable", "nix-rosetta-builder", "--builders")
    hint = done.stderr.splitlines()[-1]
    places = [hint.find(way) for way in ways]
    assert hint.startswith("hint: ")
    assert places == sorted(places)
    assert places[0] > 0


def test_the_image_of_several_that_an_engine_on_the_mac_runs(tmp_path: Path) -> None:
    terminal = a_mac(tmp_path / "mac", "arm64")
    for name, architecture in (("a", "amd64"), ("b", "arm64")):
        platform_image(terminal.directory, name, architecture)
    assert terminal.run("index", "a", "b", "-o", "both").returncode == 0
    done = terminal.run("inspect", "both")
    assert done.returncode == 0, done.stderr
    assert "linux/arm64" in done.stdout


def test_load_and_push(tmp_path: Path) -> None:
    terminal = a_mac(tmp_path / "mac")
    FakeEngine(terminal.fake.directory)
    loaded = terminal.run("build", ".#app", "--tag", "app:1", "--load", "docker")
    assert (loaded.returncode, loaded.stdout) == (0, "app:1\n"), loaded.stderr
    with running(FakeRegistry()) as registry:
        account = {"NIX2OCI_USERNAME": USER, "NIX2OCI_PASSWORD": PASSWORD}
        name = f"{registry.registry}/{REPOSITORY}:1"
        pushed = terminal.run("build", ".#app", "--push", name, "--json", **account)
    assert pushed.returncode == 0, pushed.stderr
    expected = linux(tmp_path / "linux").run("build", ".#app", "--json", "--tag", name)
    digests = [json.loads(done.stdout)["digest"] for done in (pushed, expected)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("command", ["validate", "ls", "diff", "why", "plan"])
def test_every_command_that_looks_at_an_image(command: str, tmp_path: Path) -> None:
    terminal = a_mac(tmp_path / "mac")
    assert terminal.run("build", ".#app", "-o", "image").returncode == 0
    words = {
        "validate": ["image"],
        "ls": ["image", OUT + "/share"],
        "diff": ["image", ".#app"],
        "why": [".#app", OUT],
        "plan": [".#app"],
    }
    done = terminal.run(command, *words[command])
    assert done.returncode == 0, done.stderr
    assert "~nix~case~hack~" not in done.stdout


def test_the_launcher_is_for_linux_on_the_processor_of_the_mac(tmp_path: Path) -> None:
    require("nix-store")
    terminal = a_mac(tmp_path / "mac", "arm64")
    target = tmp_path / "nix2oci-test-target"
    target.write_text("#!/bin/sh\n")
    target.chmod(0o755)
    added = subprocess.check_output(["nix-store", "--add", target], text=True).strip()
    script = terminal.directory / "wrapper"
    script.write_text(f'#! {SHELL} -e\nexport A=b\nexec "{added}"  "$@" \n')
    script.chmod(0o755)
    done = terminal.run("wrapper", "wrapper", "-o", "launcher")
    assert done.returncode == 0, done.stderr
    assert (terminal.directory / "launcher").read_bytes()[18:20] == (183).to_bytes(2, "little")


def test_what_is_simulated_is_there(tmp_path: Path) -> None:
    """A simulation that nobody notices would show nothing."""
    terminal = a_mac(tmp_path / "mac", "arm64")
    python = str(Path(NIX2OCI).with_name("python"))
    asked = "import os, tempfile; d = tempfile.mkdtemp(); open(d + '/Name', 'x').close(); "
    asked += "print(os.uname().machine, hasattr(os, 'sched_getaffinity'), os.listdir(d)); "
    asked += "open(d + '/name', 'x')"
    done = subprocess.run(
        [python, "-c", asked], env=terminal.env(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "arm64 False ['Name']\n"
    assert "FileExistsError" in done.stderr

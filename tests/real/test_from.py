"""Images of what is in another store: the same bytes, and nothing that Nix would not take."""

from __future__ import annotations

import filecmp
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.binary_cache import build, keys
from real.distro import nix, out_path, sample
from real.images import closure_of, nix2oci
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]


WRAPPED = ("wrapped", "twice", "script")


@dataclass(frozen=True)
class Cache:
    """A binary cache of the closures of some outputs, all of its paths signed."""

    directory: Path
    outputs: dict[str, Path]
    key: str
    """The public one."""

    @property
    def url(self) -> str:
        return f"file://{self.directory}"

    @property
    def trusted(self) -> tuple[str, ...]:
        return ("--from", self.url, "--option", "trusted-public-keys", self.key)


@pytest.fixture(scope="session")
def cache(distro: Path, scratch: Path) -> Cache:
    require("nix", "cc")
    outputs = {name: out_path(f"path:{distro}#{name}") for name in ("python3-flask", "git")}
    for name in WRAPPED:
        installable, *options = sample(distro, "wrapped", name)
        outputs[name] = out_path(installable, *options)
    directory = scratch / "cache"
    directory.mkdir()
    secret, public = keys(directory)
    made = Cache(directory / "files", outputs, public)
    paths = list(map(str, outputs.values()))
    nix("copy", "--to", f"{made.url}?compression=zstd", *paths)
    nix("store", "sign", "--recursive", "--store", made.url, "--key-file", str(secret), *paths)
    return made


@pytest.fixture
def empty(tmp_path: Path) -> tuple[str, ...]:
    """The option for a store that has nothing."""
    (tmp_path / "empty").mkdir()
    return ("--store", str(tmp_path / "empty"))


def same(one: Path, other: Path) -> bool:
    """Whether two directories hold the same files with the same bytes."""
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    others = sorted(str(path.relative_to(other)) for path in other.rglob("*") if path.is_file())
    _, differing, unreadable = filecmp.cmpfiles(one, other, names, shallow=False)
    return names == others and not differing and not unreadable


IMAGES = [
    pytest.param("python3-flask", (), id="flask, whose shell stays"),
    pytest.param("git", ("--entrypoint", "git"), id="git"),
    pytest.param("twice", (), id="wrappers that become launchers"),
    pytest.param("wrapped", ("--max-layers", "1"), id="launchers in one layer"),
    pytest.param("script", ("--shell", "drop", "--view", "sh"), id="a script without its shell"),
    pytest.param("wrapped", ("--shell", "keep", "--compression", "none"), id="the shell kept"),
]


@pytest.mark.parametrize(("name", "options"), IMAGES)
def test_an_image_is_byte_for_byte_the_one_from_the_local_store(
    cache: Cache,
    empty: tuple[str, ...],
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
) -> None:
    output = cache.outputs[name]
    said = {
        "here": nix2oci("build", output, *options, "--json", "-o", tmp_path / "here"),
        "there": nix2oci(
            "build", output, *options, *cache.trusted, *empty, "--json", "-o", tmp_path / "there"
        ),
    }
    assert same(tmp_path / "here", tmp_path / "there")
    here, there = (json.loads(text.replace("/there", "/here")) for text in said.values())
    assert here == there
    assert not (tmp_path / f"empty{output}").exists()


def test_what_is_evaluated_here_is_not_built_here(
    cache: Cache, distro: Path, empty: tuple[str, ...], tmp_path: Path
) -> None:
    installable, *options = sample(distro, "wrapped", "twice")
    there = nix2oci(
        "build", installable, *options, *cache.trusted, *empty, "-o", tmp_path / "there"
    )
    assert there == f"oci:{tmp_path}/there:latest"
    assert nix2oci("build", installable, *options, "-o", tmp_path / "here").endswith("here:latest")
    assert same(tmp_path / "here", tmp_path / "there")
    for path in closure_of(str(cache.outputs["twice"])):
        assert not (tmp_path / f"empty{path}").exists()


@contextmanager
def served(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server of a directory: its URL, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            del code, size
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_cache_on_the_web_sends_each_small_path_once(
    cache: Cache, empty: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    output = cache.outputs["wrapped"]
    with served(cache.directory) as (url, asked):
        where = ("--from", url, *cache.trusted[2:])
        nix2oci("build", output, *where, *empty, "-o", tmp_path / "there")
    nix2oci("build", output, "-o", tmp_path / "here")
    assert same(tmp_path / "here", tmp_path / "there")
    sent = [path for path in asked if path.startswith("/nar/")]
    paths = closure_of(str(output))
    assert len(set(sent)) == len(paths)
    large = [path for path in paths if nar_size(path) > 1 << 24]
    assert len(sent) <= len(paths) + 2 * len(large)


def nar_size(path: str) -> int:
    return int(subprocess.check_output(["nix-store", "--query", "--size", path]))


def test_plan_says_the_same(cache: Cache, empty: tuple[str, ...]) -> None:
    output = cache.outputs["twice"]
    there = nix2oci("plan", output, *cache.trusted, *empty, "--json")
    assert there == nix2oci("plan", output, "--json")


SSH = """#!/bin/sh
# An ssh that stays here, as far as Nix asks it for something.
for argument; do
  case $argument in
    -O) exit 1 ;;
    *LocalCommand=echo*) echo started ;;
  esac
done
exec nix-daemon --stdio
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `ssh` on PATH that leads to the store of this machine."""
    require("nix-daemon")
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "ssh").write_text(SSH)
    (directory / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)


@pytest.mark.usefixtures("ssh")
def test_another_machine_is_trusted_only_when_its_url_says_so(
    cache: Cache, empty: tuple[str, ...], tmp_path: Path
) -> None:
    output = cache.outputs["twice"]
    done = build(output, *empty, "--from", "ssh-ng://me@host", "-o", tmp_path / "there")
    assert done.returncode == 4, done.stderr
    assert "\nerror: cannot use ssh-ng://me@host: no key that Nix trusts has signed " in done.stderr
    trusted = ("--from", "ssh-ng://me@host?trusted=1")
    nix2oci("build", output, *empty, *trusted, "-o", tmp_path / "there")
    nix2oci("build", output, "-o", tmp_path / "here")
    assert same(tmp_path / "here", tmp_path / "there")


def test_a_reference_that_is_not_there(cache: Cache, tmp_path: Path) -> None:
    files = tmp_path / "files"
    shutil.copytree(cache.directory, files, copy_function=os.link)
    output = str(cache.outputs["twice"])
    (bash,) = [path for path in closure_of(output) if "-bash-" in path]
    (files / f"{Path(bash).name[:32]}.narinfo").unlink()
    done = build(output, "--from", f"file://{files}", "-o", tmp_path / "image")
    assert done.returncode == 4
    assert f"error: cannot read {bash}: it is not in file://{files}\n" in done.stderr


def test_a_cache_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    require("nix")
    done = build(
        f"/nix/store/{'0' * 32}-x", "--from", f"file://{tmp_path}/no", "-o", tmp_path / "i"
    )
    assert done.returncode == 4
    assert f"error: cannot read file://{tmp_path}/no: there is no " in done.stderr
    assert list(tmp_path.iterdir()) == []

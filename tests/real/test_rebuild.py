"""Rebuilds with the cache: the same image as without, whatever the cache has been through."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.editable import App
from real.images import NIX2OCI, Layout, nix2oci
from real.traces import opened
from support.tools import require

from nix2oci.oci.validate.check_image import validate_layout

pytestmark = pytest.mark.nix

MANY = 20


@dataclass(frozen=True, slots=True)
class Builds:
    """Builds of one application, each into a fresh layout unless told otherwise."""

    app: App
    directory: Path

    @property
    def cache(self) -> Path:
        return self.directory / "cache/nix2oci"

    def env(self) -> dict[str, str]:
        return {
            **os.environ,  # noqa: TID251
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            "NIX2OCI_CACHE_SIZE": "1G",
        }

    def argv(self, layout: Path, *options: str) -> list[str]:
        return ["build", self.app.installable, f"--output={layout}", *options]

    def run(self, name: str, *options: str) -> Layout:
        layout = self.directory / name
        shutil.rmtree(layout, ignore_errors=True)
        nix2oci(*self.argv(layout, *options), env=self.env())
        return Layout(layout)

    def said(self, *options: str) -> str:
        """What a build says on stderr."""
        argv = [NIX2OCI, *self.argv(self.directory / "said.oci", *options)]
        return subprocess.run(
            argv, env=self.env(), capture_output=True, text=True, check=True
        ).stderr


@pytest.fixture(scope="module")
def app(distro: Path, scratch: Path) -> App:
    require("nix")
    made = App.make(scratch / "edited", distro, "curl")
    made.build()
    return made


@pytest.fixture
def builds(app: App, tmp_path: Path) -> Iterator[Builds]:
    yield Builds(app, tmp_path)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "zstd:chunked", "auto", "none"])
def test_the_image_is_the_same_without_cold_and_warm(builds: Builds, compression: str) -> None:
    option = f"--compression={compression}"
    without = builds.run("without", option, "--no-cache").contents()
    assert not builds.cache.exists()
    assert builds.run("cold", option).contents() == without
    assert builds.run("warm", option).contents() == without
    assert re.search(r"(\d+) of (?!\1)\d+ layers are in the cache", builds.said(option))


def test_each_compression_has_its_own_layers(builds: Builds) -> None:
    for compression in ("gzip", "zstd", "gzip", "none", "zstd"):
        layout = builds.run("image", f"--compression={compression}")
        types = {layer["mediaType"] for layer in layout.manifest["layers"]}
        suffix = "" if compression == "none" else f"+{compression}"
        assert types == {f"application/vnd.oci.image.layer.v1.tar{suffix}"}
        assert errors(layout.path) == []


def test_an_archive_is_the_same_from_the_cache(builds: Builds) -> None:
    made = [builds.directory / name for name in ("without.tar", "cold.tar", "warm.tar")]
    for archive, option in zip(made, ("--no-cache", "-v", "-v"), strict=True):
        nix2oci(*builds.argv(archive, option), env=builds.env())
    assert len({archive.read_bytes() for archive in made}) == 1


def errors(layout: Path) -> list[str]:
    return [str(found) for found in validate_layout(str(layout)) if found.level == "error"]


def change(path: Path, to: Callable[[bytes], bytes]) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(to(data))


def largest(directory: Path) -> Path:
    return max(directory.iterdir(), key=lambda path: path.stat().st_size)


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a bit of a blob": (
        "blobs/sha256",
        lambda data: data[:9] + bytes([data[9] ^ 4]) + data[10:],
    ),
    "half of a blob": ("blobs/sha256", lambda data: data[: len(data) // 2]),
    "the diff ID of a layer": ("layers", lambda data: data.replace(b"sha256:", b"sha256:0")),
    "the JSON of a layer": ("layers", lambda data: data[:-20]),
    "what was found in a store path": ("facts", lambda data: data.replace(b"1", b"2")),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_after_damage_the_image_is_right(builds: Builds, name: str) -> None:
    expected = builds.run("first").contents()
    kind, to = DAMAGE[name]
    change(largest(builds.cache / kind), to)
    assert " is damaged" in builds.said()
    assert builds.run("again").contents() == expected
    assert " is damaged" not in builds.said(), "it was not put right"


def test_a_layout_that_was_changed_in_place_does_not_spread(builds: Builds) -> None:
    """Its blobs may be those of the cache, under a second name."""
    layout = builds.run("first")
    expected = layout.contents()
    blob = largest(layout.path / "blobs/sha256")
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.write(b"changed in place")
    assert builds.run("again").contents() == expected


def test_a_rebuild_reads_the_files_of_the_application_alone(builds: Builds) -> None:
    """Directories of other store paths are listed, and links followed; no file is opened."""
    require("strace")
    builds.run("image.oci")
    builds.app.edit(f"something else, for {builds.directory}")
    path = builds.app.build()
    trace = builds.directory / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=execve,open,openat", "-o", str(trace))
    nix2oci(*builds.argv(builds.directory / "image.oci"), prefix=strace, env=builds.env())
    read = opened(trace, lambda program: not program.endswith(("/nix", "/git")))
    assert read == {f"{path}/bin/app", f"{path}/share/app.py"}


def end(process: subprocess.Popen[str], kill: bool) -> str:  # noqa: FBT001
    """Wait for a build, or kill it as soon as it writes layers; what it said."""
    said = []
    with process:
        for line in process.stderr or ():
            said.append(line)
            if kill and "writing layers" in line:
                process.kill()
    return "".join(said)


def test_many_builds_at_once_and_some_are_killed(builds: Builds) -> None:
    """One cache and one layout for all of them: what is there afterwards is right."""
    expected = builds.run("alone", "--no-cache")
    together = builds.directory / "together"
    running = [
        subprocess.Popen(
            [NIX2OCI, *builds.argv(together, f"--tag=app:{number}")],
            env=builds.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(MANY)
    ]
    with ThreadPoolExecutor(MANY) as pool:
        ended = list(pool.map(end, running, [number % 4 == 0 for number in range(MANY)]))
    codes = [process.returncode for process in running]
    assert set(codes) == {0, -signal.SIGKILL}, ended
    assert not any("damaged" in said for said in ended)

    nix2oci(*builds.argv(together, "--tag=app:0"), env=builds.env())
    assert errors(together) == []
    manifests = Layout(together).index["manifests"]
    assert {entry["digest"] for entry in manifests} == {expected.descriptor["digest"]}
    tags = {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in manifests}
    assert tags >= {str(number) for number, code in enumerate(codes) if code == 0}
    assert [name for name in os.listdir(together) if name.startswith(".")] == []
    assert builds.run("warm").contents() == expected.contents()
    assert "damaged" not in builds.said()

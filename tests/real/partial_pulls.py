"""podman as a client that pulls parts of layers, and the bytes that it moves."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real.docker_registry import registry
from real.engines import output
from support.tools import do_without, require, require_root

CACHE = Path(__file__).parents[2] / ".cache"


def recent(program: str) -> str:
    """Where `./dev` puts one of a newer Debian, beside the machine's own."""
    path = CACHE / program / "bin" / program
    if not path.exists():
        do_without(f"there is no recent {program}: ./dev real gets one")
    return str(path)


@contextmanager
def xfs(state: Path) -> Iterator[Path]:
    """A directory on XFS, which shares blocks between files."""
    require("mkfs.xfs", "mount")
    require_root()
    (there := state / "xfs").mkdir(exist_ok=True)
    with (image := state / "xfs.img").open("wb") as file:
        file.truncate(2 << 30)
    output("mkfs.xfs", "-q", "-m", "reflink=1", image)
    output("mount", "-o", "loop", image, there)
    try:
        yield there
    finally:
        output("umount", there)
        image.unlink()


@dataclass(frozen=True, slots=True)
class Pull:
    """What a pull came to."""

    moved: int
    """Bytes of blobs and what is around them, as the registry counts what it sends."""
    partial: int
    """Layers of which parts were pulled."""


@dataclass(frozen=True, slots=True)
class Client:
    """A podman with a store of its own, and the log of the registry that it pulls from."""

    directory: Path
    log: Path

    @property
    def _environment(self) -> Mapping[str, str]:
        return {
            **os.environ,  # noqa: TID251
            "CONTAINERS_STORAGE_CONF": str(self.directory / "storage.conf"),
            "CONTAINERS_CONF": str(self.directory / "containers.conf"),
            "TMPDIR": str(self.directory),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = (recent("podman"), *arguments)
        done = subprocess.run(
            argv, env=self._environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    def pull(self, reference: str) -> Pull:
        start = self.log.stat().st_size
        policy = str(self.directory / "policy.json")
        options = ("--tls-verify=false", "--signature-policy", policy)
        done = self.run("--log-level=debug", "pull", *options, reference)
        with self.log.open() as log:
            log.seek(start)
            lines = [line for line in log if "response completed" in line and "/blobs/" in line]
        sizes = [re.search(r"http.response.written=(\d+)", line) for line in lines]
        return Pull(
            sum(int(size[1]) for size in sizes if size),
            done.stderr.count("Retrieved partial blob"),
        )

    @contextmanager
    def mounted(self, reference: str) -> Iterator[Path]:
        root = Path(self.run("image", "mount", reference).stdout.strip())
        try:
            yield root
        finally:
            self.run("image", "unmount", reference)


@contextmanager
def client(directory: Path, log: Path) -> Iterator[Client]:
    """A podman that pulls parts where it can, with nothing in its store."""
    directory.mkdir()
    helpers = CACHE / "podman/debian/usr/lib/podman"
    (directory / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\nrunroot = "{directory}/run"\n'
        f'graphroot = "{directory}/graph"\n'
        '[storage.options.pull_options]\nenable_partial_images = "true"\n'
    )
    (directory / "containers.conf").write_text(f'[engine]\nhelper_binaries_dir = ["{helpers}"]\n')
    policy = {"default": [{"type": "insecureAcceptAnything"}]}
    (directory / "policy.json").write_text(json.dumps(policy))
    made = Client(directory, log)
    try:
        yield made
    finally:
        made.run("system", "reset", "--force")
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def counted_registry(state: Path) -> Iterator[tuple[str, Path]]:
    """A registry, and its log."""
    state.mkdir()
    with registry(state) as host:
        yield host, state / "log"

"""The programs that run images, behind one interface: runc, podman and Docker.

None of them touches the machine's own images or settings, and no container has a
network: servers are reached through sockets in mounted directories. The flags are
those that also work on a virtual machine without CAP_SYS_RESOURCE.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from support.tools import require

Completed = subprocess.CompletedProcess[str]

STOP_SECONDS = 10
PATIENCE = 60  # seconds: a busy machine is no failure
_names = count()


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of the machine at a path of the container."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. The image's own entrypoint and user count unless given here."""

    image: str
    args: tuple[str, ...] = ()
    entrypoint: str | None = None
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False
    """Whether nothing but what is mounted can be written to."""


class Container(Protocol):
    """A container that is running."""

    def exec(self, *argv: str) -> Completed:
        """Run a further program in it, by its path in the container."""

    def logs(self) -> str:
        """Everything its first process has written so far, both streams."""

    def stop(self) -> int:
        """Ask it to end with SIGTERM; the exit code of its first process, 137 when killed."""


class Engine(Protocol):
    """A way to run images."""

    @property
    def name(self) -> str: ...

    def load(self, archive: Path) -> str:
        """Load an archive; the name and tag under which the engine has it now."""

    def load_all(self, archive: Path) -> list[str]:
        """Load an archive of several images; the names and tags, sorted."""

    def run(self, job: Job) -> Completed:
        """Run a container to its end, and remove it."""

    def start(self, job: Job) -> AbstractContextManager[Container]:
        """A running container, for the length of a `with`; removed after it."""


def output(*argv: str | Path) -> str:
    """What a program prints; its own words when it fails."""
    done = _call(argv)
    assert done.returncode == 0, f"{argv}: {done.stderr or done.stdout}"
    return done.stdout


def _call(argv: Sequence[str | Path]) -> Completed:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def read_blob(layout: Path, descriptor: Mapping[str, Any]) -> Any:
    """The JSON document of a layout that a descriptor names."""
    algorithm, _, encoded = descriptor["digest"].partition(":")
    return json.loads((layout / "blobs" / algorithm / encoded).read_bytes())


def _fresh_name() -> str:
    """A name that no other process of the tests takes: runc's are those of control groups, too."""
    return f"nix2oci-test-{os.getpid()}-{next(_names)}"


# --- podman and Docker: one command line -----------------------------------------


@dataclass(frozen=True, slots=True)
class ClientContainer:
    client: tuple[str, ...]
    id: str

    def exec(self, *argv: str) -> Completed:
        return _call((*self.client, "exec", self.id, *argv))

    def logs(self) -> str:
        done = _call((*self.client, "logs", self.id))
        return done.stdout + done.stderr

    def stop(self) -> int:
        output(*self.client, "stop", "-t", str(STOP_SECONDS), self.id)
        return int(output(*self.client, "inspect", "-f", "{{.State.ExitCode}}", self.id))


@dataclass(frozen=True, slots=True)
class ClientEngine:
    """podman, or a Docker client with its daemon."""

    name: str
    client: tuple[str, ...]
    limits: tuple[str, ...]

    def load(self, archive: Path) -> str:
        return self.load_all(archive)[-1]

    def load_all(self, archive: Path) -> list[str]:
        printed = output(*self.client, "load", "-i", archive)
        return sorted(re.findall(r"^Loaded image: (\S+)$", printed, re.MULTILINE))

    def run(self, job: Job) -> Completed:
        return _call((*self.client, "run", "--rm", *self._arguments(job)))

    @contextmanager
    def start(self, job: Job) -> Iterator[Container]:
        name = _fresh_name()
        output(*self.client, "run", "-d", "--name", name, *self._arguments(job))
        try:
            yield ClientContainer(self.client, name)
        finally:
            _call((*self.client, "rm", "-f", name))

    def _arguments(self, job: Job) -> Iterator[str]:
        yield from ("--network=none", *self.limits)
        if job.entrypoint is not None:
            yield f"--entrypoint={job.entrypoint}"
        if job.user is not None:
            yield f"--user={job.user}"
        for key, value in job.env.items():
            yield f"--env={key}={value}"
        if job.read_only:
            yield "--read-only"
        for mount in job.mounts:
            access = ":ro" if mount.read_only else ""
            yield f"--volume={mount.source}:{mount.target}{access}"
        yield job.image
        yield from job.args


def podman(state: Path) -> ClientEngine:
    """Podman with images and containers of its own under `state`."""
    require("podman", "runc")
    directories = (f"--root={state}/root", f"--runroot={state}/run", f"--tmpdir={state}/tmp")
    client = (
        *("podman", *directories, "--runtime=runc"),
        *("--cgroup-manager=cgroupfs", "--events-backend=none"),
    )
    limits = ("--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000", "--log-driver=k8s-file")
    return ClientEngine("podman", client, limits)


@contextmanager
def docker(state: Path) -> Iterator[ClientEngine]:
    """A Docker daemon of its own under `state`, for the length of a `with`."""
    require("docker", "dockerd", "containerd", "runc")
    socket = f"unix://{state}/socket"
    argv = (
        *("dockerd", "--data-root", f"{state}/data", "--exec-root", f"{state}/exec"),
        *("--iptables=false", "--bridge=none", "-H", socket, "--pidfile", f"{state}/pid"),
    )
    state.mkdir(parents=True, exist_ok=True)
    with (state / "log").open("wb") as log:
        daemon = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    client = ("docker", "-H", socket)
    try:
        wait_until(lambda: daemon.poll() is not None or _answers(client), (state / "log").read_text)
        assert daemon.poll() is None, (state / "log").read_text()
        yield ClientEngine("docker", client, ("--ulimit=nofile=1000:1000",))
    finally:
        daemon.terminate()
        daemon.wait(60)
        # The namespace of `--network=none` stays mounted, and would keep the directory.
        _call(("umount", f"{state}/exec/netns/default"))


def _answers(client: tuple[str, ...]) -> bool:
    return _call((*client, "version")).returncode == 0


def wait_until(holds: Callable[[], bool], report: Callable[[], str]) -> None:
    """Ask again and again, 20 times a second, until the answer is yes; else tell the report."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"not within {PATIENCE} s: {report()}"
        time.sleep(0.05)


# --- runc: the image unpacked by umoci --------------------------------------------


@dataclass(frozen=True, slots=True)
class RuncContainer:
    runc: tuple[str, ...]
    id: str
    process: subprocess.Popen[bytes]
    log: Path

    def exec(self, *argv: str) -> Completed:
        return _call((*self.runc, "exec", self.id, *argv))

    def logs(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        output(*self.runc, "kill", self.id, "TERM")
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            output(*self.runc, "kill", self.id, "KILL")
            return self.process.wait(STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class Runc:
    """runc on what umoci makes of an image, which is unpacked once."""

    state: Path
    name: str = "runc"

    @property
    def runc(self) -> tuple[str, ...]:
        return ("runc", "--root", f"{self.state}/runc")

    def load(self, archive: Path) -> str:
        (name,) = self.load_all(archive)
        return name

    def load_all(self, archive: Path) -> list[str]:
        """The names come from the index, as containerd would take them."""
        layout = self.state / "loading"
        shutil.rmtree(layout, ignore_errors=True)
        layout.mkdir(parents=True)
        output("tar", "-xf", archive, "-C", layout)
        manifests = json.loads((layout / "index.json").read_text())["manifests"]
        return sorted(self._unpacked(layout, manifest) for manifest in manifests)

    def _unpacked(self, layout: Path, manifest: Mapping[str, Any]) -> str:
        name = str(manifest["annotations"]["io.containerd.image.name"])
        tag = manifest["annotations"]["org.opencontainers.image.ref.name"]
        bundle = self._bundle(name)
        shutil.rmtree(bundle, ignore_errors=True)
        bundle.parent.mkdir(exist_ok=True)
        output("umoci", "unpack", "--image", f"{layout}:{tag}", bundle)
        config = read_blob(layout, read_blob(layout, manifest)["config"])
        (bundle / "image.json").write_text(json.dumps(config["config"]))
        return name

    def rootfs(self, image: str) -> Path:
        """The unpacked files of a loaded image."""
        return self._bundle(image) / "rootfs"

    def run(self, job: Job) -> Completed:
        with self._prepared(job) as bundle:
            return _call((*self.runc, "run", "--bundle", str(bundle), bundle.name))

    @contextmanager
    def start(self, job: Job) -> Iterator[Container]:
        with self._prepared(job) as bundle:
            log = bundle / "log"
            argv = (*self.runc, "run", "--bundle", str(bundle), bundle.name)
            with log.open("wb") as stream:
                process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
                )
            try:
                wait_until(lambda: self._is_up(bundle.name, process), log.read_text)
                yield RuncContainer(self.runc, bundle.name, process, log)
            finally:
                _call((*self.runc, "delete", "--force", bundle.name))
                process.wait(STOP_SECONDS)

    def _is_up(self, name: str, process: subprocess.Popen[bytes]) -> bool:
        state = _call((*self.runc, "state", name))
        running = state.returncode == 0 and json.loads(state.stdout)["status"] == "running"
        return running or process.poll() is not None

    def _bundle(self, image: str) -> Path:
        return self.state / "images" / image.replace("/", "_").replace(":", "_")

    @contextmanager
    def _prepared(self, job: Job) -> Iterator[Path]:
        """A bundle for one job. What it writes lies over the image's files, and goes with it."""
        unpacked = self._bundle(job.image)
        bundle = self.state / _fresh_name()
        for name in ("rootfs", "upper", "work"):
            (bundle / name).mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(self._config(job)))
        layers = f"lowerdir={unpacked}/rootfs,upperdir={bundle}/upper,workdir={bundle}/work"
        output("mount", "-t", "overlay", "overlay", "-o", layers, bundle / "rootfs")
        try:
            yield bundle
        finally:
            output("umount", bundle / "rootfs")

    def _config(self, job: Job) -> Any:
        config = json.loads((self._bundle(job.image) / "config.json").read_text())
        config["linux"].pop("resources", None)
        config["process"].pop("rlimits", None)
        config["process"]["terminal"] = False
        config["process"]["args"] = self._command(job)
        config["process"]["env"] += [f"{key}={value}" for key, value in job.env.items()]
        if job.user is not None:
            uid, gid = job.user.split(":")
            config["process"]["user"] = {"uid": int(uid), "gid": int(gid)}
        config["root"]["readonly"] = job.read_only
        config["mounts"] += [_runc_mount(mount) for mount in job.mounts]
        return config

    def _command(self, job: Job) -> list[str]:
        """What Docker makes of the image's entrypoint and command, and of the job's."""
        image = json.loads((self._bundle(job.image) / "image.json").read_text())
        if job.entrypoint is not None:
            return [job.entrypoint, *job.args]
        return [*image.get("Entrypoint", ()), *(job.args or image.get("Cmd", ()))]


def _runc_mount(mount: Mount) -> dict[str, Any]:
    options = ["bind", *(["ro"] if mount.read_only else [])]
    return {
        "destination": mount.target,
        "source": str(mount.source),
        "type": "bind",
        "options": options,
    }

"""The root file system of an image, in which its program runs under strace."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real.images import nix2oci
from support.tools import require, require_root

SHELLS = frozenset({"ash", "bash", "busybox", "dash", "fish", "ksh", "mksh", "sh", "zsh"})

# What engines mount, then the program; strace sees nothing of what this shell does.
_ENTER = 'mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec "$@"'
_EXECUTED = re.compile(r'execve(?:at)?\((?:[^",]*, )?"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class TracedRoot:
    """An image that was unpacked; `argv` and `env` are what it starts its program with."""

    path: Path
    trace: Path
    argv: tuple[str, ...]
    env: tuple[str, ...]

    @classmethod
    def of(cls, image: Path, directory: Path) -> TracedRoot:
        require_root()
        require("strace", "unshare", "chroot")
        root, tar = directory / "root", directory / "root.tar"
        root.mkdir(parents=True)
        nix2oci("export", image, "-o", tar)
        subprocess.run(["tar", "-xf", tar, "-C", root], check=True)
        tar.unlink()
        for name in ("dev", "proc", "tmp"):
            (root / name).mkdir(exist_ok=True)
        config = json.loads(nix2oci("inspect", "--json", image))["config"]["config"]
        argv = (*config.get("Entrypoint", ()), *config.get("Cmd", ()))
        return cls(root, directory / "trace", argv, tuple(config["Env"]))

    def write(self, path: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        (self.path / path[1:]).write_bytes(data)

    def command(self, arguments: tuple[str, ...], env: Mapping[str, str]) -> list[str]:
        variables = [*self.env, "HOME=/tmp", *(f"{key}={value}" for key, value in env.items())]
        strace = ["strace", "-f", "-A", "-s", "4096", "-e", "trace=execve,execveat", "-o"]
        inside = [shutil.which("chroot") or "chroot", str(self.path), *self.argv, *arguments]
        traced = [*strace, str(self.trace), "env", "-i", *variables, *inside]
        return ["unshare", "--mount", "sh", "-c", _ENTER, str(self.path), *traced]

    def run(self, *arguments: str) -> str:
        """What the program prints; it must succeed."""
        argv = self.command(arguments, {})
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"{shlex.join(self.argv)}: {done.stderr or done.stdout}"
        return done.stdout

    @contextmanager
    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[None]:
        """A server for the length of a `with`."""
        with (self.trace.parent / "log").open("w") as log:
            argv = self.command(arguments, env or {})
            server = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        except AssertionError as err:
            raise AssertionError(f"{err}\n{(self.trace.parent / 'log').read_text()}") from err
        finally:
            os.killpg(server.pid, 15)
            for _ in range(100):
                if server.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                os.killpg(server.pid, 9)
            server.wait()

    def executed(self) -> list[str]:
        """Every program that was started, or tried to, from the image's own on."""
        paths = _EXECUTED.findall(self.trace.read_text())
        return paths[next(i for i, path in enumerate(paths) if path == self.argv[0]) :]

    def shells(self) -> list[str]:
        return [path for path in self.executed() if path.rpartition("/")[2] in SHELLS]

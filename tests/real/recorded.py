"""What the pictures of README.md are drawn of, recorded from a run: tests/data/pictures/.

    PYTHONPATH=tests python -m real.recorded

The session is the first one of README.md, in a terminal of `COLUMNS`; the plan is that of the same
flake. What is as it would not be for a reader: the flake is locked to the stand-in for nixpkgs, so
that Nix says nothing of an override, its commit is of a day that is always the same, which makes
the digest the same, git ignores archives, and podman is a private one with the flags that
`real.page_sessions` gives it. Where README.md has `…` below a command, so has the picture. Nothing
else is changed; sizes, versions and digests are those of the day of the record.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import tempfile
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from real.distro import FLAKES, SINGLE_USER, distro_flake
from real.engines import ClientEngine, output, podman
from real.images import NIX2OCI, nix2oci
from real.page_sessions import ELISION, TOP, Stage, blocks, run
from real.ports import free_port
from support.paths import DATA
from support.screen import Screen

COLUMNS = 88
RECORDS = DATA / "pictures"
DAY = "2026-11-01T12:00:00Z"


def locked_repository(top: Path, distro: Path) -> Path:
    """A git repository with the sample flake, locked to the stand-in; the repository."""
    flake = top / "flakes/web-python"
    shutil.copytree(FLAKES / "web-python", flake)
    (top / ".gitignore").write_text("*.tar\n")
    git = ("git", "-C", top, "-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    output("git", "init", "--quiet", top)
    output(*git, "add", ".")
    nixpkgs = ("--override-input", "nixpkgs", f"path:{distro.resolve()}")
    output("nix", "flake", "lock", *nixpkgs, str(flake))
    output(*git, "add", ".")
    dated = ("env", f"GIT_AUTHOR_DATE={DAY}", f"GIT_COMMITTER_DATE={DAY}")
    output(*dated, *git, "commit", "--quiet", "--message", "All flakes")
    return top


def session(stage: Stage, repository: Path) -> Sequence[Mapping[str, Any]]:
    """The first session of README.md: each command, and the lines that a terminal shows below."""
    shown, directory = [], repository
    for command in next(blocks(TOP / "README.md")).commands:
        lines: Sequence[str] = ()
        if command.text.startswith("cd "):
            directory = directory / command.text.removeprefix("cd ")
        elif command.text.startswith("nix2oci "):
            lines = on_terminal(command.text, directory)
        elif command.shown == (ELISION,):
            run(stage.rewrite(command.text), directory)
            lines = command.shown
        else:
            lines = on_terminal(stage.rewrite(command.text), directory)
        shown.append({"command": command.text, "lines": list(lines)})
    return shown


def on_terminal(command: str, directory: Path) -> Sequence[str]:
    """What a terminal shows at the end of a command; it must succeed."""
    inside = {"PATH": f"{Path(NIX2OCI).parent}:{os.environ['PATH']}"}  # noqa: TID251
    env = {**os.environ, **inside, "TERM": "xterm-256color"}  # noqa: TID251
    for name in ("CI", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        env.pop(name, None)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    argv = ("bash", "-euo", "pipefail", "-c", command)
    child = subprocess.Popen(
        argv, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    screen = Screen(COLUMNS)
    screen.write(b"".join(_read(ours)).decode())
    assert child.wait(300) == 0, "\n".join(screen.lines())
    return screen.lines()


def _read(terminal: int) -> Iterator[bytes]:
    """All that is written to a terminal, until nobody has it any more."""
    with os.fdopen(terminal, "rb", buffering=0) as stream:
        try:
            while data := stream.read(65536):
                yield data
        except OSError:  # on Linux the end of a terminal is EIO
            return


def plan(repository: Path) -> Any:
    """What `nix2oci plan --json` prints of the same flake."""
    return json.loads(nix2oci("plan", "--json", f"git+file://{repository}?dir=flakes/web-python"))


@contextmanager
def stage_of_session(distro: Path, engine: ClientEngine) -> Iterator[Stage]:
    try:
        yield Stage(distro, free_port(), {"podman": engine}, None, None, Path())
    finally:
        subprocess.run((*engine.client, "rm", "--force", "web"), capture_output=True, check=False)


def main() -> None:
    if not Path("/nix/var/nix/daemon-socket/socket").exists():
        os.environ.setdefault("NIX_CONFIG", SINGLE_USER)  # noqa: TID251
    os.environ["PODMAN_IGNORE_CGROUPSV1_WARNING"] = "1"  # noqa: TID251
    distro = distro_flake(TOP / ".cache")
    with tempfile.TemporaryDirectory(prefix="n2o-", ignore_cleanup_errors=True) as directory:
        repository = locked_repository(Path(directory, "nix2oci"), distro)
        with stage_of_session(distro, podman(Path(directory, "podman"))) as stage:
            records = {"session": session(stage, repository), "plan": plan(repository)}
    RECORDS.mkdir(exist_ok=True)
    for name, record in records.items():
        text = json.dumps(record, indent=1, ensure_ascii=False)
        (RECORDS / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

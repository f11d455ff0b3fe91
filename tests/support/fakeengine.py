"""A `docker`, `podman` or `ctr` that takes an archive and remembers it.

It is a program on a PATH of its own. What it is sent is kept as `received.tar`; `calls` has the
arguments of each call. A test may let one of its commands answer something else.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nix2oci.oci.engines import Engine, EngineName

PROGRAMS: dict[EngineName, str] = {"docker": "docker", "podman": "podman", "containerd": "ctr"}

_ENGINE = """\
import json, os, sys, tarfile, time
from pathlib import Path

here, program = Path(__file__).parent.parent / "engine", Path(__file__).name
argv = sys.argv[3:] if sys.argv[1] == "--namespace" else sys.argv[1:]
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([program, *sys.argv[1:]]) + "\\n")
command = " ".join(argv)
for start, answer in json.loads((here / "answers").read_text()).items():
    if command.startswith(start):
        if answer["waits"]:
            (here / "new").write_text(str(os.getpid()))
            (here / "new").rename(here / "waiting")
            time.sleep(60)
        sys.stdout.write(answer["stdout"])
        sys.stderr.write(answer["stderr"])
        sys.exit(answer["code"])
if argv[0] in ("version", "info"):
    print("linux/amd64")
elif argv[0] == "load" or argv[:2] == ["images", "import"]:
    if program == "podman" and "TMPDIR" in os.environ:
        (Path(os.environ["TMPDIR"]) / "podman123").mkdir()  # what podman leaves when it is ended
    (here / "received.tar").write_bytes(sys.stdin.buffer.read())
    with tarfile.open(here / "received.tar") as tar:
        read = lambda name: json.load(tar.extractfile(name))
        listed, (image,) = read("index.json")["manifests"], read("manifest.json")
        (manifest,) = {entry["digest"] for entry in listed}
        config = read("blobs/sha256/" + manifest[7:])["config"]["digest"]
    names = [entry["annotations"]["io.containerd.image.name"] for entry in listed]
    names = names if program == "ctr" else image["RepoTags"]
    store = {"names": names, "manifest": manifest, "config": config}
    (here / "has").write_text(json.dumps(store))
    for name in names:
        print("Loaded image: " + name)
else:
    has = json.loads((here / "has").read_text())
    name = argv[-1].removeprefix("name==")
    full = name if "/" in name else "docker.io/library/" + name
    if full not in has["names"]:
        sys.exit("Error: No such image: " + name)
    if program == "ctr":
        print("REF TYPE DIGEST SIZE PLATFORMS LABELS")
        print(name, "application/vnd.oci.image.manifest.v1+json", has["manifest"], "1 KiB", "-")
    else:
        print(has["config"].removeprefix("sha256:" if program == "podman" else ""))
"""


@dataclass
class FakeEngine:
    """All three programs, in `directory`/bin; what they are asked and have, in `directory`/engine.

    Without one in `programs` it is not on PATH.
    """

    directory: Path
    programs: tuple[str, ...] = ("docker", "podman", "ctr")
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.directory / "bin").mkdir(exist_ok=True)
        self.state.mkdir()
        (self.state / "answers").write_text("{}")
        for program in self.programs:
            path = self.directory / "bin" / program
            path.write_text(f"#!{sys.executable} -I\n{_ENGINE}")
            path.chmod(0o755)

    @property
    def state(self) -> Path:
        return self.directory / "engine"

    @property
    def received(self) -> Path:
        """The archive that was sent last."""
        return self.state / "received.tar"

    def answer(
        self,
        command: str,
        stdout: str = "",
        *,
        stderr: str = "",
        code: int = 0,
        waits: bool = False,
    ) -> None:
        """What is said to a command that begins so, instead of doing it.

        One that `waits` writes its process ID to `waiting` and does nothing more.
        """
        answer = {"stdout": stdout, "stderr": stderr, "code": code, "waits": waits}
        self.answers[command] = answer
        (self.state / "answers").write_text(json.dumps(self.answers))

    def engine(self, name: EngineName, namespace: str | None = None) -> Engine:
        """The engine that has these programs and no others on its PATH."""
        return Engine(name, {"PATH": os.fspath(self.directory / "bin")}, namespace)

    @property
    def calls(self) -> list[list[str]]:
        """Program and arguments of each call."""
        return [json.loads(line) for line in (self.state / "calls").read_text().splitlines()]

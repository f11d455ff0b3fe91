"""The console blocks of README.md and docs/ are run, and print what the pages show.

A block is a session of its own in a fresh git repository with the sample flakes; how a command of
it is run, and what passes for equal, is in `real.page_sessions`. Blocks marked `sh` are not run:
they set a machine up, or need a cluster.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from real.containerd import containerd
from real.distro import FLAKES
from real.docker_registry import registry
from real.engines import output
from real.page_sessions import REGISTRY, TOP, Block, Stage, blocks, matches, run
from real.ports import free_port
from real.shims import shims
from support.tools import require

pytestmark = pytest.mark.nix

SAMPLES = ("app", "hello-c", "metadata", "server-config", "tools", "web-python", "wrapped")
PAGES = (TOP / "README.md", *sorted((TOP / "docs").glob("*.md")))
BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.fixture
def stage(request: pytest.FixtureRequest, distro: Path, tmp_path: Path) -> Iterator[Stage]:
    """What the commands of a block need is there, and only that."""
    block: Block = request.getfixturevalue("block")
    text = "\n".join(command.text for command in block.commands)
    engines = {
        name: request.getfixturevalue(f"{name}_engine")
        for name in ("podman", "docker")
        if re.search(rf"\b{name} (run|load)|--load {name}", text)
    }
    with ExitStack() as stack:
        pushes = f"docker://{REGISTRY}" in text or "nix2oci push" in text
        host = stack.enter_context(registry(tmp_path)) if pushes else None
        address = stack.enter_context(containerd(tmp_path)) if "ctr " in text else None
        path = shims(tmp_path / "bin", engines.values(), address)
        for engine in engines.values():
            images = ("team/web:1.0", "team/web:1.0-debug", "localhost/team/web:1.0")
            for clean in (("rmi", "--force", *images), ("rm", "--force", "web")):
                argv = (*engine.client, *clean)
                stack.callback(subprocess.run, argv, capture_output=True, check=False)
        yield Stage(distro, free_port(), engines, address, host, path)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with the sample flakes, all committed."""
    top = tmp_path / "nix2oci"
    for sample in SAMPLES:
        shutil.copytree(FLAKES / sample, top / "flakes" / sample)
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    output("git", "init", "--quiet", top)
    output("git", "-C", top, "add", ".")
    output("git", "-C", top, *who, "commit", "--quiet", "--message", "All flakes")
    return top


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_page_shows_what_happens(block: Block, stage: Stage, repository: Path) -> None:
    require("git", "curl", "skopeo", "taskset")
    directory = repository
    for command in block.commands:
        if command.text.startswith("cd "):
            directory = directory / command.text.removeprefix("cd ")
            continue
        printed = stage.unwrite(run(stage.rewrite(command.text), directory))
        assert matches(command.shown, printed.splitlines()), (
            f"{block}: $ {command.text}\nthe page shows:\n"
            + "\n".join(command.shown)
            + f"\nit printed:\n{printed}"
        )


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ((), [], True),
        ((), ["a"], False),
        (("a",), ["a"], True),
        (("a",), ["a", "b"], False),
        (("…",), ["a", "b"], True),
        (("a", "…"), ["a"], True),
        (("…", "b"), ["a", "b"], True),
        (("…", "b"), ["a", "b", "c"], False),
        (("a", "…", "b"), ["a", "x", "y", "b"], True),
        (("a", "…", "b", "c"), ["a", "b", "x", "b", "c"], True),
        (("a", "…", "b"), ["a", "x"], False),
        (("    1    4.9 MB      1  glibc-2.36",), ["   12   51 kB  1  glibc-2.41"], True),
        (("a 12",), ["a 13"], False),
        (("removed bash 5.2.15 -",), ["removed bash 5.2.37 -"], True),
        (("removed bash 5.2.15 -",), ["removed bash - -"], False),
        (("removed bash 5.2.15 -",), ["removed dash 5.2.15 -"], False),
        (("39 kept (25.0 MB), 0 new",), ["26 kept (25.7 MB), 0 new"], True),
        (("39 kept (25.0 MB), 0 new",), ["26 kept (25.7 MB), 2 new"], False),
        (("bin/python3.11 and 1 more",), ["bin/python3.13 and 1 more"], True),
        (("bin/python3.11 and 1 more",), ["bin/python3.13 and 2 more"], False),
        (("subprocess.cpython-311.pyc",), ["subprocess.cpython-313.pyc"], True),
        (("0.0.0.0:8080",), ["127.0.0.1:8080"], False),
    ],
    ids=str,
)
def test_lines_match_but_for_what_is_left_out(
    shown: tuple[str, ...], printed: list[str], *, expected: bool
) -> None:
    assert matches(shown, printed) is expected


def test_the_pages_have_sessions() -> None:
    assert {"README.md", "docs/distributing.md"} <= {block.page for block in BLOCKS}

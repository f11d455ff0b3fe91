"""What README.md's pictures are drawn of is what a run gives today; `./dev pictures` records it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from real.engines import ClientEngine
from real.page_sessions import normal
from real.recorded import RECORDS, locked_repository, plan, session, stage_of_session
from support.pictures.plan import Line, lines
from support.tools import require

pytestmark = pytest.mark.nix


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, distro: Path) -> Path:
    require("git", "nix")
    return locked_repository(tmp_path_factory.mktemp("recorded") / "nix2oci", distro)


def recorded(name: str) -> Any:
    return json.loads((RECORDS / f"{name}.json").read_text())


def test_the_session(repository: Path, distro: Path, podman_engine: ClientEngine) -> None:
    """But for digests, sizes, versions and counts, which differ by release: see `normal`."""
    require("curl")
    with stage_of_session(distro, podman_engine) as stage:
        today = session(stage, repository)
    assert [text(part) for part in today] == [text(part) for part in recorded("session")]


def text(part: Any) -> tuple[str, str]:
    """A command and what is below it; where the terminal broke a line is no part of it."""
    # A style ends in a letter, which must not touch the name behind it.
    shown = re.sub(r"\x1b\[([\d;]*)m", r"<\1>", "".join(part["lines"]))
    return part["command"], normal(shown)


def test_the_plan(repository: Path) -> None:
    """Another release of Debian, which is known by its C library, has other packages."""
    today, then = lines(plan(repository)), lines(recorded("plan"))
    if libc(today) != libc(then):
        assert {"glibc-VERSION", "python3-VERSION", "web-VERSION"} <= set().union(*names(today))
        return
    assert names(today) == names(then)
    for line, before in zip(today, then, strict=True):
        assert line.nar_size == pytest.approx(before.nar_size, rel=0.1)
        assert line.risk == pytest.approx(before.risk, abs=0.02)


def libc(found: Sequence[Line]) -> list[str]:
    return [name for line in found for name in line.names if name.startswith("glibc-")]


def names(found: Sequence[Line]) -> list[list[str]]:
    return [[normal(name) for name in line.names] for line in found]

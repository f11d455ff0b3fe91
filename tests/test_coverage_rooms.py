"""./dev coverage adds up files by room, and holds each to its floor."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.covered import Room, rooms

TESTS = Path(__file__).parent


def file(lines: tuple[int, int], branches: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """What the JSON report of coverage says of a file: covered of all, lines and branches."""
    return {
        "summary": {
            "covered_lines": lines[0],
            "num_statements": lines[1],
            "covered_branches": branches[0],
            "num_branches": branches[1],
        }
    }


REPORT = {
    "files": {
        "nix2oci/errors.py": file((90, 90)),
        "nix2oci/oci/layer/tar.py": file((80, 80), (15, 20)),
        "nix2oci/oci/registry/push.py": file((0, 0)),
        "nix2oci/plan/some.py": file((1, 2)),
    }
}


def test_lines_and_branches_are_added_up_by_room() -> None:
    assert list(rooms(REPORT)) == [
        Room("errors.py", 90, 90),
        Room("oci", 95, 100),
        Room("plan", 1, 2),
        Room("all", 186, 192),
    ]


@pytest.mark.parametrize(
    ("plan", "code", "said"),
    [
        pytest.param((1, 2), 1, "error: plan is below its floor\n", id="one room is low"),
        pytest.param((2, 2), 0, "", id="every room is high"),
    ],
)
def test_a_low_room_fails_though_the_whole_is_high(
    plan: tuple[int, int], code: int, said: str
) -> None:
    report = {"files": {**REPORT["files"], "nix2oci/plan/some.py": file(plan)}}
    done = subprocess.run(
        [sys.executable, "-m", "support.covered"], cwd=TESTS,
        input=json.dumps(report), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, said)
    assert "oci                   95.0 %      5 of 100\n" in done.stdout

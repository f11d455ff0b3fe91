"""./dev coverage: what a child process needs to be measured, and the result by room.

As a program it reads the JSON report of coverage, prints a line for each room of the package and
ends with 1 where less is covered than the floor says.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Percent of lines and branches. Raise them when they are passed by far; lower none without need.
FLOOR_OF_ALL = 96.0
FLOOR_OF_A_ROOM = 90.0

_CONFIG = "COVERAGE_PROCESS_CONFIG"


def environment() -> Mapping[str, str]:
    """The variables that a child with an environment of its own has to have; usually none."""
    config = os.environ.get(_CONFIG)  # noqa: TID251
    return {_CONFIG: config} if config else {}


def unmeasured() -> Mapping[str, str]:
    """The whole environment, for a child whose modules, time or memory are looked at."""
    return {name: value for name, value in os.environ.items() if name != _CONFIG}  # noqa: TID251


@dataclass(frozen=True, slots=True)
class Room:
    """A directory of the package, or a module beside them, and the lines and branches it has."""

    name: str
    covered: int
    all: int

    @property
    def percent(self) -> float:
        return 100.0 * self.covered / self.all if self.all else 100.0

    def __str__(self) -> str:
        return f"{self.name:<20} {self.percent:5.1f} %  {self.all - self.covered:>5} of {self.all}"


def rooms(report: Mapping[str, Any]) -> Iterator[Room]:
    """The rooms of a report, by name, and last the whole."""
    covered: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for path, file in report["files"].items():
        parts = Path(path).parts
        below = parts[len(parts) - parts[::-1].index("nix2oci") :]
        summary = file["summary"]
        for name in (below[0], "all"):
            covered[name] += summary["covered_lines"] + summary.get("covered_branches", 0)
            total[name] += summary["num_statements"] + summary.get("num_branches", 0)
    names = sorted(set(total) - {"all"})
    yield from (Room(name, covered[name], total[name]) for name in (*names, "all"))


def main() -> int:
    found = list(rooms(json.load(sys.stdin)))
    print("room                 covered  missed of lines and branches")
    print(*found, sep="\n")
    low = [
        room
        for room in found
        if room.percent < (FLOOR_OF_ALL if room.name == "all" else FLOOR_OF_A_ROOM)
    ]
    for room in low:
        print(f"error: {room.name} is below its floor", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())

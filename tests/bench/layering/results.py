"""What `./dev bench-layering` found, as docs/layering-figures.md and the charts are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

PLACE = Path(__file__).parents[1] / "results/layering.json"


@dataclass
class Moved:
    """Bytes that a client moves of one program, in 25 store layers."""

    about: str
    sizes: Mapping[str, Mapping[str, Mapping[str, int]]]
    """By change, planner and scheme."""


@dataclass
class Results:
    """All that is measured. Budgets are texts, as JSON has them."""

    fleets: dict[str, str] = field(default_factory=dict)
    """How large each is, in words."""
    tables: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    """Cells of rows, by fleet, budget and planner."""
    moved: Moved | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """For plans of 1,000 and 10,000 paths, by planner."""

    @classmethod
    def read(cls) -> Results:
        return msgspec.json.decode(PLACE.read_bytes(), type=cls)

    def write(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(asdict(self)), indent=1)
        PLACE.parent.mkdir(exist_ok=True)
        PLACE.write_bytes(text + b"\n")

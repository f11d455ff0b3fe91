"""The real fleet is what was recorded of it."""

from __future__ import annotations

import json
from pathlib import Path

from bench.layering.realfleet import FLEET, describe, real_fleet
from support.fakestore import store_path

LIB = store_path("libc")
HASH = "sha256:" + "0" * 64


def record(path: Path, name: str, size: int) -> None:
    """What `nix path-info --json --recursive` says of a program and its library."""
    infos = {
        str(store_path(name)): {"narHash": HASH, "narSize": size, "references": [str(LIB)]},
        str(LIB): {"narHash": HASH, "narSize": 30_000_000, "references": []},
    }
    path.write_text(json.dumps(infos))


def test_a_recorded_fleet_is_read_without_nix(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    for name in FLEET:
        record(tmp_path / "fleet" / f"{name}.json", name, 1_000_000)
    fleet = real_fleet(tmp_path)
    assert tuple(fleet) == FLEET
    assert {name: closure.roots for name, closure in fleet.items()} == {
        name: (store_path(name),) for name in FLEET
    }
    assert describe(fleet) == (
        f"{len(FLEET)} images; {len(FLEET) + 1} distinct paths, {30 + len(FLEET)} MB; "
        "an image has 2 paths, 31 MB (median)"
    )


def test_a_fleet_is_large_enough_to_say_something() -> None:
    assert len(FLEET) >= 25
    assert list(FLEET) == sorted(set(FLEET))

"""A fleet of real images: an index of it, and images that are built by that index."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from real.distro import nix
from real.images import Images, Layout, nix2oci
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

FLEET = ("curl", "git", "python3", "python3-flask")
LAYERS = "--max-layers=14"
"""So few that libraries which several of them have share layers, in each release of Debian."""


@pytest.fixture(scope="module")
def index(images: Images, scratch: Path) -> Path:
    require("nix")
    path = scratch / "popularity.json"
    nix2oci("popularity", "-q", *images.installables(*FLEET), LAYERS, "-o", path)
    return path


@pytest.fixture(scope="module")
def fleet(images: Images, scratch: Path, index: Path) -> dict[str, Layout]:
    """The images, built by the index."""
    return {
        name: built(images, scratch / f"by-{name}", name, "--popularity", index) for name in FLEET
    }


def built(images: Images, path: Path, name: str, *options: str | Path) -> Layout:
    (installable,) = images.installables(name)
    nix2oci("build", "-q", installable, LAYERS, *options, "-o", path)
    return Layout(path)


def plan(images: Images, name: str, *options: str | Path) -> Any:
    (installable,) = images.installables(name)
    return json.loads(nix2oci("plan", "-q", "--json", installable, LAYERS, *options))


def stored(layouts: dict[str, Layout]) -> int:
    """Bytes of layers that a registry keeps of a fleet."""
    layers = {
        layer["digest"]: layer["size"]
        for layout in layouts.values()
        for layer in layout.manifest["layers"]
    }
    return sum(layers.values())


def test_images_have_the_layers_that_the_index_promises(
    images: Images, index: Path, fleet: dict[str, Layout]
) -> None:
    """Digest for digest: what the plan says of each layer is what the images have."""
    having = Counter(digest for layout in fleet.values() for digest in layout.layers)
    groups = 0
    for name, layout in fleet.items():
        layers = plan(images, name, "--popularity", index)["layers"]
        assert len(layers) + 1 == len(layout.layers)
        for planned, digest in zip(layers, layout.layers, strict=False):
            assert 1 <= having[digest] <= max(planned["shared_by"], 1), planned
            if len(planned["paths"]) > 1 and planned["shared_by"] > 1:
                assert having[digest] == planned["shared_by"], planned
                groups += 1
    assert groups >= 2
    assert sum(count > 1 for count in having.values()) >= 10


def test_a_registry_keeps_less_of_images_that_are_built_by_an_index(
    images: Images, scratch: Path, fleet: dict[str, Layout]
) -> None:
    without = {name: built(images, scratch / f"alone-{name}", name) for name in FLEET}
    assert stored(fleet) < stored(without)


def test_an_image_names_its_index(index: Path, fleet: dict[str, Layout]) -> None:
    summary = json.loads(nix2oci("inspect", "--json", fleet["git"].path))["annotations"]
    sha256sum = nix("hash", "file", "--base16", "--type", "sha256", index).strip()
    assert summary["nix2oci.popularity"] == f"sha256:{sha256sum}"


def test_images_and_installables_give_the_same_index(index: Path, fleet: dict[str, Layout]) -> None:
    """What files of an image refer to is what Nix has recorded."""
    of_images = [word for layout in fleet.values() for word in ("--image", str(layout.path))]
    assert nix2oci("popularity", "-q", *of_images, LAYERS) == index.read_text().rstrip("\n")


def test_recorded_closures_are_a_fleet_as_well(images: Images, tmp_path: Path) -> None:
    """Shells that images drop are in a closure, so these count for more packages."""
    words: list[str | Path] = []
    for name in FLEET:
        (installable,) = images.installables(name)
        record = tmp_path / f"{name}.json"
        record.write_text(nix("path-info", "--json", "--recursive", installable))
        words += ["--closure", record]
    document = json.loads(nix2oci("popularity", "-q", *words, LAYERS))
    assert document["images"] == sorted(FLEET)


def test_the_plan_of_an_image_is_kept(images: Images, fleet: dict[str, Layout]) -> None:
    """Without the index there would be another plan; with the image there is none."""
    again = plan(images, "git", "--plan-from", fleet["git"].path)
    before = json.loads(nix2oci("inspect", "--json", fleet["git"].path))["layers"]
    assert {frozenset(layer["paths"]) for layer in again["layers"]} == {
        frozenset(layer["paths"]) for layer in before[:-1]
    }
    assert again["kept"]["from"] == str(fleet["git"].path)
    assert plan(images, "git")["layers"] != again["layers"]

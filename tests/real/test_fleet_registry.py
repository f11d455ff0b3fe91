"""Images of one package set in one registry: what they have in common is there once.

The bytes that the registry then has on its disk are printed beside those for the plan of
dockerTools, and for one layer for each image.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
from bench.layering.published import popularity
from real.distro import nix
from real.docker_registry import registry
from real.engines import output
from real.images import TAG, Images, Layout, nix2oci
from real.replanned import replanned
from support.tools import require

from nix2oci.model.closure import Closure
from nix2oci.nix.json_output import path_infos

pytestmark = pytest.mark.slow

FLEET = ("git", "python3", "python3-flask")
LAYERS = 25  # fewer than git has store paths, so that a plan has something to decide


@pytest.fixture(scope="module")
def build(images: Images, scratch: Path) -> Callable[[str, int], Layout]:
    """Builds the image of a program with so many layers, once. Every store path is in it."""

    @cache
    def build(program: str, layers: int) -> Layout:
        path = scratch / f"fleet-{program}-{layers}"
        (installable,) = images.installables(program)
        options = (f"--max-layers={layers}", "--shell=keep", f"--tag={program}:{TAG}")
        nix2oci("build", installable, "-o", path, *options)
        return Layout(path)

    return build


def push(layouts: Iterable[tuple[str, Layout]], state: Path) -> dict[str, int]:
    """The blobs that a registry has on its disk after a push of all: digests and bytes."""
    require("skopeo")
    state.mkdir()
    copy = ("skopeo", "copy", "--insecure-policy", "--quiet", "--preserve-digests")
    with registry(state) as host:
        for name, layout in layouts:
            there = f"docker://{host}/fleet/{name}:{TAG}"
            output(*copy, "--dest-tls-verify=false", f"oci:{layout.path}:{TAG}", there)
    return {
        f"sha256:{data.parent.name}": data.stat().st_size
        for data in (state / "registry").rglob("blobs/sha256/*/*/data")
    }


def contents(layout: Layout) -> dict[str, frozenset[str]]:
    """The store paths of each layer, read from its tar, by digest."""
    answer = json.loads(nix2oci("inspect", "--json", layout.path))
    return {layer["digest"]: frozenset(layer["paths"]) for layer in answer["layers"]}


def test_layers_of_the_same_store_paths_are_one_blob(
    build: Callable[[str, int], Layout], tmp_path: Path
) -> None:
    layouts = {program: build(program, LAYERS) for program in FLEET}
    layers = {program: contents(layout) for program, layout in layouts.items()}
    digests = defaultdict(set)
    images_with = defaultdict(set)
    for program, found in layers.items():
        for digest, paths in found.items():
            if paths:
                digests[paths].add(digest)
                images_with[digest].add(program)
    assert {paths: found for paths, found in digests.items() if len(found) > 1} == {}
    shared = [digest for digest, programs in images_with.items() if len(programs) > 1]
    assert len(shared) >= 5

    stored = push(layouts.items(), tmp_path / "registry")
    blobs = [
        blob
        for layout in layouts.values()
        for blob in (layout.descriptor, layout.manifest["config"], *layout.manifest["layers"])
    ]
    assert stored == {blob["digest"]: blob["size"] for blob in blobs}
    assert sum(stored.values()) < sum(blob["size"] for blob in blobs)


def test_a_registry_stores_least_with_our_plan(
    build: Callable[[str, int], Layout],
    images: Images,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = {program: build(program, LAYERS) for program in FLEET}
    theirs = {}
    for program, layout in ours.items():
        (installable,) = images.installables(program)
        infos = path_infos(nix("path-info", "--json", "--recursive", installable))
        closure = Closure.of_all(infos)
        assert frozenset().union(*contents(layout).values()) == set(map(str, closure))
        plan = popularity(closure, LAYERS - 1)
        theirs[program] = replanned(layout, closure, plan, tmp_path / program)
    one_layer = {program: build(program, 1) for program in FLEET}

    plans = {"nix2oci": ours, "dockerTools": theirs, "one layer for each image": one_layer}
    stored = {
        plan: sum(push(layouts.items(), tmp_path / plan).values())
        for plan, layouts in plans.items()
    }
    with capsys.disabled():
        figures = "; ".join(f"{plan} {size / 1e6:.1f} MB" for plan, size in stored.items())
        sys.stdout.write(f"\nin the registry, {', '.join(FLEET)}, {LAYERS} layers: {figures}\n")
    assert stored["nix2oci"] < stored["dockerTools"] < stored["one layer for each image"]
    assert max(len(layout.layers) for layout in (*ours.values(), *theirs.values())) <= LAYERS

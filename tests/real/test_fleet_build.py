"""Several images in one run, beside the same images built one by one by their popularity index."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.docker_registry import registry
from real.engines import Job, Runc
from real.images import nix2oci
from real.shop import Counted, Shop, requests, stored
from real.traces import times_opened
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

CALLS = "execve,openat,clone,clone3,fork,vfork"
NAMES = ("curl", "python3-flask", "curl-2")
SETTINGS = "max-layers: 14"


@pytest.fixture(scope="module")
def shop(distro: Path, scratch: Path) -> Shop:
    require("nix")
    shop = Shop(scratch / "shop", distro, NAMES, settings=SETTINGS)
    shop.write()
    return shop


@dataclass(frozen=True)
class Ran:
    """A run that pushed to a registry."""

    digests: Mapping[str, str]
    calls: Counter[str]
    requests: Counter[str]
    stored: int


def pushed(shop: Shop, state: Path, *, together: bool) -> Ran:
    """All images in an empty registry: by one run, or one by one by the index of all of them."""
    state.mkdir()
    nix, index = Counted(state), state / "index.json"
    if not together:
        nix2oci("popularity", "-q", "--all", shop.flake, "-o", index)
    with registry(state) as host:
        to, documents = ("-q", "--no-cache", "--json", "--push"), list[Any]()
        if together:
            answer = nix2oci("build", "--all", shop.flake, *to, f"{host}/shop", env=nix.env)
            documents = json.loads(answer)
        for name in () if together else shop.names:
            where = (f"{host}/shop/{name}:latest", "--popularity", index)
            answer = nix2oci("build", *shop.alone(name), *to, *where, env=nix.env)
            documents.append({"image": name, **json.loads(answer)})
        digests = {each["image"]: each["digest"] for each in documents}
        return Ran(digests, nix.take(), requests(state), stored(state))


@pytest.fixture(scope="module")
def run(shop: Shop, scratch: Path) -> Ran:
    return pushed(shop, scratch / "run", together=True)


def test_a_run_stores_what_builds_by_the_index_of_all_store(
    shop: Shop, run: Ran, tmp_path: Path
) -> None:
    one_by_one = pushed(shop, tmp_path / "alone", together=False)
    assert run.digests == one_by_one.digests
    assert run.stored == one_by_one.stored
    assert run.calls == {"--version": 1, "eval": 2, "build": 1, "path-info": 1}
    assert one_by_one.calls == dict.fromkeys(("eval", "build", "path-info"), len(NAMES))
    assert run.requests["PUT"] < one_by_one.requests["PUT"]


def test_after_an_edit_one_image_is_another(shop: Shop, run: Ran, tmp_path: Path) -> None:
    shop.edit("curl", "another one")
    try:
        after = pushed(shop, tmp_path / "after", together=True)
    finally:
        shop.edit("curl", "1")
    changed = [name for name in NAMES if run.digests[name] != after.digests[name]]
    assert changed == ["curl"]


def test_no_file_is_read_more_often_than_for_one_image(shop: Shop, tmp_path: Path) -> None:
    require("strace")

    def traced(name: str, *args: str) -> Counter[str]:
        trace = tmp_path / name
        strace = ("strace", "-f", "-qq", "-e", f"trace={CALLS}", "-o", str(trace))
        # Each store path has a layer: one that is in two layers is read for both.
        where = ("-q", "--no-cache", "--max-layers", "127", "-o", str(tmp_path / f"{name}.out"))
        nix2oci("build", *args, *where, prefix=strace)
        return times_opened(trace, lambda program: "nix2oci" in program or "python" in program)

    together = traced("all", "--all", shop.flake)
    most: Counter[str] = Counter()
    for name in NAMES:
        most |= traced(name, *shop.alone(name))
    assert {path: n for path, n in together.items() if n > most[path]} == {}
    assert len(together) > 1000


def test_images_of_a_run_share_layers_and_run(
    shop: Shop, tmp_path: Path, runc_engine: Runc
) -> None:
    archives = ("--format", "archive", "-o", tmp_path / "out")
    documents = json.loads(nix2oci("build", "-q", "--json", "--all", shop.flake, *archives))
    by_paths: dict[tuple[str, ...], set[str]] = {}
    having: Counter[str] = Counter()
    for layer in (layer for each in documents for layer in each["layers"] if layer["paths"]):
        by_paths.setdefault(tuple(layer["paths"]), set()).add(layer["digest"])
        having[layer["digest"]] += 1
    assert all(len(digests) == 1 for digests in by_paths.values())
    assert sum(count > 1 for count in having.values()) >= 8
    for name in NAMES:
        image = runc_engine.load(tmp_path / "out" / f"{name}.tar")
        done = runc_engine.run(Job(image, ("--version",)))
        assert done.returncode == 0, done.stderr
        program = name.removesuffix("-2").removeprefix("python3-")
        assert program in (done.stdout + done.stderr).lower()

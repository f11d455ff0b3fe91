"""Several images in one run, beside the same images built one by one by their popularity index."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.docker_registry import registry
from real.engines import Job, Runc
from real.images import Layout, nix2oci
from real.shop import Counted, Shop, requests, stored
from support.tools import require

pytestmark = pytest.mark.nix

NAMES = ("curl", "git", "python3-flask", "curl-2")
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


def test_a_run_stores_what_builds_by_the_index_of_all_store(shop: Shop, tmp_path: Path) -> None:
    run = pushed(shop, tmp_path / "run", together=True)
    one_by_one = pushed(shop, tmp_path / "alone", together=False)
    assert run.digests == one_by_one.digests
    assert run.stored == one_by_one.stored
    assert run.calls["flake metadata"] + run.calls["eval"] - 1 == 3  # one asks for the system
    assert (run.calls["build"], run.calls["path-info"]) == (1, 1)
    assert sum(run.calls.values()) * len(NAMES) == sum(one_by_one.calls.values())
    assert run.requests["PUT"] < one_by_one.requests["PUT"]


def test_after_an_edit_one_image_is_another(shop: Shop, tmp_path: Path) -> None:
    before = pushed(shop, tmp_path / "before", together=True)
    shop.edit("git", "another one")
    after = pushed(shop, tmp_path / "after", together=True)
    changed = [name for name in NAMES if before.digests[name] != after.digests[name]]
    assert changed == ["git"]


def opened(trace: Path) -> Counter[str]:
    """How often each file of the store was opened."""
    call = re.compile(r'openat\([^"]*"(/nix/store/[^"]+)".*= \d+$')
    paths = (found[1] for line in trace.read_text().splitlines() if (found := call.search(line)))
    return Counter(path for path in paths if Path(path).is_file())


def test_no_file_is_read_more_often_than_for_one_image(shop: Shop, tmp_path: Path) -> None:
    require("strace")

    def traced(name: str, *args: str) -> Counter[str]:
        trace = tmp_path / name
        strace = ("strace", "-f", "-qq", "-e", "trace=openat", "-o", str(trace))
        where = ("-q", "--no-cache", "-o", str(tmp_path / f"{name}.out"))
        nix2oci("build", *args, *where, prefix=strace)
        return opened(trace)

    together = traced("all", "--all", shop.flake)
    most: Counter[str] = Counter()
    for name in NAMES:
        most |= traced(name, *shop.alone(name))
    assert {path: n for path, n in together.items() if n > most[path]} == {}
    assert len(together) > 1000


def test_images_of_a_run_share_layers_and_run(shop: Shop, tmp_path: Path) -> None:
    nix2oci("build", "-q", "--all", shop.flake, "-o", tmp_path / "out")
    layouts = {name: Layout(tmp_path / "out" / name) for name in NAMES}
    having = Counter(digest for layout in layouts.values() for digest in layout.layers)
    shared = [digest for digest, count in having.items() if count > 1]
    assert len(shared) >= 8
    for digest in shared:
        blobs = {layout.blob(digest).read_bytes() for layout in layouts.values()
                 if digest in layout.layers}  # fmt: skip
        assert len(blobs) == 1


def test_the_images_of_a_run_run(shop: Shop, tmp_path: Path, runc_engine: Runc) -> None:
    archives = ("--format", "archive", "-o", tmp_path / "out")
    nix2oci("build", "-q", "--all", shop.flake, *archives)
    for name in NAMES:
        image = runc_engine.load(tmp_path / "out" / f"{name}.tar")
        done = runc_engine.run(Job(image, ("--version",)))
        program = name.removesuffix("-2").removeprefix("python3-")
        assert done.returncode == 0, done.stderr
        assert program in done.stdout.lower()

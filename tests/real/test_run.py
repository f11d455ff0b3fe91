"""Images of real programs do their work under real engines, as the user 65532."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from real.engines import Engine, Runc, output
from real.images import Images, closure_of, nix2oci
from real.work import WORK
from support.tools import require

PROGRAMS = tuple(WORK)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_does_its_work(program: str, engine: Engine, images: Images, share: Path) -> None:
    WORK[program](engine, images, share)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_unpacked_store_path_has_its_nar_hash_but_for_launchers(
    program: str, images: Images, runc_engine: Runc
) -> None:
    """What is hidden, a script that is nothing without its shell, is not there either."""
    rootfs = runc_engine.rootfs(images.loaded(runc_engine, program))
    (entrypoint,) = images.layout(program).config["config"]["Entrypoint"]
    found = json.loads(nix2oci("inspect", "--json", images.archive(program)))
    dropped, hidden = found["shell"]["dropped"], found["shell"]["hidden"]
    closure = closure_of("/".join(entrypoint.split("/")[:4]))
    there = [path for path in closure if path not in {each["path"] for each in dropped}]
    assert [f"/nix/store/{name}" for name in sorted(os.listdir(rootfs / "nix/store"))] == there
    recorded = output("nix-store", "--query", "--hash", *there).split()
    unpacked = [f"{rootfs}{path}" for path in there]
    hashes = output("nix-hash", "--type", "sha256", "--base32", *unpacked).split()
    others = {p for p, h, r in zip(there, hashes, recorded, strict=True) if f"sha256:{h}" != r}
    changed = [*found["launchers"], *hidden]
    assert others == {"/".join(path.split("/")[:4]) for path in changed}
    for path in others:
        tree = ("diff", "--recursive", "--no-dereference", "--brief", path, f"{rootfs}{path}")
        done = subprocess.run(tree, capture_output=True, text=True, check=False)
        mine = [each for each in changed if each.startswith(path)]
        assert sorted(done.stdout.splitlines()) == sorted(
            f"Only in {os.path.dirname(p)}: {os.path.basename(p)}"
            if p in hidden
            else f"Files {p} and {rootfs}{p} differ"
            for p in mine
        )


@pytest.mark.parametrize("program", PROGRAMS)
def test_skopeo_copies_a_layout_and_keeps_its_digest(
    program: str, images: Images, tmp_path: Path
) -> None:
    require("skopeo")
    layout = images.layout(program)
    copy = tmp_path / "copy"
    source, target = f"oci:{layout.path}:1", f"oci:{copy}:1"
    output("skopeo", "copy", "--insecure-policy", "--quiet", "--preserve-digests", source, target)
    (descriptor,) = type(layout)(copy).index["manifests"]
    assert descriptor["digest"] == layout.descriptor["digest"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_engine_gives_the_archive_the_name_that_was_asked_for(
    program: str, engine: Engine, images: Images
) -> None:
    assert images.loaded(engine, program) == images.name(program)

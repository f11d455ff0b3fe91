"""The same inputs give the same bytes, whatever machine, store, Nix or user makes the image."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from real.distro import nixes
from real.engines import output
from real.images import TAG, Images, Layout, closure_of, nix2oci
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

PROGRAM = "git"  # Perl, links and directories by the hundred, 60 store paths
SOME_DATE = "2001-02-03T04:05:06Z"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is different about a machine."""

    prefix: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


USUAL = Surroundings()
SURROUNDINGS = {
    "umask 000": Surroundings(("sh", "-c", 'umask 000; exec "$@"', "sh")),
    "umask 077": Surroundings(("sh", "-c", 'umask 077; exec "$@"', "sh")),
    "one core": Surroundings(("taskset", "--cpu-list", "0")),
    "Kiribati time": Surroundings(env={"TZ": "Pacific/Kiritimati"}),
    "the C locale": Surroundings(env={"LC_ALL": "C", "LANG": "C"}),
    "a Turkish locale": Surroundings(env={"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    "hash seed 0": Surroundings(env={"PYTHONHASHSEED": "0"}),
    "hash seed 4711": Surroundings(env={"PYTHONHASHSEED": "4711"}),
    "optimised Python": Surroundings(env={"PYTHONOPTIMIZE": "1"}),
}


def environment(**changed: str) -> dict[str, str]:
    return {**os.environ, **changed}  # noqa: TID251


def build(
    images: Images, directory: Path, *options: str, surroundings: Surroundings = USUAL
) -> Layout:
    """One more image of the program, with the name that all have, in a directory of its own."""
    target = directory / "again.oci"
    (installable,) = images.installables(PROGRAM)
    printed = nix2oci(
        "build",
        installable,
        f"--tag={images.name(PROGRAM)}",
        f"--output={target}",
        *options,
        prefix=surroundings.prefix,
        env=environment(**surroundings.env),
    )
    assert printed == f"oci:{target}:{TAG}"
    return Layout(target)


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_the_bytes_do_not_depend_on(name: str, images: Images, tmp_path: Path) -> None:
    again = build(images, tmp_path, surroundings=SURROUNDINGS[name])
    assert again.contents() == images.layout(PROGRAM).contents()


def test_an_archive_is_the_same_bytes_again(images: Images, tmp_path: Path) -> None:
    again = Images(images.distro, tmp_path).archive(PROGRAM)
    assert again.read_bytes() == images.archive(PROGRAM).read_bytes()


def test_every_nix_on_the_machine_gives_the_same_bytes(images: Images, tmp_path: Path) -> None:
    require("nix")
    if len(found := nixes()) < 2:
        pytest.skip("only one Nix on PATH")
    for nix in found:
        path = f"{nix.parent}{os.pathsep}{environment()['PATH']}"
        (directory := tmp_path / nix.parent.name).mkdir(exist_ok=True)
        again = build(images, directory, surroundings=Surroundings(env={"PATH": path}))
        assert again.contents() == images.layout(PROGRAM).contents()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def other_store(images: Images, scratch: Path) -> Path:
    """A second store that has the program, its equal files joined by hard links."""
    store = scratch / "store"
    closure = closure_of(*program_outputs(images))
    output("nix", "copy", "--no-check-sigs", "--to", str(store), *closure)
    output("nix-store", "--store", str(store), "--optimise")
    return store


def program_outputs(images: Images) -> list[str]:
    """The store paths that the entrypoint of the program's image is in."""
    (entrypoint, *_) = images.layout(PROGRAM).config["config"]["Entrypoint"]
    return ["/".join(entrypoint.split("/")[:4])]


def test_a_second_and_optimised_store_gives_the_same_bytes(
    images: Images, other_store: Path, tmp_path: Path
) -> None:
    files = (file for file in (other_store / "nix/store").rglob("*") if file.is_file())
    assert any(file.stat().st_nlink > 2 for file in files), "nothing was joined"
    again = build(images, tmp_path, "--store", str(other_store))
    assert again.contents() == images.layout(PROGRAM).contents()


CHANGES = {
    "a label": ("--labels", "org.example.team=images"),
    "an annotation": ("--annotations", "org.example.team=images"),
    "the entrypoint": ("--entrypoint", "git-shell"),
    "the command": ("--cmd", "--version"),
    "an environment variable": ("--env", "GREETING=hello"),
    "the user": ("--user", "1000:1000"),
    "created": ("--created", SOME_DATE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_no_layer_changes_with(name: str, images: Images, tmp_path: Path) -> None:
    changed, before = build(images, tmp_path, *CHANGES[name]), images.layout(PROGRAM)
    assert changed.layers == before.layers
    assert changed.descriptor["digest"] != before.descriptor["digest"]


def test_a_user_more_changes_the_last_layer_only(images: Images, tmp_path: Path) -> None:
    changed, before = build(images, tmp_path, "--users", "web:1000"), images.layout(PROGRAM)
    assert changed.layers[:-1] == before.layers[:-1]
    assert changed.layers[-1] != before.layers[-1]


@pytest.mark.parametrize("compression", ["zstd", "zstd:chunked", "auto", "none"])
def test_diff_ids_do_not_depend_on_compression(
    compression: str, images: Images, tmp_path: Path
) -> None:
    other, gzip = build(images, tmp_path, "--compression", compression), images.layout(PROGRAM)
    assert other.config == gzip.config
    assert set(other.layers).isdisjoint(gzip.layers)


def test_source_date_epoch_is_the_time_of_the_image_and_of_no_layer(
    images: Images, tmp_path: Path
) -> None:
    surroundings = Surroundings(env={"SOURCE_DATE_EPOCH": "981173106"})
    dated = build(images, tmp_path, surroundings=surroundings)
    assert dated.config["created"] == SOME_DATE
    assert dated.layers == images.layout(PROGRAM).layers

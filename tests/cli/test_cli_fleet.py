"""`build --all` and `--image` from outside: which images there are, and what comes of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.fakeengine import FakeEngine
from support.fakeregistry import PASSWORD, USER, FakeRegistry
from support.fakeserver import running
from support.fleetnix import FleetNix
from support.terminal import Completed

TWO = "images:\n  worker: {}\n  web: {env: {A: b}}\n"
OUT = "../out"


@pytest.fixture
def fleet(tmp_path: Path) -> FleetNix:
    return FleetNix.make(tmp_path)


def image(fleet: FleetNix, name: str) -> Any:
    """The manifest of a layout of the last run."""
    layout = fleet.terminal.directory / OUT / name
    index = json.loads((layout / "index.json").read_text())
    digest = index["manifests"][0]["digest"].partition(":")[2]
    return json.loads((layout / "blobs" / "sha256" / digest).read_text())


def layers(fleet: FleetNix, name: str) -> list[str]:
    return [each["digest"] for each in image(fleet, name)["layers"]]


def made(fleet: FleetNix) -> list[str]:
    directory = fleet.terminal.directory / OUT
    return sorted(os.listdir(directory)) if directory.exists() else []


def test_all_images_of_the_file_are_made_in_its_order(fleet: FleetNix) -> None:
    fleet.file(TWO)
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"oci:{OUT}/worker:worker:latest\n".replace(":worker:", ":") + (
        f"oci:{OUT}/web:latest\n"
    )
    assert made(fleet) == ["web", "worker"]
    assert "image 1 of 2: worker" in done.stderr


def test_each_image_has_bills_of_materials(fleet: FleetNix) -> None:
    fleet.file(
        "images:\n  worker: {}\n  web: {tag: a}\n  other: {installable: .#web, tag: b, name: web}\n"
    )
    done = fleet.build("--all", "-o", OUT, "--sbom-dir", "../boms")
    assert done.returncode == 0, done.stderr
    found = sorted(os.listdir(fleet.terminal.directory / "../boms"))
    assert [name for name in found if name.endswith(".cdx.json")] == [
        "web-a.cdx.json",
        "web-b.cdx.json",
        "worker.cdx.json",
    ]


def test_a_layer_that_two_images_have_is_one(fleet: FleetNix) -> None:
    fleet.file(TWO)
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 0, done.stderr
    shared = set(layers(fleet, "web")) & set(layers(fleet, "worker"))
    assert len(shared) == 1
    assert done.stderr.count("writing layers") == 2
    assert "1 of 3 layers are in the cache" in done.stderr


def test_nix_is_started_as_often_for_many_images_as_for_one(fleet: FleetNix) -> None:
    fleet.file(TWO)
    fleet.terminal.fake.log.unlink(missing_ok=True)
    assert fleet.build("--image", "web", "-o", OUT).returncode == 0
    alone = Counter(fleet.questions())
    fleet.terminal.fake.log.unlink()
    fleet.file(TWO + "  tool: {}\n")
    assert fleet.build("--all", "-o", OUT).returncode == 0
    assert Counter(fleet.questions()) - alone == Counter()


def test_an_image_alone_is_as_a_build_without_images_makes_it(fleet: FleetNix) -> None:
    fleet.file("images: {web: {env: {A: b}}}")
    assert fleet.build("--all", "-o", OUT).returncode == 0
    alone = image(fleet, "web")
    fleet.file("env: {A: b}")
    assert fleet.build(".#web", "-o", f"{OUT}/single").returncode == 0
    assert image(fleet, "single") == alone


def test_the_settings_outside_of_images_are_those_of_a_build_of_an_installable(
    fleet: FleetNix,
) -> None:
    fleet.file("tag: v1\nimages: {web: {tag: v2}}")
    done = fleet.build(".#web", "-o", f"{OUT}/x")
    assert done.stdout == f"oci:{OUT}/x:v1\n"


def test_some_images_are_named(fleet: FleetNix) -> None:
    fleet.file(TWO + "  tool: {}\n")
    done = fleet.build("--image", "tool", "--image", "worker", "-o", OUT)
    assert done.returncode == 0, done.stderr
    assert made(fleet) == ["tool", "worker"]
    assert [line.split("/")[-1] for line in done.stdout.splitlines()] == [
        "worker:latest", "tool:latest",
    ]  # fmt: skip


def test_without_a_directory_each_has_its_name_here(fleet: FleetNix) -> None:
    (fleet.terminal.directory / "elsewhere").mkdir()
    config = fleet.terminal.directory.parent / "images.yaml"
    config.write_text(TWO)
    done = fleet.build("--all", "path:../flake", "--config", str(config))
    assert done.stdout == "oci:worker.oci:latest\noci:web.oci:latest\n", done.stderr


def test_archives_end_in_tar(fleet: FleetNix) -> None:
    fleet.file(TWO)
    done = fleet.build("--all", "-o", OUT, "--format", "archive")
    assert done.returncode == 0, done.stderr
    assert made(fleet) == ["web.tar", "worker.tar"]


def test_json_is_a_list_and_the_files_have_all(fleet: FleetNix) -> None:
    fleet.file(TWO)
    files = ("--metadata", "../metadata.json", "--image-refs", "../refs")
    done = fleet.build("--all", "-o", OUT, "--json", *files)
    documents = json.loads(done.stdout)
    assert [each["image"] for each in documents] == ["worker", "web"]
    assert [each["error"] for each in documents] == [None, None]
    assert [each["reference"] for each in documents] == [
        f"oci:{OUT}/worker:latest", f"oci:{OUT}/web:latest",
    ]  # fmt: skip
    directory = fleet.terminal.directory.parent
    assert json.loads((directory / "metadata.json").read_text()) == documents
    assert (directory / "refs").read_text().splitlines() == [
        f"{each['image']}:latest@{each['digest']}" for each in documents
    ]


@pytest.mark.parametrize(
    ("how", "code", "error"),
    [
        pytest.param({"throws": True}, 3, "cannot evaluate '.#bad': it throws", id="throws"),
        pytest.param(
            {"broken": True}, 4, "cannot build '.#bad': builder for '", id="does not build"
        ),
        pytest.param({"programs": ()}, 2, "cannot choose an entrypoint", id="nothing to start"),
    ],
)
def test_an_image_that_fails_is_named_and_others_are_made_if_asked(
    fleet: FleetNix, how: dict[str, Any], code: int, error: str
) -> None:
    fleet.package("bad", **how)
    fleet.file("images: {web: , bad: , worker: }")
    ended = fleet.build("--all", "-o", OUT)
    assert ended.returncode == code
    assert ended.stdout == ""
    assert f"error: image 'bad': {error}" in ended.stderr
    assert "bad" not in made(fleet)
    went_on = fleet.build("--all", "-o", OUT, "--keep-going", "--json")
    assert went_on.returncode == code
    assert made(fleet) == ["web", "worker"]
    first, second, third = json.loads(went_on.stdout)
    assert (first["image"], first["error"]) == ("web", None)
    assert second["error"]["exit_code"] == code
    assert second["error"]["message"].startswith(f"image 'bad': {error}")
    assert (third["image"], third["error"]) == ("worker", None)
    assert went_on.stderr.count("error: ") == 1


def test_an_image_that_fails_last_says_which_were_made(fleet: FleetNix) -> None:
    fleet.package("bad", programs=())
    fleet.file("images: {web: , worker: , bad: }")
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert error.endswith("; made before that: web, worker")


def test_a_directory_in_the_flake_is_refused_with_a_place_for_all(fleet: FleetNix) -> None:
    fleet.file(TWO)
    done = fleet.build("--all", "path:.", "-o", "out")
    assert done.returncode == 2
    assert "error: image 'worker': cannot write out: it would be in the next image" in done.stderr
    assert done.stderr.rstrip().endswith("-o ../out")


def test_an_installable_that_is_not_there_is_named(fleet: FleetNix) -> None:
    fleet.file("images: {web: , gone: }")
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 3
    assert "error: image 'gone': cannot evaluate '.#gone': the flake has no package" in done.stderr


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--all", ".#web"), "cannot use --all with .#web: images are those of a flake"),
        (("--all", ".", "../x"), "cannot use --all with ../x: images are those of a flake"),
        (("--all", "--image", "web"), "cannot use --all with --image"),
        (("--image", "wbe"), "--image wbe: nix2oci.yaml has no such image"),
        (("--all", "-o", "-"), "cannot write several images to stdout"),
        (("--all", "--push", "r.io/x:1"), "cannot push several images: 'r.io/x:1' is not REGIS"),
        (("--all", "--tag", "x:1"), "./nix2oci.yaml:3: images.web: it would be x:1, which image"),
        (("--all", "--push"), "image 'worker': cannot push: nothing says where to"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_go_together_is_said_at_once(
    fleet: FleetNix, args: tuple[str, ...], error: str
) -> None:
    fleet.file(TWO)
    done = fleet.build(*args)
    assert done.returncode == 2
    assert f"error: {error}" in done.stderr
    assert fleet.terminal.left() == ["flake.nix", "nix2oci.yaml"]


def test_a_base_image_is_read_once_for_all(fleet: FleetNix) -> None:
    assert fleet.build(".#tool", "-o", "../base.oci").returncode == 0
    fleet.file("base: ../base.oci\n" + TWO)
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("reading base image") == 1
    below = layers(fleet, "web")[:2]
    assert layers(fleet, "worker")[:2] == below
    assert "which has 0 store paths already" not in done.stderr


def test_tools_of_debug_twins_are_built_once(fleet: FleetNix) -> None:
    fleet.file("debug: true\ndebug-tools: .#tool\n" + TWO)
    fleet.terminal.fake.log.unlink(missing_ok=True)
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 0, done.stderr
    assert Counter(fleet.questions())["build"] == 2
    for name in ("web", "worker"):
        index = json.loads((fleet.terminal.directory / OUT / name / "index.json").read_text())
        assert len(index["manifests"]) == 2


def test_an_image_for_several_platforms_is_an_index(fleet: FleetNix) -> None:
    fleet.file(TWO)
    fleet.terminal.fake.log.unlink(missing_ok=True)
    done = fleet.build("--all", "-o", OUT, "--platform", "linux/amd64,linux/arm64")
    assert done.returncode == 0, done.stderr
    for name in ("web", "worker"):
        platforms = [each["platform"]["architecture"] for each in image(fleet, name)["manifests"]]
        assert platforms == ["amd64", "arm64"]
    calls = Counter(fleet.questions())
    assert (calls["flake metadata"], calls["build"], calls["path-info"]) == (0, 2, 2)


def test_an_engine_gets_each_under_its_own_name(fleet: FleetNix) -> None:
    FakeEngine(fleet.terminal.fake.directory)
    fleet.file(TWO)
    done = fleet.build("--all", "--load", "podman")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "localhost/worker:latest\nlocalhost/web:latest\n"
    assert fleet.terminal.left() == ["flake.nix", "nix2oci.yaml"]


def test_the_next_run_takes_layers_of_the_cache(fleet: FleetNix) -> None:
    fleet.file(TWO)
    assert fleet.run("build", "--all", "-o", OUT).returncode == 0
    before = layers(fleet, "web"), layers(fleet, "worker")
    again = fleet.run("build", "--all", "-o", OUT)
    assert again.stderr.count("2 of 3 layers are in the cache") == 2
    assert (layers(fleet, "web"), layers(fleet, "worker")) == before


# --- without `images` ----------------------------------------------------------------------------


def test_without_images_every_package_with_a_program_is_one(fleet: FleetNix) -> None:
    fleet.same("default", "web")
    fleet.same("alias", "worker")
    fleet.package("data", programs=())
    fleet.package("two", programs=("a", "b"))
    fleet.package("bad", throws=True)
    fleet.file("env: {A: b}")
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 0, done.stderr
    assert made(fleet) == ["tool", "web", "worker"]
    left_out = [line for line in done.stderr.splitlines() if "left out" in line]
    assert [line.split("left out ")[1].split(":")[0] for line in left_out] == [
        "alias", "bad", "data", "two",
    ]  # fmt: skip
    assert "left out alias: it is worker" in done.stderr
    document = json.loads(fleet.build("--all", "-o", OUT, "--json").stdout)
    assert [each["image"] for each in document] == ["tool", "web", "worker"]


def test_packages_are_asked_for_with_as_few_questions(fleet: FleetNix) -> None:
    fleet.terminal.fake.log.unlink(missing_ok=True)
    assert fleet.build("--all", "-o", OUT).returncode == 0
    calls = Counter(fleet.questions())
    assert (calls["flake metadata"], calls["eval"]) == (1, 2)


def test_a_flake_without_a_program_is_an_error(tmp_path: Path) -> None:
    fleet = FleetNix.make(tmp_path)
    fleet.packages.clear()
    fleet.package("data", programs=())
    done = fleet.build("--all", "-o", OUT)
    assert done.returncode == 2
    assert "no package of the flake has a program to start" in done.stderr


# --- to a registry -------------------------------------------------------------------------------

ENV = {"NIX2OCI_USERNAME": USER, "NIX2OCI_PASSWORD": PASSWORD}


def push(fleet: FleetNix, registry: FakeRegistry, *args: str) -> Completed:
    return fleet.build("--all", "--push", f"{registry.registry}/team", *args, env=ENV)


def tags(registry: FakeRegistry) -> set[str]:
    """What the registry has names for."""
    return {f"{name}:{tag}" for name, tag in registry.manifests if ":" not in tag}


def test_each_goes_to_its_own_name_below_the_path(fleet: FleetNix) -> None:
    with running(FakeRegistry()) as registry:
        fleet.file("tag: [v1, v2]\nimages: {worker: , web: , tool: {name: r.io/x/y}}")
        done = push(fleet, registry)
        assert done.returncode == 0, done.stderr
        assert tags(registry) == {
            f"team/{name}:{tag}" for name in ("web", "worker", "x/y") for tag in ("v1", "v2")
        }
        lines = done.stdout.splitlines()
        assert [line.partition("@")[0] for line in lines] == [
            f"{registry.registry}/team/{name}:{tag}"
            for name in ("worker", "web", "x/y")
            for tag in ("v1", "v2")
        ]


def test_a_blob_that_two_have_is_sent_once_and_mounted(fleet: FleetNix) -> None:
    with running(FakeRegistry()) as registry:
        fleet.file(TWO + "  tool: {}\n")
        done = push(fleet, registry, "--json")
        assert done.returncode == 0, done.stderr
        outcomes = Counter(
            blob["outcome"] for each in json.loads(done.stdout) for blob in each["pushed"]["blobs"]
        )
        distinct = {
            blob["digest"] for each in json.loads(done.stdout) for blob in each["pushed"]["blobs"]
        }
        assert outcomes == {"sent": len(distinct), "mounted": 1}


def test_a_repository_that_refuses_is_named_and_nothing_of_it_is_published(
    fleet: FleetNix,
) -> None:
    with running(FakeRegistry()) as registry:
        refuse = lambda it: it.answer(403, {}, b'{"errors": [{"code": "DENIED"}]}')  # noqa: E731
        registry.script("POST", "team/web/", refuse, always=True)
        fleet.file(TWO + "  tool: {}\n")
        ended = push(fleet, registry)
        assert ended.returncode in {6, 7}
        assert "error: image 'web': cannot push to " in ended.stderr
        assert tags(registry) == set()
        went_on = push(fleet, registry, "--keep-going")
        assert went_on.returncode == ended.returncode
        assert tags(registry) == {"team/worker:latest", "team/tool:latest"}
        assert len(went_on.stdout.splitlines()) == 2


# --- plan and popularity -------------------------------------------------------------------------


def test_plan_shows_who_shares_what(fleet: FleetNix) -> None:
    fleet.file(TWO + "  tool: {}\n")
    done = fleet.run("plan", "--all")
    assert done.returncode == 0, done.stderr
    head, row, total, again = done.stdout.splitlines()
    assert head.split() == ["used", "by", "size", "paths", "names", "images"]
    assert row.split()[0] == "2"
    assert row.endswith("libshared-1.0  worker, web")
    assert total.startswith("3 images of ")
    assert "in 4 layers, 1 of them in several images" in total
    assert again == "every store path is stored once"
    document = json.loads(fleet.run("plan", "--all", "--json").stdout)
    assert [each["image"] for each in document["images"]] == ["worker", "web", "tool"]
    assert document["layers"][0]["images"] == ["worker", "web"]
    assert document["stored"] < document["nar_size"]


def test_the_index_of_all_makes_an_image_as_the_run_does(fleet: FleetNix) -> None:
    fleet.file(TWO)
    assert fleet.build("--all", "-o", OUT).returncode == 0
    in_run = image(fleet, "worker")
    done = fleet.run("popularity", "--all", "-o", "../index.json", "-q")
    assert done.returncode == 0, done.stderr
    fleet.file("layers: {popularity: ../index.json}")
    alone = fleet.build(".#worker", "-o", f"{OUT}/alone")
    assert alone.returncode == 0, alone.stderr
    assert image(fleet, "alone") == in_run


def test_a_plan_of_several_says_which_image_has_development_files(fleet: FleetNix) -> None:
    fleet.library("zip-dev", b"headers")
    fleet.package("web", "zip-dev", salt="with headers")
    fleet.file(TWO)
    said = fleet.run("plan", "--all").stdout.splitlines()[-1]
    assert said.startswith("warning: web: libzip-dev: development files in the image, ")
    assert said.endswith("; what keeps them: nix2oci why .#web libzip-dev-1.0")

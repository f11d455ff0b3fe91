"""`diff`, `why` and `index` of images in a registry: what is said, and that nothing comes twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.fetches import fetches
from support.platform_images import platform_image
from support.pushing import REPOSITORY, stored
from support.smallimage import SmallImage
from support.store_layers import APP1, LIB, LIB_AGAIN, TOOL, layer
from support.terminal import Terminal

from nix2oci.oci.validate.check_image import validate_layout


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running(FakeRegistry()) as registry:
        yield registry


@pytest.fixture
def name(terminal: Terminal, registry: FakeRegistry) -> str:
    """The repository, with two images that share two of three layers under the tags 1 and 2."""
    for tag, paths in (("1", (LIB, TOOL, APP1)), ("2", (LIB, TOOL, LIB_AGAIN))):
        path = SmallImage([layer(path) for path in paths]).write(terminal.directory / tag)
        stored(path, registry, tag)
    registry.seen.clear()
    return f"{registry.registry}/{REPOSITORY}"


@pytest.mark.parametrize("scheme", ["", "docker://"])
def test_two_tags_of_a_repository_are_compared_as_their_layouts_are(
    terminal: Terminal, name: str, scheme: str
) -> None:
    done = terminal.run("diff", "--json", f"{scheme}{name}:1", f"{scheme}{name}:2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    local = json.loads(terminal.run("diff", "--json", "1", "2").stdout)
    assert found["old"].pop("name") == f"{scheme}{name}:1"
    assert found["new"].pop("name") == f"{scheme}{name}:2"
    del local["old"]["name"], local["new"]["name"]
    assert found == local


def test_a_layer_that_both_have_is_fetched_once(
    terminal: Terminal, registry: FakeRegistry, name: str
) -> None:
    terminal.run("diff", f"{name}:1", f"{name}:2")
    assert fetches(registry, terminal.directory / "1", terminal.directory / "2") == {1}


def test_an_image_in_a_registry_is_compared_with_a_file_here(terminal: Terminal, name: str) -> None:
    done = terminal.run("diff", "--exit-code", f"{name}:1", "1")
    assert (done.returncode, done.stdout) == (
        0,
        "no difference: 3 layers, 30.7 kB, 3 store paths\n",
    )
    assert done.stderr == f"nix2oci: reading {name}:1 (30.7 kB)\nnix2oci: reading 1 (30.7 kB)\n"


def test_why_asks_an_image_in_a_registry(
    terminal: Terminal, registry: FakeRegistry, name: str
) -> None:
    done = terminal.run("why", "-q", f"{name}:1", "app")
    assert done.returncode == 0, done.stderr
    assert done.stdout == terminal.run("why", "-q", "1", "app").stdout
    assert fetches(registry, terminal.directory / "1") == {1}


@pytest.mark.parametrize("command", [("diff", "1"), ("why",)], ids=["diff", "why"])
def test_an_image_that_is_not_there_is_an_error_of_the_registry(
    terminal: Terminal, registry: FakeRegistry, command: tuple[str, ...]
) -> None:
    image = f"{registry.registry}/{REPOSITORY}:3"
    SmallImage().write(terminal.directory / "1")
    done = terminal.run(*command, image, *(["app"] if command == ("why",) else []))
    assert (done.returncode, done.stdout) == (6, "")
    url = f"http://{registry.registry}/v2/{REPOSITORY}/manifests/3"
    answered = "answered 404: MANIFEST_UNKNOWN: manifest_unknown"
    assert done.stderr.splitlines()[-2:] == [
        f"error: cannot read image at {image}: GET {url} {answered}",
        f"hint: there is no file '{image}' either",
    ]


def test_images_in_a_registry_become_an_index(terminal: Terminal, registry: FakeRegistry) -> None:
    for tag, architecture in (("a", "amd64"), ("b", "arm64")):
        stored(platform_image(terminal.directory, tag, architecture), registry, tag)
    registry.seen.clear()
    name = f"{registry.registry}/{REPOSITORY}"
    done = terminal.run("index", f"{name}:a", f"{name}:b", "-o", "both", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["name"] == f"{name}:a"
    assert [each["platform"] for each in document["manifests"]] == ["linux/amd64", "linux/arm64"]
    assert validate_layout(str(terminal.directory / "both")) == ()
    assert fetches(registry, terminal.directory / "a", terminal.directory / "b") == {1}


def test_an_image_that_is_named_by_its_digest_gives_an_index_no_name(
    terminal: Terminal, registry: FakeRegistry
) -> None:
    digest = stored(
        platform_image(terminal.directory, "a", "amd64"), registry, "a"
    ).descriptor.digest
    name = f"{registry.registry}/{REPOSITORY}@{digest}"
    done = terminal.run("index", name, "-o", "one")
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [f"error: cannot name the index: {name} has no name", "hint: give it --tag"],
    )


def test_a_bill_of_materials_says_the_same_and_fetches_each_layer_once(
    terminal: Terminal, registry: FakeRegistry, name: str
) -> None:
    here = json.loads(terminal.run("sbom", "1").stdout)
    done = terminal.run("sbom", f"{name}:1")
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert there["metadata"]["component"]["name"] == REPOSITORY.rpartition("/")[2]
    assert there["components"] == here["components"]
    assert fetches(registry, terminal.directory / "1") == {1}

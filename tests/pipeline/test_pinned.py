"""A base image in a registry: the same one until it is looked up anew, and fetched once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.bases import base
from support.fakenix import value
from support.fakeregistry import FakeRegistry, answer
from support.fakeserver import running
from support.fetches import fetches
from support.pushing import REPOSITORY, stored
from support.smallimage import Layer, entry, tar, write_index
from support.terminal import Completed, Terminal

from nix2oci.oci.layout.source import ImageSource, open_image

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
HEAD = (
    "# Which images the tags in nix2oci.yaml mean. Written by nix2oci: commit it, do not edit it.\n"
)


@dataclass(frozen=True)
class Place:
    """A flake with a nix2oci.yaml, and a registry whose tag `12` is `first` until it is moved."""

    terminal: Terminal
    registry: FakeRegistry
    first: str
    second: str

    @property
    def name(self) -> str:
        return f"{self.registry.registry}/{REPOSITORY}:12"

    @property
    def lock(self) -> Path:
        return self.terminal.directory / "nix2oci.lock.yaml"

    def configure(self, text: str) -> None:
        (self.terminal.directory / "nix2oci.yaml").write_text(f"base: {text}\n")

    def move(self) -> None:
        """Give the tag to the second image."""
        key = (REPOSITORY, self.second)
        self.registry.manifests[REPOSITORY, "12"] = self.registry.manifests[key]

    def build(self, *more: str) -> Completed:
        done = self.terminal.run("build", ".#app", "-o", "x", "--no-cache", *more)
        assert done.returncode == 0, done.stderr
        return done

    def base_digest(self) -> str:
        """Of the base that the image was built on."""
        return self.notes()[BASE_DIGEST]

    def notes(self) -> dict[str, str]:
        return dict(self.image().manifest().annotations)

    def image(self) -> ImageSource:
        return open_image(str(self.terminal.directory / "x"))

    def locked(self, digest: str) -> str:
        return f'{HEAD}version: 1\nimages:\n  "{self.name}": {digest}\n'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    terminal = Terminal.make(tmp_path)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / ".git").mkdir()
    with running(FakeRegistry()) as registry:
        images = base(), base(layers=(Layer(tar(entry("new"))),))
        digests = [
            str(stored(image.write(tmp_path / f"base{n}"), registry, f"kept{n}").descriptor.digest)
            for n, image in enumerate(images)
        ]
        place = Place(terminal, registry, *digests)
        registry.manifests[REPOSITORY, "12"] = registry.manifests[REPOSITORY, place.first]
        registry.seen.clear()
        yield place


def test_a_base_in_a_registry_is_named_in_the_image(place: Place) -> None:
    done = place.build("--base", place.name)
    assert place.notes()[BASE_NAME] == place.name
    assert place.base_digest() == place.first
    assert f"nix2oci: looking up base image {place.name}\n" in done.stderr
    assert f"nix2oci: fetching base image {place.name} (" in done.stderr
    assert f"nix2oci: on base image {place.name}, 1 layer, digest {place.first}\n" in done.stderr


def test_the_image_is_that_on_the_same_base_in_a_layout(place: Place, tmp_path: Path) -> None:
    place.build("--base", place.name)
    config, layers = place.image().config(), place.image().layers()
    place.build("--base", str(tmp_path / "base0"))
    assert (place.image().config(), place.image().layers()) == (config, layers)


def test_each_blob_of_a_base_is_fetched_once(place: Place, tmp_path: Path) -> None:
    place.build("--base", place.name)
    assert fetches(place.registry, tmp_path / "base0") == {1}
    assert not list(tmp_path.rglob(".nix2oci-*"))


def test_the_next_build_has_the_layers_of_a_base_in_the_cache(place: Place, tmp_path: Path) -> None:
    build = ("build", ".#app", "-o", "x", "--base", place.name)
    place.terminal.run(*build)
    first = place.image().descriptor
    place.registry.seen.clear()
    done = place.terminal.run(*build)
    assert "fetching" not in done.stderr
    assert fetches(place.registry, tmp_path / "base0") == {0}
    assert place.image().descriptor == first
    assert "a layer of a base image" in place.terminal.run("cache", "show").stdout


def test_a_kept_layer_of_a_base_that_is_damaged_is_fetched_anew(
    place: Place, tmp_path: Path
) -> None:
    build = ("build", ".#app", "-o", "x", "--base", place.name)
    place.terminal.run(*build)
    first = place.image().descriptor
    (layer,) = open_image(str(tmp_path / "base0")).layers()
    kept = place.terminal.fake.directory / ".cache/nix2oci/blobs/sha256" / layer.digest.hex
    kept.chmod(0o600)
    kept.write_bytes(b"other")
    done = place.terminal.run(*build)
    assert f"nix2oci: {kept} is damaged: the layer is fetched again\n" in done.stderr
    assert fetches(place.registry, tmp_path / "base0") == {2}
    assert place.image().descriptor == first
    assert kept.read_bytes() != b"other"


@pytest.mark.parametrize("scheme", ["", "docker://"])
def test_a_tag_in_the_file_means_the_same_until_it_is_looked_up_anew(
    place: Place, scheme: str
) -> None:
    place.configure(scheme + place.name)
    done = place.build()
    assert f"nix2oci: ./nix2oci.lock.yaml: {place.name} is {place.first}\n" in done.stderr
    assert place.lock.read_text() == place.locked(place.first)
    place.move()
    place.build()
    assert place.base_digest() == place.first
    assert place.notes()[BASE_NAME] == place.name
    place.build("--refresh-base")
    assert place.base_digest() == place.second
    assert place.lock.read_text() == place.locked(place.second)


def test_what_else_is_locked_stays(place: Place) -> None:
    other = f'  "docker.io/library/debian:12": {place.second}\n'
    place.configure(place.name)
    place.lock.write_text(f"version: 1\nimages:\n{other}")
    place.build()
    mine = f'  "{place.name}": {place.first}\n'
    assert place.lock.read_text() == f"{HEAD}version: 1\nimages:\n{mine}{other}"


def test_a_lock_that_knows_the_tag_is_not_written(place: Place) -> None:
    place.configure(place.name)
    place.lock.write_text(place.locked(place.first).removeprefix(HEAD))
    place.build()
    assert place.lock.read_text() == place.locked(place.first).removeprefix(HEAD)


@pytest.mark.parametrize(
    "command",
    [("plan", ".#app"), ("diff", ".#app", ".#app"), ("why", ".#app", "app")],
    ids=lambda command: str(command[0]),
)
def test_commands_that_write_no_image_read_the_lock_and_write_none(
    place: Place, command: tuple[str, ...]
) -> None:
    place.configure(place.name)
    done = place.terminal.run(*command)
    assert done.returncode == 0, done.stderr
    assert not place.lock.exists()
    place.lock.write_text(place.locked(place.second))
    place.registry.seen.clear()
    place.terminal.run(*command)
    asked = {seen.path.rpartition("/")[2] for seen in place.registry.seen}
    assert place.second in asked
    assert "12" not in asked


@pytest.mark.parametrize("named", ["flag", "digest"])
def test_nothing_is_locked_that_the_file_leaves_to_nobody(place: Place, named: str) -> None:
    if named == "digest":
        place.configure(f"{place.name}@{place.first}")
        place.build()
    else:
        place.configure(place.name)
        place.build("--base", place.name)
    assert place.base_digest() == place.first
    assert not place.lock.exists()


def test_a_base_that_is_named_by_its_digest_alone_is_called_so(place: Place) -> None:
    name = f"{place.registry.registry}/{REPOSITORY}@{place.first}"
    place.build("--base", name)
    assert place.notes()[BASE_NAME] == name


@pytest.mark.parametrize(
    "text", ["./base.oci", "registry.example/a@sha256:" + "0" * 64], ids=["a layout", "a digest"]
)
def test_only_a_tag_can_be_looked_up_anew(place: Place, text: str) -> None:
    place.configure(text)
    done = place.terminal.run("build", ".#app", "-o", "x", "--refresh-base")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "error: --refresh-base: `base` in nix2oci.yaml is not a tag in a registry",
    )


def test_a_lock_that_is_broken_is_an_error(place: Place) -> None:
    place.configure(place.name)
    place.lock.write_text("version: 2\n")
    done = place.terminal.run("build", ".#app", "-o", "x")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "error: ./nix2oci.lock.yaml: version: expected 1, got 2",
    )


def test_of_an_index_the_image_for_the_platform_is_taken(place: Place, tmp_path: Path) -> None:
    root = write_index(tmp_path / "several")
    pushed = stored(root, place.registry, "12")
    place.configure(place.name)
    place.build()
    assert place.lock.read_text() == place.locked(str(pushed.descriptor.digest))
    entries = json.loads((root / "blobs/sha256" / pushed.descriptor.digest.hex).read_text())[
        "manifests"
    ]
    assert place.base_digest() == entries[0]["digest"]
    assert place.notes()[BASE_NAME] == place.name


def test_a_blob_without_an_end_fills_no_disk(place: Place, tmp_path: Path) -> None:
    (layer,) = open_image(str(tmp_path / "base0")).layers()
    data = b"x" * (2 << 20)
    place.registry.script("GET", f"/blobs/{layer.digest}", answer(200, data))
    done = place.terminal.run("build", ".#app", "-o", "x", "--base", place.name)
    said = f"is longer than the {layer.size} bytes that are said of it"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        8,
        f"error: cannot read image at {place.name}: blob {layer.digest} {said}",
    )
    assert place.terminal.left() == [".git", "flake.nix"]


def test_the_lock_is_written_when_nix_has_seen_the_flake(place: Place) -> None:
    """Before, Nix would see a tree with changes, and the image would have another time."""
    place.configure(place.name)
    place.lock.write_text(place.locked(place.first))
    place.move()
    fake, before = place.terminal.fake, list(place.terminal.fake.rules)
    fake.rules.clear()
    fake.answer("flakes eval --json", value(), run=f"cp {place.lock} {place.lock}.seen")
    fake.rules += before
    fake.nix()
    place.build("--refresh-base")
    assert Path(f"{place.lock}.seen").read_text() == place.locked(place.first)
    assert place.lock.read_text() == place.locked(place.second)


def test_the_lock_of_a_fetched_flake_is_read_and_never_written(place: Place) -> None:
    source = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-source"
    there = Path(f"{place.terminal.fake.root}{source}")
    there.mkdir()
    (there / "nix2oci.yaml").write_text(f"base: {place.name}\n")
    fake = place.terminal.fake
    locks = {"nodes": {"root": {}}, "root": "root"}
    metadata = {"path": source, "resolved": {"type": "github"}, "locks": locks}
    fake.rules.insert(0, "")
    fake.answer("flake metadata", json.dumps(metadata))
    fake.rules[0] = fake.rules.pop()
    fake.nix()
    build = ("build", "github:a/b", "-o", "x", "--no-cache")
    assert place.terminal.run(*build).returncode == 0
    assert sorted(path.name for path in there.iterdir()) == ["nix2oci.yaml"]
    lock = there / "nix2oci.lock.yaml"
    lock.write_text(place.locked(place.second))
    assert place.terminal.run(*build).returncode == 0
    assert place.base_digest() == place.second
    done = place.terminal.run(*build, "--refresh-base")
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (
        2,
        [
            f"error: --refresh-base: {lock} is in the source of a flake that was fetched",
            "hint: refresh it where the flake is, and commit it",
        ],
    )


def test_images_of_a_run_have_their_bases_in_one_lock(place: Place) -> None:
    """Each base is looked up once, and none is lost when another is written down."""
    place.registry.manifests[REPOSITORY, "13"] = place.registry.manifests[REPOSITORY, place.second]
    other = place.name.replace(":12", ":13")
    images = "".join(
        f"  {name}: {{installable: .#app, base: '{base}'}}\n"
        for name, base in (("a", place.name), ("b", other), ("c", place.name))
    )
    (place.terminal.directory / "nix2oci.yaml").write_text(f"images:\n{images}")
    done = place.terminal.run("build", "--all", "-o", "x", "--no-cache")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("looking up base image") == 2
    assert place.lock.read_text() == place.locked(place.first) + f'  "{other}": {place.second}\n'

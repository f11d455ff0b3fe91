"""Images in a real registry as the base of another, compared with each other, and asked why."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.distro import FLAKES, sample
from real.engines import output
from real.images import Images, Layout, nix2oci
from real.registries import serving
from support.tools import require

pytestmark = pytest.mark.slow

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True, slots=True)
class Repository:
    """Two images under the tags `redis` and `git`."""

    name: str
    redis: Layout
    git: Layout

    def tag(self, layout: Layout, tag: str) -> None:
        nix2oci("push", "-q", layout.path, f"{self.name}:{tag}")

    def digest(self, tag: str) -> str:
        """As skopeo has it."""
        inspect = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
        return output(*inspect, f"docker://{self.name}:{tag}").strip()


@pytest.fixture
def repository(images: Images, tmp_path: Path) -> Iterator[Repository]:
    require("nix", "skopeo")
    with serving(tmp_path / "state") as registry:
        layouts = images.layout("redis-server"), images.layout("git")
        found = Repository(f"{registry.host}/team/app", *layouts)
        for layout, tag in zip(layouts, ("redis", "git"), strict=True):
            found.tag(layout, tag)
        yield found


def document(*args: str | Path) -> Any:
    return json.loads(nix2oci(*args, "-q", "--json"))


def test_a_base_by_tag_stays_until_it_is_looked_up_anew(
    repository: Repository, distro: Path, tmp_path: Path
) -> None:
    flake = tmp_path / "flake"
    shutil.copytree(FLAKES / "hello-c", flake)
    (flake / "nix2oci.yaml").write_text(f"base: {repository.name}:base\nmax-layers: 127\n")
    _, *options = sample(distro, "hello-c")
    image = tmp_path / "image.oci"

    def built(*more: str) -> str:
        nix2oci("build", "-q", f"path:{flake}", *options, "-o", image, *more)
        notes = Layout(image).manifest["annotations"]
        assert notes[BASE_NAME] == f"{repository.name}:base"
        digest: str = notes[BASE_DIGEST]
        return digest

    repository.tag(repository.redis, "base")
    first = repository.digest("base")
    assert built() == first
    layers = repository.redis.layers
    assert Layout(image).layers[: len(layers)] == layers
    assert f'"{repository.name}:base": {first}\n' in (flake / "nix2oci.lock.yaml").read_text()
    repository.tag(repository.git, "base")
    second = repository.digest("base")
    assert second != first
    assert built() == first
    assert built("--refresh-base") == second
    assert built() == second


def test_two_tags_of_a_repository_are_compared(repository: Repository) -> None:
    remote = document("diff", f"{repository.name}:redis", f"{repository.name}:git")
    local = document("diff", repository.redis.path, repository.git.path)
    for found in (remote, local):
        del found["old"]["name"], found["new"]["name"]
    assert remote == local
    assert remote["differ"]


def test_an_image_in_a_registry_says_why_a_path_is_in_it(repository: Repository) -> None:
    digest = repository.digest("git")
    for name in (f"{repository.name}:git", f"docker://{repository.name}@{digest}"):
        assert document("why", name, "glibc") == document("why", repository.git.path, "glibc")

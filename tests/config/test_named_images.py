"""`images` in nix2oci.yaml: what each image is, and errors that tell the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nix2oci.config.image_spec import ImageSpec, load_images, merge, parse
from nix2oci.config.keys import Document
from nix2oci.config.named_images import NamedImage, chosen
from nix2oci.config.together import check_together
from nix2oci.errors import ConfigError


def read(text: str, directory: Path) -> tuple[Document, tuple[NamedImage, ...]]:
    path = directory / "nix2oci.yaml"
    path.write_text(text)
    return load_images(str(path))


def specs(text: str, directory: Path) -> dict[str, ImageSpec]:
    """What became of each image, looked at together as a run does."""
    defaults, images = read(text, directory)
    found = [parse(merge({"name": each.name, **defaults}, each.own)) for each in images]
    check_together(images, found, defaults, str(directory / "nix2oci.yaml"))
    return {each.name: spec for each, spec in zip(images, found, strict=True)}


def test_an_image_is_laid_over_what_is_for_every_image(tmp_path: Path) -> None:
    found = specs(
        """
env: {LANG: C, TZ: UTC}
ports: [80]
contents: [a]
user: 5
images:
  web:
    env: {LANG: C.UTF-8, A: x}
    contents: [b]
  worker: {ports: [81], name: ghcr.io/team/worker, tag: v1}
""",
        tmp_path,
    )
    web, worker = found["web"], found["worker"]
    assert web.env == {"LANG": "C.UTF-8", "TZ": "UTC", "A": "x"}
    assert (web.contents, web.ports, web.user) == (("a", "b"), ("80/tcp",), "5")
    assert (worker.env, worker.ports) == ({"LANG": "C", "TZ": "UTC"}, ("81/tcp",))
    assert (web.name, worker.name, worker.tags) == ("web", "ghcr.io/team/worker", ("v1",))


def test_an_image_is_named_after_its_key_and_is_the_package_of_that_name(tmp_path: Path) -> None:
    _, images = read("images:\n  web:\n  worker: {installable: .#jobs}\n  b: {}", tmp_path)
    assert [(each.name, each.installable) for each in images] == [
        ("web", ""), ("worker", ".#jobs"), ("b", ""),
    ]  # fmt: skip


def test_images_are_chosen_in_the_order_of_the_file(tmp_path: Path) -> None:
    _, images = read("images: {c: , a: , b: }", tmp_path)
    assert [each.name for each in chosen(images, ["b", "c", "b"])] == ["c", "b"]
    assert [each.name for each in chosen(images, [])] == ["c", "a", "b"]
    with pytest.raises(ConfigError, match=r"--image d: nix2oci\.yaml has no such image"):
        chosen(images, ["a", "d"])


def test_images_of_one_name_may_have_tags_of_their_own(tmp_path: Path) -> None:
    found = specs("name: r.io/app\nimages: {web: {tag: web}, worker: {tag: [w, x]}}", tmp_path)
    assert [(each.name, each.tags) for each in found.values()] == [
        ("r.io/app", ("web",)), ("r.io/app", ("w", "x")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("images: [web]", "1: images: expected a mapping, got a list", id="a list"),
        pytest.param("a: 1\nimages: {}", "1: unknown key 'a'", id="an unknown key for every image"),
        pytest.param(
            "installable: .#a\nimages: {}",
            "1: unknown key 'installable'",
            id="an installable for every image",
        ),
        pytest.param(
            "images:\n  web:\n    ports: [80]\n    prots: [80]",
            "4: images.web: unknown key 'prots'",
            id="an unknown key below an image",
        ),
        pytest.param(
            "images:\n  web:\n    env:\n      A: x\n      B: true",
            "5: images.web.env.B: expected text, got true",
            id="a value without meaning below an image",
        ),
        pytest.param(
            "\nimages:\n  web:\n    installable: [a]",
            "4: images.web.installable: expected text, got a list",
            id="an installable that is a list",
        ),
        pytest.param(
            "images:\n  web: {}\n  ../up: {}",
            "3: images.../up: '../up' cannot be the name of an image",
            id="a name that leads out of the directory",
        ),
        pytest.param(
            "images:\n  .hidden: {}",
            "2: images..hidden: '.hidden' cannot be the name of an image",
            id="a hidden name",
        ),
        pytest.param(
            "images:\n  Web: {}", "2: images.Web: 'Web' cannot be", id="a name with large letters"
        ),
        pytest.param(
            "images:\n  a: {}\n  b: {name: a}",
            "3: images.b: it would be a:latest, which image 'a' is",
            id="two of one name",
        ),
        pytest.param(
            "name: x\nimages:\n  a: {}\n  b: {}",
            "4: images.b: it would be x:latest, which image 'a' is",
            id="a name for every image",
        ),
        pytest.param(
            "images:\n  a: {tag: [x, y]}\n  b: {name: a, tag: [z, y]}",
            "3: images.b: it would be a:y, which image 'a' is",
            id="one of several tags",
        ),
        pytest.param(
            "images:\n  a: {debug: true}\n  b: {name: a, tag: latest-debug}",
            "3: images.b: it would be a:latest-debug, which image 'a' is",
            id="the tag of a debug twin",
        ),
        pytest.param(
            "images:\n  a: {debug: true}\n  b:\n    debug-tools: .#x",
            "4: images.b.debug-tools: the image has no debug twin to have them",
            id="debug tools without a twin",
        ),
        pytest.param(
            "user: 5\ndebug-tools: .#x\nimages: {a: {}}",
            "2: debug-tools: no image has a debug twin to have them",
            id="debug tools for every image, none of which has a twin",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        specs(text, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/nix2oci.yaml:{error}")


def test_two_images_of_one_key_are_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nix2oci\.yaml:3:3: the key 'web' is there twice"):
        read("images:\n  web: {}\n  web: {}", tmp_path)


def test_debug_tools_may_be_for_every_image_where_one_has_a_twin(tmp_path: Path) -> None:
    found = specs("debug-tools: .#x\nimages: {a: {debug: true}, b: {}}", tmp_path)
    assert [each.debug_tools for each in found.values()] == [".#x", ".#x"]

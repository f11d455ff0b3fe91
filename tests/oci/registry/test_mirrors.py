"""Mirrors of registries, as podman and skopeo know them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakeregistry import FakeRegistry, answer
from support.fakeserver import running
from support.pushing import REPOSITORY, Desk

from nix2oci.errors import ConfigError
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.environment import RegistryEnvironment
from nix2oci.oci.registry.mirrors import mirrors_of, open_mirrored, read_mirrors

DIGEST = "@sha256:" + 64 * "a"


def environment(path: Path, text: str) -> RegistryEnvironment:
    path.write_text(text)
    return RegistryEnvironment(registries_files=("/does/not/exist", str(path)))


HUB = """
unqualified-search-registries = ["docker.io"]
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.example:5000/hub"
insecure = true
[[registry.mirror]]
location = "second.example"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "docker.io/library"
location = "other.example/library"
[[registry.mirror]]
location = "library.example/x"
pull-from-mirror = "tag-only"
[[registry]]
prefix = "*.internal.example"
[[registry.mirror]]
location = "near.example"
[[registry]]
location = "bad.example/team"
blocked = true
"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("docker.io/team/a:1", ["mirror.example:5000/hub/team/a:1"], id="a registry"),
        pytest.param("team/a:1", ["mirror.example:5000/hub/team/a:1"], id="Docker Hub, unnamed"),
        pytest.param("debian:12", ["library.example/x/debian:12"], id="the longest prefix"),
        pytest.param(f"debian{DIGEST}", [], id="a mirror for tags alone"),
        pytest.param(
            f"docker.io/team/a{DIGEST}",
            [f"mirror.example:5000/hub/team/a{DIGEST}", f"second.example/team/a{DIGEST}"],
            id="a mirror for digests alone",
        ),
        pytest.param("a.internal.example/b:1", ["near.example/b:1"], id="all hosts of a domain"),
        pytest.param("internal.example/b:1", [], id="not the domain itself"),
        pytest.param("docker.io.example/b:1", [], id="a longer name"),
        pytest.param("bad.example/teams/b:1", [], id="a longer path"),
    ],
)
def test_an_image_has_mirrors(tmp_path: Path, name: str, found: list[str]) -> None:
    known = read_mirrors(environment(tmp_path / "registries.conf", HUB))
    assert [str(there) for there, _ in mirrors_of(Reference.parse(name), known)] == found


def test_what_is_blocked_is_not_used(tmp_path: Path) -> None:
    known = read_mirrors(environment(tmp_path / "registries.conf", HUB))
    with pytest.raises(ConfigError) as caught:
        mirrors_of(Reference.parse("bad.example/team/a:1"), known)
    assert str(caught.value) == (
        "cannot use bad.example/team/a:1: registries.conf blocks bad.example/team"
    )


def test_files_that_are_dropped_in_come_after_the_file(tmp_path: Path) -> None:
    more = tmp_path / "registries.conf.d"
    more.mkdir()
    (more / "1.conf").write_text(HUB.replace("mirror.example:5000/hub", "newer.example"))
    (more / "2.txt").write_text("no TOML")
    (tmp_path / "registries.conf").write_text(HUB)
    known = read_mirrors(
        RegistryEnvironment(
            registries_files=(str(tmp_path / "registries.conf"),),
            registries_directories=("/does/not/exist", str(more)),
        )
    )
    found = mirrors_of(Reference.parse("docker.io/a/b:1"), known)
    assert [str(there) for there, _ in found] == ["newer.example/a/b:1"]


@pytest.mark.parametrize(
    "text",
    ["[[", "registry = 5 5", "\udcff", "x = " + "9" * 5000],
    ids=["brackets", "two values", "no text", "a number of 5000 digits"],
)
def test_a_file_that_is_no_toml_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "registries.conf"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match="it is not TOML"):
        read_mirrors(RegistryEnvironment(registries_files=(str(path),)))


@pytest.mark.parametrize(
    "text", ["registry = 5", 'registry = ["a"]', "[[registry]]\nmirror = 1\nlocation = true"]
)
def test_what_has_another_form_is_no_mirror(tmp_path: Path, text: str) -> None:
    assert read_mirrors(environment(tmp_path / "registries.conf", text)) == ()


DAEMON = '{"registry-mirrors": ["https://mirror.example/", "http://near.example:5000"]}'


@pytest.mark.parametrize(
    ("daemon", "registries", "name", "found"),
    [
        pytest.param(
            DAEMON,
            "",
            "debian:12",
            [
                ("mirror.example/library/debian:12", False),
                ("near.example:5000/library/debian:12", True),
            ],
            id="Docker Hub has them",
        ),
        pytest.param(DAEMON, "", "quay.io/a/b:1", [], id="no other registry has"),
        pytest.param(
            DAEMON,
            '[[registry]]\nlocation="docker.io"\n[[registry.mirror]]\nlocation="x.example"',
            "debian:12",
            [("x.example/library/debian:12", False)],
            id="what podman is told comes first",
        ),
        pytest.param(
            '{"registry-mirrors": ["ftp://a", "https://a/b", "https://u@a", 5, "a.example"]}',
            "",
            "debian:12",
            [],
            id="what Docker would not take",
        ),
        pytest.param('{"registry-mirrors": "https://a"}', "", "debian:12", [], id="no list"),
        pytest.param("{", "", "debian:12", [], id="no JSON"),
    ],
)
def test_docker_is_told_of_mirrors_too(
    daemon: str, registries: str, name: str, found: list[tuple[str, bool]], tmp_path: Path
) -> None:
    (tmp_path / "daemon.json").write_text(daemon)
    (tmp_path / "registries.conf").write_text(registries)
    known = read_mirrors(
        RegistryEnvironment(
            registries_files=(str(tmp_path / "registries.conf"),),
            docker_files=("/does/not/exist", str(tmp_path / "daemon.json")),
        )
    )
    mirrors = mirrors_of(Reference.parse(name), known)
    assert [(str(there), mirror.insecure) for there, mirror in mirrors] == found


def test_the_environment_says_where_the_files_are() -> None:
    around = RegistryEnvironment.of({"HOME": "/h"})
    assert around.docker_files == ("/h/.config/docker/daemon.json", "/etc/docker/daemon.json")
    assert around.registries_files == (
        "/h/.config/containers/registries.conf",
        "/etc/containers/registries.conf",
    )
    named = RegistryEnvironment.of({"HOME": "/h", "CONTAINERS_REGISTRIES_CONF": "/r.conf"})
    assert named.registries_files == ("/r.conf",)


@pytest.mark.parametrize("up", [True, False])
def test_an_image_comes_from_its_mirror_while_that_has_it(
    desk: Desk,
    tmp_path: Path,
    up: bool,  # noqa: FBT001
) -> None:
    """What it is called stays the name by which it was asked for."""
    desk.push()
    with running(FakeRegistry()) as mirror:
        mirror.blobs, mirror.manifests = desk.registry.blobs, desk.registry.manifests
        if not up:
            mirror.script("GET", "/manifests/", answer(404), always=True)
        desk.registry.seen.clear()
        text = f"""
            [[registry]]
            location = "{desk.registry.registry}"
            [[registry.mirror]]
            location = "{mirror.registry}"
            insecure = true
        """
        access = desk.access(environment=environment(tmp_path / "registries.conf", text))
        layout = open_mirrored(desk.reference(), Clients(access))
        assert layout.image().layers()
        assert (desk.registry.seen == []) is up
    (entry,) = layout.entries()
    assert entry.annotations["io.containerd.image.name"] == f"{desk.reference()}"
    where = f"{mirror.registry}/{REPOSITORY}"
    if up:
        assert desk.notes == [f"{desk.reference()} comes from its mirror {where}:1.0"]
    else:
        assert desk.notes[0].startswith(f"mirror {mirror.registry} is passed over: cannot read")

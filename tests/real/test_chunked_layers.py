"""What podman moves for an image of which every store path was rebuilt, and what it has then."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.engines import output
from real.images import Layout, nix2oci
from real.partial_pulls import client, counted_registry, recent, xfs
from support.tools import require

pytestmark = pytest.mark.slow

# Every package of the closure has a new revision, and so another hash, as after a change of stdenv.
_REBUILT = """\
let facts = builtins.fromJSON (builtins.readFile {distro}/packages.json);
    names = builtins.attrNames facts.packages;
    revisions = builtins.listToAttrs (map (name: {{ inherit name; value = "{revision}"; }}) names);
in (import {distro} {{ inherit revisions; }}).derivations.{program}
"""
PROGRAM = "curl"

_CHUNKED = ("--compression", "zstd:chunked", "--chunking")
_OPTIONS = {
    "zstd": ("--compression", "zstd"),
    "fine": (*_CHUNKED, "fine"),
    "small": (*_CHUNKED, "small"),
}


@dataclass(frozen=True, slots=True)
class Versions:
    """Two versions of an image in a registry, of which no store path is the same."""

    host: str
    log: Path
    plain: int
    """Bytes of the layers of the second in plain zstd."""
    layers: int
    directory: Path

    def reference(self, form: str, version: int) -> str:
        return f"{self.host}/{form}:{version}"


@pytest.fixture(scope="module")
def versions(distro: Path, scratch: Path) -> Iterator[Versions]:
    require("nix")
    recent("podman")
    state = scratch / "chunked-layers"
    with counted_registry(state) as (host, log):
        layouts: list[Layout] = []
        for version in (1, 2):
            expression = _REBUILT.format(distro=distro, revision=version, program=PROGRAM)
            built = output("nix", "build", "--impure", "--no-link", "--json", "--expr", expression)
            path = json.loads(built)[0]["outputs"]["out"]
            for form, options in _OPTIONS.items():
                layout = Layout(state / f"{form}-{version}.oci")
                nix2oci("build", path, *options, "-q", "-o", layout.path)
                nix2oci("push", "-q", layout.path, f"{host}/{form}:{version}")
                layouts.append(layout)
        plain = layouts[3].manifest["layers"]
        yield Versions(host, log, _size(layouts[3]), len(plain), state)


def _size(layout: Layout) -> int:
    return sum(layer["size"] for layer in layout.manifest["layers"])


@pytest.mark.parametrize("form", ["fine", "small"])
def test_a_rebuild_of_everything_moves_little_where_blocks_are_shared(
    versions: Versions, form: str
) -> None:
    with ExitStack() as stack:
        there = stack.enter_context(xfs(versions.directory))
        podman = stack.enter_context(client(there / "podman", versions.log))
        first = podman.pull(versions.reference(form, 1))
        second = podman.pull(versions.reference(form, 2))
        assert first.partial == second.partial == versions.layers
        assert second.moved <= 0.03 * versions.plain, second
        with podman.mounted(versions.reference(form, 2)) as root:
            paths = sorted((root / "nix/store").iterdir())
            assert len(paths) >= 15
            for path in paths:
                found = output("nix-hash", "--type", "sha256", "--base32", path).strip()
                recorded = output("nix-store", "--query", "--hash", f"/nix/store/{path.name}")
                assert recorded.strip() == f"sha256:{found}"


def test_elsewhere_whole_files_are_found_and_no_more_moves_than_with_skopeo(
    versions: Versions,
) -> None:
    for version in (1, 2):
        _by_skopeo(versions, version)
    moved = {}
    for form in ("fine", "small", "skopeo"):
        with client(versions.directory / form, versions.log) as podman:
            podman.pull(versions.reference(form, 1))
            moved[form] = podman.pull(versions.reference(form, 2))
        assert moved[form].partial == versions.layers
    assert moved["small"].moved < moved["fine"].moved < moved["skopeo"].moved < versions.plain


def test_the_image_is_no_larger_than_that_of_skopeo(versions: Versions) -> None:
    theirs = _by_skopeo(versions, 2)
    ours = {form: _size(Layout(versions.directory / f"{form}-2.oci")) for form in ("fine", "small")}
    assert ours["small"] <= 1.15 * versions.plain
    assert ours["small"] < ours["fine"] <= theirs


def _by_skopeo(versions: Versions, version: int) -> int:
    """The size of the layers that its writer makes at the same level; they are in the registry."""
    skopeo = recent("skopeo")
    source, copy = (f"docker://{versions.reference(form, version)}" for form in ("zstd", "skopeo"))
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    form = ("--dest-compress-format", "zstd:chunked", "--dest-force-compress-format")
    options = (*insecure, *form, "--dest-compress-level", "3", "--quiet")
    output(skopeo, "--insecure-policy", "copy", *options, source, copy)
    manifest = json.loads(output(skopeo, "inspect", "--tls-verify=false", "--raw", copy))
    return sum(layer["size"] for layer in manifest["layers"])

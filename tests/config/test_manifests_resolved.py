"""Manifests in which images were resolved: all but the references is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.manifests import DIRECTORY, MANIFESTS, replaced_and_left
from support.second_reader import documents

from nix2oci.config.image_mentions import read_mentions

REFERENCES = {
    ".#app": "registry.example.com/shop/app@sha256:" + "a" * 64,
    ".#worker": "registry.example.com/shop/worker@sha256:" + "b" * 64,
    "#web": "registry.example.com/shop/web@sha256:" + "c" * 64,
}
each_manifest = pytest.mark.parametrize(
    "path", sorted(DIRECTORY.iterdir()), ids=lambda path: path.name
)


def test_all_are_here() -> None:
    assert sorted(path.name for path in DIRECTORY.iterdir()) == sorted(MANIFESTS)


@each_manifest
def test_a_manifest(path: Path) -> None:
    data = path.read_bytes()
    after = read_mentions(data, path.name).resolved(REFERENCES)
    assert replaced_and_left(data, after, REFERENCES) == MANIFESTS[path.name]


def test_another_byte_is_noticed() -> None:
    data = (DIRECTORY / "01-deployment.yaml").read_bytes()
    after = read_mentions(data, "f.yaml").resolved(REFERENCES)
    assert replaced_and_left(data, after.replace(b"  # built", b" # built"), REFERENCES) is None


@each_manifest
def test_the_second_reader_sees_the_same_documents_but_for_the_references(path: Path) -> None:
    data = path.read_bytes()
    after = read_mentions(data, path.name).resolved(REFERENCES)
    known = {f"nix2oci://{name}": there for name, there in REFERENCES.items()}
    data, after = data.expandtabs(1), after.expandtabs(1)  # it reads no tabs
    assert documents(after) == documents(data, known) != documents(data)

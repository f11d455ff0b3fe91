"""An entry of an index has a name for every tool, and Docker's document only what it can load."""

from __future__ import annotations

import json

import pytest

from nix2oci.oci.layout.names import Entry, archive_documents, named, qualified
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import INDEX, MANIFEST, Descriptor, Digest, Index, Platform, canonical_json

IMAGE = Descriptor(MANIFEST, Digest.of(b"image"), 5, platform=Platform("amd64"))
DOCKER = {"Config": "blobs/sha256/0", "RepoTags": ["docker.io/library/app:1"], "Layers": []}


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("app:1", "docker.io/library/app:1"),
        ("team/app:1", "docker.io/team/app:1"),
        ("localhost/app:1", "localhost/app:1"),
        ("example.com/app:1", "example.com/app:1"),
    ],
)
def test_the_name_that_docker_takes_for_granted(name: str, whole: str) -> None:
    assert qualified(Reference.parse(name)) == whole


@pytest.mark.parametrize(
    ("name", "tag", "whole"),
    [
        pytest.param("app", "latest", "docker.io/library/app:latest", id="without a tag"),
        pytest.param(
            f"app:1@{Digest.of(b'x')}", "1", "docker.io/library/app:1", id="without its digest"
        ),
    ],
)
def test_an_entry_is_named_twice(name: str, tag: str, whole: str) -> None:
    entry = named(IMAGE, Reference.parse(name))
    assert entry.annotations == {
        "org.opencontainers.image.ref.name": tag,
        "io.containerd.image.name": whole,
    }
    assert (entry.digest, entry.platform) == (IMAGE.digest, IMAGE.platform)


def test_documents_of_an_archive() -> None:
    documents = archive_documents([Entry((IMAGE,), (DOCKER,))])
    assert list(documents) == ["oci-layout", "index.json", "manifest.json"]
    assert json.loads(documents["index.json"])["manifests"] == [IMAGE.to_json()]
    assert json.loads(documents["manifest.json"]) == [DOCKER]


def test_an_index_of_platforms_is_nothing_for_the_classic_store_of_docker() -> None:
    index = Index((IMAGE,))
    entry = Entry.of_index(index, [Reference.parse("app:1")])
    (listed,) = entry.descriptors
    assert listed.digest == Digest.of(canonical_json(index.to_json()))
    assert (listed.media_type, listed.platform) == (INDEX, None)
    assert list(archive_documents([entry])) == ["oci-layout", "index.json"]

"""Whose word is taken on layers that need not be made, and what comes of a wrong one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.fakeregistry import Action, error, proceed
from support.pushbuild import Shop, notes, reused
from support.pushing import REPOSITORY

from nix2oci.oci.spec import INDEX, LAYER_FORM, STORE_PATHS

Spoil = Callable[[Any], None]


def set_(key: str, value: object) -> Spoil:
    return lambda document: document["layers"][0]["annotations"].update({key: value})


def fewer_layers(document: Any) -> None:
    document["layers"].pop()


@pytest.mark.parametrize(
    ("spoil", "count", "note"),
    [
        pytest.param(set_(STORE_PATHS, "sha256:12"), 0, "cannot read digest", id="half a digest"),
        pytest.param(set_(STORE_PATHS, 7), 0, "expected text, got 7", id="a number"),
        pytest.param(set_(LAYER_FORM, "0 gzip x"), 1, "", id="a layer of another form"),
        pytest.param(fewer_layers, 0, "it has 2 layers, and diff IDs of 3", id="a layer less"),
        pytest.param(
            lambda document: document.update(layers={}),
            0,
            "layers: expected a list, got {}",
            id="no list",
        ),
        pytest.param(
            lambda document: document["config"].update(digest="sha256:" + "0" * 64),
            0,
            "there is no blob sha256:000",
            id="no configuration",
        ),
        pytest.param(
            lambda document: document["layers"][0].update(mediaType="application/x"),
            1,
            "",
            id="another media type",
        ),
    ],
)
def test_a_manifest_that_is_not_right_is_not_believed(
    shop: Shop, spoil: Spoil, count: int, note: str
) -> None:
    first = shop.push()
    document = shop.manifest()
    spoil(document)
    shop.replace_manifest(document)
    second = shop.push()
    assert second["digest"] == first["digest"]
    assert sum(reused(second)) == count
    assert not note or any(note in line for line in notes(shop)), shop.said[-1]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"rootfs": {"diff_ids": ["sha256:1", "", ""]}}', id="no digests"),
        pytest.param(b'{"rootfs": []}', id="no diff IDs"),
        pytest.param(b"\xff", id="no JSON"),
    ],
)
def test_a_configuration_that_is_not_right_is_not_believed(shop: Shop, config: bytes) -> None:
    first = shop.push()
    document = shop.manifest()
    document["config"] |= {"digest": shop.put_blob(config), "size": len(config)}
    shop.replace_manifest(document)
    second = shop.push()
    assert (reused(second), second["digest"]) == ([False] * 3, first["digest"])
    assert any(line.startswith("nix2oci: nothing of") for line in notes(shop))


def test_a_blob_that_the_registry_lost_is_made(shop: Shop) -> None:
    first = shop.push()
    gone = first["layers"][0]["digest"]
    del shop.registry.blobs[REPOSITORY, gone]
    shop.forget()
    assert reused(shop.push()) == [False, True, False]
    assert shop.sent() == [gone]


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_a_blob_that_gets_lost_meanwhile_is_told_with_the_way_on(shop: Shop, method: str) -> None:
    gone = shop.push()["layers"][0]["digest"]
    shop.edit("another one")
    if method == "HEAD":
        shop.registry.script("HEAD", gone, proceed, error(404, "BLOB_UNKNOWN"))
    else:
        shop.registry.script("PUT", "/manifests/", lacks(gone))
    done = shop.build("--push", shop.name)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.splitlines()[-2:] == [
        f"error: cannot push to {shop.repository}: it lost blob {gone} during the build",
        "hint: make all layers: --no-reuse",
    ]
    assert shop.registry.uploads == {}


def lacks(digest: str) -> Action:
    return lambda exchange: exchange.error(400, "MANIFEST_BLOB_UNKNOWN", Digest=digest)


def test_layers_of_every_image_of_an_index_are_reused(shop: Shop) -> None:
    """And what is not there of it does not hinder."""
    digest = shop.push()["digest"]
    kind, data = shop.registry.manifests[REPOSITORY, "1.0"]
    listed = [("sha256:" + "0" * 64, 7), (digest, len(data))]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{"mediaType": kind, "digest": d, "size": size} for d, size in listed],
    }
    shop.registry.manifests[REPOSITORY, "1.0"] = (INDEX, json.dumps(index).encode())
    assert reused(shop.push()) == [True, True, False]


def test_layers_of_another_repository_are_mounted_when_it_is_trusted(shop: Shop) -> None:
    shop.push()
    shop.forget()
    place = f"{shop.registry.registry}/team/other"
    other = f"{place}:2"
    refused = shop.build("--push", other, "--reuse", shop.name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-2:] == [
        f"error: cannot reuse layers of {shop.name}: it is in another repository than {place}",
        "hint: if you trust who pushes there: --trust-reuse registry",
    ]
    assert shop.registry.seen == []
    done = shop.build("--push", other, "--reuse", shop.name, "--trust-reuse", "registry", "--json")
    document = json.loads(done.stdout)
    assert reused(document) == [True, True, False]
    assert sorted(shop.sent()) == sorted([document["layers"][2]["digest"], document["image_id"]])


def test_another_registry_is_never_believed(shop: Shop) -> None:
    done = shop.build("--push", shop.name, "--reuse", "h.example/a", "--trust-reuse", "registry")
    refused = "cannot reuse layers of h.example/a:"
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        f"error: {refused} it is in another registry than {shop.repository}",
        "hint: push it there first: nix2oci push",
    ]


def test_any_of_several_earlier_images_may_have_a_layer(shop: Shop) -> None:
    shop.push()
    other = f"{shop.repository}:2.0"
    gone = f"{shop.repository}:gone"
    done = shop.build("--push", other, "--reuse", gone, "--reuse", shop.name, "--json")
    assert reused(json.loads(done.stdout)) == [True, True, False]
    assert notes(shop)[0] == f"nix2oci: nothing of {gone} is reused: there is no such image"

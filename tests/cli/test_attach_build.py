"""`build --attach` and `--sign-key`: what is in the registry, and in a layout, beside the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakeregistry import FakeRegistry, answer, error
from support.pushbuild import Shop
from support.pushing import REPOSITORY
from support.signing import (
    BUNDLE,
    CYCLONEDX,
    IN_TOTO,
    SPDX,
    KeyPair,
    about,
    blob_of,
    entries,
    statement,
)

ALL = "--attach=sbom,provenance"
DOCUMENTS = [CYCLONEDX, SPDX, IN_TOTO]
SIGNED = [*DOCUMENTS, BUNDLE, BUNDLE, BUNDLE, BUNDLE]


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    return KeyPair.make(tmp_path)


def listed(shop: Shop, digest: str) -> list[str]:
    return about(shop.registry, digest)


@pytest.mark.parametrize("has_api", [True, False], ids=["the registry lists them", "clients do"])
def test_documents_are_listed_in_the_order_of_scanners(shop: Shop, *, has_api: bool) -> None:
    shop.registry.lists_referrers = has_api
    document = shop.push(ALL)
    assert listed(shop, document["digest"]) == DOCUMENTS
    assert shop.registry.tags() == {"1.0"} if has_api else {"1.0", *_list_tags(document["digest"])}


def _list_tags(digest: str) -> list[str]:
    return [digest.replace(":", "-")]


def test_nothing_is_attached_and_nothing_more_is_asked_unless_it_is_wanted(shop: Shop) -> None:
    before = shop.push()
    calls = shop.registry.calls()
    shop.forget()
    again = shop.push("--attach", "none", "--no-reuse")
    assert again["digest"] == before["digest"]
    assert shop.registry.tags() == {"1.0"}
    assert not [call for call in [*calls, *shop.registry.calls()] if "referrers" in call]
    assert again["attached"] == []


def test_an_image_has_the_same_digest_with_all_of_it(shop: Shop, key: KeyPair) -> None:
    plain = shop.push()
    assert shop.push(ALL, f"--sign-key={key.secret}")["digest"] == plain["digest"]


def test_the_signature_and_attestations_come_after_the_documents(shop: Shop, key: KeyPair) -> None:
    digest = shop.push(ALL, f"--sign-key={key.secret}")["digest"]
    assert listed(shop, digest) == SIGNED
    bundles = [each for each in entries(shop.registry, digest) if each["artifactType"] == BUNDLE]
    said = [statement(blob_of(shop.registry, each)) for each in bundles]
    assert [each["predicateType"] for each in said] == [
        "https://sigstore.dev/cosign/sign/v1",
        "https://cyclonedx.org/bom",
        "https://spdx.dev/Document",
        "https://slsa.dev/provenance/v1",
    ]
    subject = [{"digest": {"sha256": digest.partition(":")[2]}}]
    assert all(each["subject"] == subject for each in said)


def test_the_attested_document_is_the_attached_one(shop: Shop, key: KeyPair) -> None:
    digest = shop.push("--attach=cyclonedx", f"--sign-key={key.secret}")["digest"]
    plain, _, signed = entries(shop.registry, digest)
    attested = statement(blob_of(shop.registry, signed))["predicate"]
    assert attested == json.loads(blob_of(shop.registry, plain))


def test_a_second_push_sends_nothing(shop: Shop, key: KeyPair) -> None:
    shop.push(ALL, f"--sign-key={key.secret}")
    shop.forget()
    document = shop.push(ALL, f"--sign-key={key.secret}")
    assert document["pushed"]["sent"] == 0
    assert shop.registry.calls("PUT|PATCH") == []


def test_the_older_signature_lies_beside_those_of_others(shop: Shop, key: KeyPair) -> None:
    other = KeyPair.make(key.secret.parent, "other")
    digest = shop.push(f"--sign-key={key.secret}")["digest"]
    shop.push(f"--sign-key={other.secret}")
    shop.push(f"--sign-key={key.secret}")
    layers = shop.manifest(tag=digest.replace(":", "-") + ".sig")["layers"]
    signatures = [each["annotations"]["dev.cosignproject.cosign/signature"] for each in layers]
    assert len(signatures) == len(set(signatures)) == 2
    payload = json.loads(shop.registry.blobs[REPOSITORY, layers[0]["digest"]])
    assert payload["critical"]["image"]["docker-manifest-digest"] == digest
    assert payload["critical"]["identity"]["docker-reference"] == shop.repository


def test_what_was_attached_is_in_the_report(shop: Shop) -> None:
    document = shop.push(ALL)
    assert [each["artifact_type"] for each in document["attached"]] == DOCUMENTS
    assert {each["subject"] for each in document["attached"]} == {document["digest"]}


def test_the_settings_of_the_flake_say_it_once_for_all_pushes(shop: Shop, key: KeyPair) -> None:
    (shop.terminal.directory / "key.pem").write_bytes(key.secret.read_bytes())
    said = "trust: {attach: [sbom, provenance], sign-key: key.pem}\n"
    (shop.terminal.directory / "nix2oci.yaml").write_text(said)
    digest = shop.push("--config=nix2oci.yaml")["digest"]
    assert listed(shop, digest) == SIGNED
    assert shop.push("--config=nix2oci.yaml", "--attach=none")["attached"][0]["predicate_type"]


def test_a_key_in_a_variable_signs(shop: Shop, key: KeyPair) -> None:
    digest = shop.push("--sign-key=env://K", K=key.secret.read_text())["digest"]
    first = listed(shop, digest)
    shop.forget()
    shop.push("--sign-key=env://K", K=key.nix_secret())
    assert listed(shop, digest) == first == [BUNDLE]
    assert shop.registry.calls("PUT") == []


WRONG: list[Any] = [
    pytest.param([error(404, "NOT_FOUND")], id="404"),
    pytest.param([error(405, "UNSUPPORTED")], id="405"),
    pytest.param([error(500, "UNKNOWN")], id="500"),
    pytest.param([answer(200, b"<html>hello</html>")], id="a page"),
    pytest.param([answer(200, b'{"manifests": "x"}')], id="no list"),
    pytest.param([answer(200, b"")], id="nothing"),
]


@pytest.mark.parametrize("actions", WRONG)
@pytest.mark.parametrize("says_subject", [True, False], ids=["takes note", "takes no note"])
def test_clients_keep_the_list_where_the_registry_shows_none(
    shop: Shop, actions: Any, *, says_subject: bool
) -> None:
    shop.registry.lists_referrers = says_subject
    shop.registry.script("GET", "/referrers/", *actions, always=True)
    digest = shop.push(ALL)["digest"]
    shop.registry.lists_referrers = False
    assert listed(shop, digest) == DOCUMENTS


@pytest.mark.parametrize(
    "actions",
    [
        pytest.param(error(400, "MANIFEST_INVALID"), id="says that it is no image"),
        pytest.param(error(405, "UNSUPPORTED"), id="does not do that"),
        pytest.param(answer(415, b"<p>no</p>"), id="does not know the type"),
    ],
)
def test_a_registry_that_refuses_it_has_the_image(shop: Shop, key: KeyPair, actions: Any) -> None:
    plain = shop.push()
    shop.registry.manifests.clear()
    shop.registry.script("PUT", rf"/manifests/(?!{plain['digest']})sha256:", actions, always=True)
    done = shop.build("--push", shop.name, ALL, f"--sign-key={key.secret}")
    assert done.returncode == 6
    assert done.stdout == ""
    assert f"cannot attach to {shop.repository}@{plain['digest']}, which is there: " in done.stderr
    assert f"pushed before that: {shop.name}" in done.stderr
    assert (REPOSITORY, "1.0") in shop.registry.manifests
    assert (REPOSITORY, plain["digest"].replace(":", "-") + ".sig") in shop.registry.manifests


class TestLayouts:
    def test_a_layout_has_it_and_a_push_carries_it_along(self, shop: Shop, key: KeyPair) -> None:
        done = shop.build("-o", "app.oci", "--tag=app:1", ALL, f"--sign-key={key.secret}")
        assert done.returncode == 0, done.stderr
        index = json.loads((shop.terminal.directory / "app.oci/index.json").read_text())
        assert [each.get("artifactType") for each in index["manifests"]] == [None, *SIGNED]
        pushed = shop.terminal.run("push", "app.oci", shop.name, "--json", **shop.env())
        assert pushed.returncode == 0, pushed.stderr
        assert listed(shop, json.loads(pushed.stdout)["digest"]) == SIGNED

    def test_what_is_about_a_replaced_image_goes_with_it(self, shop: Shop) -> None:
        options = ("-o", "app.oci", "--tag=app:1", ALL)
        assert shop.build(*options).returncode == 0
        assert shop.build(*options).returncode == 0
        before = self._blobs(shop)
        shop.edit("another one")
        assert shop.build(*options).returncode == 0
        index = json.loads((shop.terminal.directory / "app.oci/index.json").read_text())
        assert [each.get("artifactType") for each in index["manifests"]] == [None, *DOCUMENTS]
        assert len(self._blobs(shop)) == len(before)

    @staticmethod
    def _blobs(shop: Shop) -> list[str]:
        return [each.name for each in (shop.terminal.directory / "app.oci/blobs/sha256").iterdir()]

    @pytest.mark.parametrize("flag", [ALL, "--sign-key=k.pem"])
    def test_an_archive_cannot_have_it(self, shop: Shop, flag: str) -> None:
        done = shop.build("-o", "app.tar", flag)
        assert done.returncode == 2
        assert f"cannot use {flag.partition('=')[0]}: neither an archive nor" in done.stderr
        assert shop.terminal.fake.calls == []

    def test_an_archive_beside_a_push_stays_as_it_is(self, shop: Shop) -> None:
        assert shop.build("-o", "plain.tar").returncode == 0
        digest = shop.push("-o", "app.tar", ALL)["digest"]
        plain, other = (shop.terminal.directory / each for each in ("plain.tar", "app.tar"))
        assert other.read_bytes() == plain.read_bytes()
        assert listed(shop, digest) == DOCUMENTS


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        pytest.param(
            "--attach=sbom,licences",
            "--attach: expected sbom, cyclonedx, spdx, provenance or contents",
            id="a word that is none",
        ),
        pytest.param(
            "--sign-key=missing.pem",
            "cannot read key missing.pem: No such file or directory",
            id="a key that is not there",
        ),
        pytest.param(
            "--sign-key=env://NONE",
            "cannot use key env://NONE: the environment has no variable 'NONE'",
            id="a variable that is not there",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_built(
    shop: Shop, flag: str, message: str
) -> None:
    done = shop.build("--push", shop.name, flag)
    assert message in done.stderr
    assert shop.terminal.fake.calls == []
    assert shop.registry.seen == []


def test_a_registry_lists_what_two_pages_have(shop: Shop, key: KeyPair) -> None:
    registry: FakeRegistry = shop.registry
    registry.lists_referrers, registry.page = True, 2
    shop.push(ALL, f"--sign-key={key.secret}")
    shop.forget()
    shop.push(ALL, f"--sign-key={key.secret}")
    assert registry.calls("PUT") == []

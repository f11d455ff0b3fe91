"""`verify`, `sign` and `attach`: an image in a registry, and who says what of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakeregistry import error
from support.pushbuild import Shop
from support.pushing import REPOSITORY
from support.signing import BUNDLE, CYCLONEDX, IN_TOTO, SPDX, KeyPair, about, blob_of, entries
from support.smallimage import digest_of
from support.terminal import Completed

ALL = "--attach=sbom,provenance"


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    return KeyPair.make(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> KeyPair:
    return KeyPair.make(tmp_path, "other", "P-256")


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """One whose registry lists what refers to an image, and knows nobody."""
    shop.registry.lists_referrers, shop.registry.auth = True, ""
    return shop


def run(shop: Shop, *args: str) -> Completed:
    done = shop.terminal.run(*args, **shop.env())
    shop.said += [done.stdout, done.stderr]
    return done


def verify(shop: Shop, *args: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what `--json` says of the image that the tag names."""
    done = run(shop, "verify", shop.name, "--json", *args)
    assert done.returncode in (0, 1), done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["verified"] is (done.returncode == 0)
    return done.returncode, document


def verdicts(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["kind"], each["verdict"]) for each in document["attached"]]


def test_an_image_is_verified_with_all_that_is_attached(shop: Shop, key: KeyPair) -> None:
    shop.push(ALL, f"--sign-key={key.secret}")
    code, document = verify(shop, "--key", str(key.public))
    assert code == 0
    assert verdicts(document) == [
        ("cyclonedx", "holds"),
        ("spdx", "holds"),
        ("provenance", "holds"),
        ("signature", "verified"),
        ("cyclonedx", "verified"),
        ("spdx", "verified"),
        ("provenance", "verified"),
        ("signature", "verified"),
    ]


def test_a_key_of_nix_is_a_key(shop: Shop, key: KeyPair) -> None:
    nix = shop.terminal.directory
    (nix / "secret").write_text(key.nix_secret())
    (nix / "public").write_text(key.nix_public() + "\n")
    shop.push("--sign-key=nix:secret")
    assert verify(shop, "--key", "nix:public")[0] == 0
    assert verify(shop, "--key", str(key.public))[0] == 0


def test_an_image_that_nobody_signed_is_not_verified(shop: Shop, key: KeyPair) -> None:
    digest = shop.push("--attach=sbom")["digest"]
    code, document = verify(shop, "--key", str(key.public))
    assert (code, document["problems"]) == (1, [f"no signature of {digest} is by this key"])


def test_another_key_is_not_the_key(shop: Shop, key: KeyPair, other: KeyPair) -> None:
    shop.push(ALL, f"--sign-key={other.secret}")
    code, document = verify(shop, "--key", str(key.public))
    assert code == 1
    assert ("signature", "other key") in verdicts(document)
    assert verify(shop, "--key", str(other.public))[0] == 0


def test_what_another_key_signed_as_well_is_no_harm(
    shop: Shop, key: KeyPair, other: KeyPair
) -> None:
    shop.push(ALL, f"--sign-key={key.secret}")
    shop.push(ALL, f"--sign-key={other.secret}")
    assert verify(shop, "--key", str(key.public))[0] == 0


def test_an_attestation_is_no_signature(shop: Shop, key: KeyPair) -> None:
    shop.push()
    (shop.terminal.directory / "p.json").write_text('{"buildDefinition": {}, "runDetails": {}}')
    done = run(shop, "attach", "p.json", shop.name, f"--sign-key={key.secret}")
    assert done.returncode == 0, done.stderr
    code, document = verify(shop, "--key", str(key.public))
    assert (code, len(document["problems"])) == (1, 1)
    assert "no signature of" in document["problems"][0]


def tampered(shop: Shop, entry: dict[str, Any], edit: Any) -> None:
    """Put another blob into what is listed, with digests that are right."""
    kind, manifest = shop.registry.manifests.pop((REPOSITORY, entry["digest"]))
    document = json.loads(manifest)
    old = document["layers"][0]["digest"]
    data = edit(shop.registry.blobs[REPOSITORY, old])
    document["layers"][0] |= {"digest": shop.put_blob(data), "size": len(data)}
    new = json.dumps(document).encode()
    shop.registry.manifests[REPOSITORY, digest_of(new)] = (kind, new)


def without_a_path(data: bytes) -> bytes:
    document = json.loads(data)
    parts = document.get("components") or document["packages"]
    (path,) = [each for each in parts if each["name"] == "library"]
    parts.remove(path)
    return json.dumps(document).encode()


def with_other_bytes(data: bytes) -> bytes:
    return data.replace(b"sha256-", b"sha256-0", 1)


@pytest.mark.parametrize("kind", [CYCLONEDX, SPDX])
@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param(without_a_path, "not listed: ", id="it lacks a store path"),
        pytest.param(with_other_bytes, "other bytes in the layers: ", id="other bytes"),
        pytest.param(lambda _: b"{", "it is not JSON", id="it cannot be read"),
    ],
)
def test_a_bill_of_materials_is_held_against_the_layers(
    shop: Shop, kind: str, edit: Any, reason: str
) -> None:
    digest = shop.push("--attach=sbom")["digest"]
    (entry,) = [e for e in entries(shop.registry, digest) if e["artifactType"] == kind]
    tampered(shop, entry, edit)
    code, document = verify(shop)
    assert code == 1
    assert reason in document["problems"][0]


def test_a_bill_of_another_image_is_not_of_this_one(shop: Shop) -> None:
    digest = shop.push("--attach=cyclonedx")["digest"]
    (entry,) = entries(shop.registry, digest)
    tampered(shop, entry, lambda data: data.replace(digest.encode(), b"sha256:" + b"0" * 64))
    code, document = verify(shop)
    assert (code, "it is about sha256:000" in document["problems"][0]) == (1, True)


@pytest.mark.parametrize("at", [40, 400], ids=["in its head", "in the document"])
def test_a_bundle_with_a_changed_byte_is_wrong(shop: Shop, key: KeyPair, at: int) -> None:
    digest = shop.push("--attach=cyclonedx", f"--sign-key={key.secret}")["digest"]
    *_, entry = entries(shop.registry, digest)

    def edit(data: bytes) -> bytes:
        bundle = json.loads(data)
        payload = bundle["dsseEnvelope"]["payload"]
        bundle["dsseEnvelope"]["payload"] = payload[:at] + "AAAA" + payload[at + 4 :]
        return json.dumps(bundle).encode()

    tampered(shop, entry, edit)
    code, document = verify(shop, "--key", str(key.public))
    assert code == 1
    assert "its signature is not right" in document["problems"][0]


def test_a_signature_of_another_image_is_none_of_this(shop: Shop, key: KeyPair) -> None:
    first = shop.push(f"--sign-key={key.secret}")["digest"]
    (entry,) = entries(shop.registry, first)
    shop.edit("another one")
    second = shop.push()["digest"]
    bundle = blob_of(shop.registry, entry)
    tampered(shop, entry, lambda _: bundle)
    for (place, name), (kind, data) in list(shop.registry.manifests.items()):
        if json.loads(data).get("subject", {}).get("digest") == first:
            moved = data.replace(first.encode(), second.encode())
            shop.registry.manifests[place, digest_of(moved)] = (kind, moved)
            del shop.registry.manifests[place, name]
    code, document = verify(shop, "--key", str(key.public))
    assert code == 1
    assert any("it is about another manifest" in each for each in document["problems"])


@pytest.mark.parametrize("status", [404, 405, 500])
def test_a_registry_whose_list_is_broken_has_what_clients_listed(
    shop: Shop, key: KeyPair, status: int
) -> None:
    shop.registry.script("GET", "/referrers/", error(status, "UNSUPPORTED"), always=True)
    shop.push("--attach=cyclonedx", f"--sign-key={key.secret}")
    code, document = verify(shop, "--key", str(key.public))
    assert (code, verdicts(document)[0]) == (0, ("cyclonedx", "holds"))


def test_a_list_that_cannot_be_read_is_said(shop: Shop, key: KeyPair) -> None:
    shop.push()
    shop.registry.script("GET", "/referrers/", error(500, "UNKNOWN"), always=True)
    done = run(shop, "verify", shop.name, "--key", str(key.public))
    assert (done.returncode, "answered 500" in done.stderr) == (6, True)
    shown = run(shop, "inspect", shop.name, "--json")
    assert json.loads(shown.stdout)["attached"] is None
    assert "warning: what is attached is not known: " in shown.stderr


class TestSign:
    def test_an_image_is_signed_where_it_is(self, shop: Shop, key: KeyPair) -> None:
        reference = shop.push()["reference"]
        done = run(shop, "sign", reference, f"--sign-key={key.secret}")
        assert (done.returncode, done.stdout) == (0, f"{reference}\n"), done.stderr
        assert verify(shop, "--key", str(key.public))[0] == 0

    def test_it_is_what_a_build_that_signs_has(self, shop: Shop, key: KeyPair) -> None:
        flag = f"--sign-key={key.secret}"
        pushed = shop.push(ALL, flag)
        shop.forget()
        done = run(shop, "sign", pushed["reference"], flag, "--attached")
        assert done.returncode == 0, done.stderr
        assert shop.registry.calls("PUT|PATCH") == []

    def test_what_is_attached_is_signed_when_that_is_asked(self, shop: Shop, key: KeyPair) -> None:
        pushed = shop.push("--attach=cyclonedx")
        flag = f"--sign-key={key.secret}"
        run(shop, "sign", pushed["reference"], flag)
        assert about(shop.registry, pushed["digest"]) == [CYCLONEDX, BUNDLE]
        run(shop, "sign", pushed["reference"], flag, "--attached")
        assert about(shop.registry, pushed["digest"]) == [CYCLONEDX, BUNDLE, BUNDLE]

    def test_a_tag_is_not_signed(self, shop: Shop, key: KeyPair) -> None:
        done = run(shop, "sign", shop.name, f"--sign-key={key.secret}")
        assert done.returncode == 2
        assert "a tag may name another image by now" in done.stderr
        assert "hint: name it by its digest" in done.stderr


class TestAttach:
    def test_what_a_layout_has_goes_to_the_image_that_is_there(self, shop: Shop) -> None:
        digest = shop.push()["digest"]
        assert shop.build("-o", "app.oci", ALL).returncode == 0
        done = run(shop, "attach", "app.oci", shop.name)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{shop.repository}@{digest}\n"
        assert about(shop.registry, digest) == [CYCLONEDX, SPDX, IN_TOTO]

    def test_a_layout_of_another_image_is_refused(self, shop: Shop) -> None:
        assert shop.build("-o", "app.oci", ALL).returncode == 0
        shop.edit("another one")
        shop.push()
        done = run(shop, "attach", "app.oci", shop.name)
        assert done.returncode == 2
        assert "app.oci is another image, sha256:" in done.stderr

    @pytest.mark.parametrize(
        ("document", "kind"),
        [
            pytest.param({"bomFormat": "CycloneDX"}, CYCLONEDX, id="CycloneDX"),
            pytest.param({"spdxVersion": "SPDX-2.3"}, SPDX, id="SPDX"),
            pytest.param({"buildDefinition": {}, "runDetails": {}}, IN_TOTO, id="a provenance"),
        ],
    )
    def test_a_file_is_attached_as_what_it_is(self, shop: Shop, document: Any, kind: str) -> None:
        digest = shop.push()["digest"]
        (shop.terminal.directory / "d.json").write_text(json.dumps(document))
        done = run(shop, "attach", "d.json", shop.name)
        assert done.returncode == 0, done.stderr
        assert about(shop.registry, digest) == [kind]

    def test_what_is_no_document_is_refused(self, shop: Shop) -> None:
        shop.push()
        (shop.terminal.directory / "d.json").write_text("{}")
        done = run(shop, "attach", "d.json", shop.name)
        assert done.returncode == 8
        assert "cannot read d.json: it is no document that is known" in done.stderr


def test_inspect_lists_what_is_attached(shop: Shop, key: KeyPair) -> None:
    shop.push("--attach=cyclonedx", f"--sign-key={key.secret}")
    done = run(shop, "inspect", shop.name)
    rows = [line.split() for line in done.stdout.partition("attached")[2].splitlines()[1:]]
    assert [" ".join(row[:-1]).split(" key")[0] for row in rows]
    assert "attestation of cyclonedx" in done.stdout
    document = json.loads(run(shop, "inspect", shop.name, "--json").stdout)
    assert [(each["kind"], each["signed"]) for each in document["attached"]] == [
        ("cyclonedx", False),
        ("signature", True),
        ("cyclonedx", True),
        ("signature", True),
    ]
    assert document["attached"][1]["signer"].startswith("key ")

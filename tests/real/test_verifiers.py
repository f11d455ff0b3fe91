"""What cosign, oras and crane make of what is attached to an image, and of its signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.signed_image import SignedImage, payloads, signed_image, tool
from support.pushing import REPOSITORY
from support.signing import BUNDLE, CYCLONEDX, IN_TOTO, SPDX, KeyPair, blob_of, entries
from support.tools import require

pytestmark = pytest.mark.slow

KINDS = {"cyclonedx": CYCLONEDX, "spdxjson": SPDX, "slsaprovenance1": IN_TOTO}

IN_ONE = pytest.mark.parametrize("image", [False], indirect=True, ids=["lists none"])


@pytest.fixture(scope="module", params=[True, False], ids=["lists referrers", "lists none"])
def image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SignedImage]:
    require("cosign", "oras", "crane", "openssl")
    with signed_image(tmp_path_factory.mktemp("signed"), has_api=request.param) as made:
        yield made


def test_cosign_verifies_the_index_and_each_image(image: SignedImage) -> None:
    for digest in (image.digest, *image.platforms):
        done = image.verify(["verify"], f"{image.repository}@{digest}")
        assert done.returncode == 0, done.stderr
    other = KeyPair.make(image.terminal.directory, "other")
    assert image.verify(["verify"], image.reference, other.public).returncode != 0


def test_cosign_verifies_what_is_attested(image: SignedImage) -> None:
    digest = image.platforms[0]
    attached = {e["artifactType"]: e for e in entries(image.registry, digest)}
    for kind, media_type in KINDS.items():
        command = ["verify-attestation", "--type", kind]
        done = image.verify(command, f"{image.repository}@{digest}")
        assert done.returncode == 0, done.stderr
        (said,) = payloads(done.stdout)
        document = json.loads(blob_of(image.registry, attached[media_type]))
        plain = document["predicate"] if media_type == IN_TOTO else document
        assert said["subject"] == [{"digest": {"sha256": digest.partition(":")[2]}}]
        assert said["predicate"] == plain


@IN_ONE
def test_a_bundle_verifies_without_a_registry(image: SignedImage) -> None:
    home, digest = image.terminal.directory, image.platforms[0]
    bundles = [e for e in entries(image.registry, digest) if e["artifactType"] == BUNDLE]
    (home / "bundle.json").write_bytes(blob_of(image.registry, bundles[1]))
    (home / "manifest.json").write_bytes(image.registry.manifests[REPOSITORY, digest][1])
    (home / "other.json").write_text("{}")
    flags = ("--bundle=bundle.json", "--type=cyclonedx", "--private-infrastructure")
    check = ("verify-blob-attestation", "--key", image.key.public, *flags)
    assert image.cosign(*check, "manifest.json").returncode == 0
    assert image.cosign(*check, "other.json").returncode == 1


def test_oras_and_cosign_list_it_by_what_it_is(image: SignedImage) -> None:
    one = f"{image.repository}@{image.platforms[0]}"
    listed = image.oras("discover", "--plain-http", "--format=json", one)
    found = [each["artifactType"] for each in json.loads(listed.stdout)["referrers"]]
    assert of_ours(found) == [CYCLONEDX, SPDX, IN_TOTO, *[BUNDLE] * 4]
    tree = image.cosign("tree", "--allow-insecure-registry", one)
    assert tree.returncode == 0, tree.stderr
    assert CYCLONEDX in tree.stdout
    on_index = image.oras("discover", "--plain-http", "--format=json", image.reference)
    kinds = [each["artifactType"] for each in json.loads(on_index.stdout)["referrers"]]
    assert set(of_ours(kinds)) == {IN_TOTO, BUNDLE}  # in an order that cosign had a hand in


def of_ours(kinds: list[str]) -> list[str]:
    """Without what cosign signs in another test: it lists that by the type of its configuration."""
    return [kind for kind in kinds if kind != "application/vnd.oci.empty.v1+json"]


@IN_ONE
def test_a_copy_by_oras_verifies(image: SignedImage) -> None:
    to = f"{image.registry.registry}/copies/web"
    flags = ("--from-plain-http", "--to-plain-http")
    done = image.oras("cp", "--recursive", *flags, image.reference, f"{to}:1.0")
    assert done.returncode == 0, done.stderr
    checked = image.verify(["verify"], f"{to}@{image.digest}")
    assert checked.returncode == 0, checked.stderr
    ours = image.terminal.run("verify", f"{to}:1.0", "--key", str(image.key.public))
    assert ours.returncode == 0, ours.stdout + ours.stderr


@IN_ONE
def test_crane_finds_the_image_as_it_was(image: SignedImage) -> None:
    done = tool("crane", "validate", "--insecure", "--remote", image.reference, home=Path("/"))
    assert done.returncode == 0, done.stderr


@IN_ONE
def test_what_cosign_signs_beside_it_is_kept_and_read(image: SignedImage) -> None:
    home = image.terminal.directory
    if not (home / "cosign.key").exists():
        assert image.cosign("generate-key-pair").returncode == 0
    assert image.cosign("signing-config", "create", "--out=none.json").returncode == 0
    flags = ("--key=cosign.key", "--signing-config=none.json", "--allow-insecure-registry", "-y")
    signed = image.cosign("sign", *flags, image.reference)
    assert signed.returncode == 0, signed.stderr
    again = image.terminal.run("sign", image.reference, f"--sign-key={image.key.secret}")
    assert again.returncode == 0, again.stderr
    for key in (home / "cosign.pub", image.key.public):
        assert image.verify(["verify"], image.reference, key).returncode == 0
        done = image.terminal.run("verify", image.reference, "--key", str(key))
        assert done.returncode == 0, done.stdout + done.stderr


@IN_ONE
def test_cosign_signs_what_a_push_prints(image: SignedImage) -> None:
    home = image.terminal.directory
    to = f"{image.registry.registry}/plain/web:1.0"
    pushed = image.terminal.run("build", ".#app", "--push", to)
    assert pushed.returncode == 0, pushed.stderr
    assert image.cosign("signing-config", "create", "--out=no.json").returncode == 0
    if not (home / "cosign.key").exists():
        assert image.cosign("generate-key-pair").returncode == 0
    flags = ("--key=cosign.key", "--signing-config=no.json", "--allow-insecure-registry", "-y")
    signed = image.cosign("sign", *flags, pushed.stdout.strip())
    assert signed.returncode == 0, signed.stderr
    ours = image.terminal.run("verify", to, "--key", str(home / "cosign.pub"))
    assert ours.returncode == 0, ours.stdout + ours.stderr

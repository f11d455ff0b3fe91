"""What verifiers make of a signature that know no bundles: cosign 2, and the policy of podman."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.signed_image import SignedImage, signed_image, tool
from support.signing import KeyPair
from support.terminal import Completed
from support.tools import require

pytestmark = pytest.mark.verifiers


@pytest.fixture(scope="module", params=["P-256", "ed25519"])
def image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SignedImage]:
    """Signed with a key of each kind."""
    require("cosign", "skopeo", "openssl")
    with signed_image(tmp_path_factory.mktemp("signed"), has_api=False, kind=request.param) as made:
        yield made


def test_cosign_2_verifies_the_index_and_each_image(image: SignedImage) -> None:
    for digest in (image.digest, *image.platforms):
        done = image.verify(["verify"], f"{image.repository}@{digest}")
        assert done.returncode == 0, done.stderr
    other = KeyPair.make(image.terminal.directory, "other")
    assert image.verify(["verify"], image.reference, other.public).returncode != 0


def copied(image: SignedImage, key: Path, source: str) -> Completed:
    """`skopeo copy` where only what the key signed is taken, as podman and CRI-O do."""
    home = image.terminal.directory
    signed = {
        "type": "sigstoreSigned",
        "keyPath": str(key),
        "signedIdentity": {"type": "matchRepository"},
    }
    place = {image.registry.registry: [signed]}
    policy = {"default": [{"type": "reject"}], "transports": {"docker": place}}
    (home / "policy.json").write_text(json.dumps(policy))
    (home / "registries.d").mkdir(exist_ok=True)
    uses = f"docker: {{'{image.registry.registry}': {{use-sigstore-attachments: true}}}}\n"
    (home / "registries.d/here.yaml").write_text(uses)
    flags = ("--policy=policy.json", "--registries.d=registries.d", "--override-arch=amd64")
    to = f"dir:{home}/copy"
    return tool("skopeo", *flags, "copy", "--src-tls-verify=false", source, to, home=home)


def test_the_policy_of_podman_takes_what_is_signed_and_nothing_else(image: SignedImage) -> None:
    source = f"docker://{image.repository}:1.0"
    done = copied(image, image.key.public, source)
    assert done.returncode == 0, done.stderr
    other = KeyPair.make(image.terminal.directory, "another")
    assert copied(image, other.public, source).returncode != 0
    plain = f"{image.registry.registry}/plain:1.0"
    assert image.terminal.run("build", ".#app", "--push", plain).returncode == 0
    refused = copied(image, image.key.public, f"docker://{plain}")
    assert refused.returncode != 0
    assert "signature was required" in refused.stderr

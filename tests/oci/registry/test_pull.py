"""Reading an image where it is, in a registry."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakeregistry import CANARY, Action, Exchange, answer, cut, error
from support.pushing import ALICE, REPOSITORY, Desk
from support.smallimage import write_index

from nix2oci.errors import AuthenticationError, ConfigError, LayoutError, RegistryError
from nix2oci.oci.layout.archive import chunks
from nix2oci.oci.layout.source import ImageSource, Layout, open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.pull import open_remote
from nix2oci.oci.spec import Descriptor, Digest, Platform
from nix2oci.oci.validate.check_image import validate

BLOB = r"/blobs/sha256:"


def opened(desk: Desk, text: str = "1.0") -> Layout:
    separator = "@" if text.startswith("sha256:") else ":"
    name = f"{desk.host or desk.registry.registry}/{REPOSITORY}{separator}{text}"
    return open_remote(Reference.parse(name), Clients(desk.access()))


def read(source: ImageSource, layer: Descriptor) -> bytes:
    with source.blobs.open(layer.digest) as file:
        return b"".join(chunks(file))


def pushed(desk: Desk) -> ImageSource:
    """The image as it is on disk, once the registry has it too."""
    desk.push()
    desk.registry.seen.clear()
    return desk.layout.image()


def test_an_image_is_read_by_its_tag(desk: Desk) -> None:
    local = pushed(desk)
    remote = opened(desk).image()
    assert remote.manifest() == local.manifest()
    assert remote.config() == local.config()
    assert [read(remote, layer) for layer in remote.layers()] == [
        read(local, layer) for layer in local.layers()
    ]
    assert remote.where == f"{desk.registry.registry}/{REPOSITORY}:1.0"


def test_an_image_is_read_by_its_digest(desk: Desk) -> None:
    local = pushed(desk)
    remote = opened(desk, str(local.descriptor.digest)).image()
    assert remote.manifest() == local.manifest()


def test_a_reference_without_a_tag_means_latest(desk: Desk) -> None:
    reference = Reference(REPOSITORY, desk.registry.registry)
    with pytest.raises(RegistryError) as caught:
        open_remote(reference, Clients(desk.access()))
    assert str(caught.value) == (
        f"cannot read image at {desk.registry.registry}/{REPOSITORY}:latest: "
        f"GET http://{desk.registry.registry}/v2/{REPOSITORY}/manifests/latest "
        "answered 404: MANIFEST_UNKNOWN: manifest_unknown"
    )


def test_an_image_in_a_registry_is_validated_like_any_other(desk: Desk) -> None:
    local = pushed(desk)
    assert validate(opened(desk).image(), 4) == validate(local, 4)


def test_an_image_of_an_index_is_chosen_by_platform(desk: Desk, tmp_path: Path) -> None:
    from nix2oci.oci.registry.push import push  # noqa: PLC0415
    from nix2oci.oci.registry.push_set import read_push_set  # noqa: PLC0415

    layout, _ = open_layout(str(write_index(tmp_path)))
    push(read_push_set(layout), layout.blobs, desk.reference(), Clients(desk.access()))
    remote = opened(desk)
    arm = remote.image(platform=Platform("arm64"))
    assert arm.config().platform.architecture == "arm64"
    assert remote.image(platform=Platform("amd64")).config().platform.architecture == "amd64"
    with pytest.raises(ConfigError) as caught:
        remote.image(platform=Platform("s390x"))
    assert str(caught.value).endswith("0 of its 2 images are for linux/s390x")


def test_the_size_of_a_blob_is_asked_for(desk: Desk) -> None:
    local = pushed(desk)
    remote = opened(desk).image()
    for descriptor in (*local.layers(), local.descriptor):
        assert remote.blobs.size(descriptor.digest) == descriptor.size
    assert remote.blobs.size(Digest.of(b"nothing")) is None


def test_a_blob_that_is_missing_is_an_error_of_the_image(desk: Desk) -> None:
    local = pushed(desk)
    remote = opened(desk).image()
    digest = local.layers()[0].digest
    del desk.registry.blobs[REPOSITORY, str(digest)]
    with pytest.raises(LayoutError) as caught:
        remote.read(digest)
    assert str(caught.value) == (
        f"cannot read image at {desk.registry.registry}/{REPOSITORY}:1.0: there is no blob {digest}"
    )


# --- what does not come as it should -----------------------------------------------------------


def half(desk: Desk) -> Action:
    """Half of what was asked for, and no more."""

    def act(exchange: Exchange) -> None:
        digest = exchange.path.rpartition("/")[2]
        data = desk.registry.blobs[REPOSITORY, digest]
        exchange.handler.send_response(200)
        exchange.handler.send_header("Content-Length", str(len(data)))
        exchange.handler.end_headers()
        exchange.handler.wfile.write(data[: len(data) // 2])
        exchange.cut()

    return act


@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_that_stops_in_the_middle_is_gone_on_with(desk: Desk, ranges: bool) -> None:  # noqa: FBT001
    local = pushed(desk)
    remote = opened(desk).image()
    layer = local.layers()[0]
    desk.registry.script("GET", BLOB, half(desk))
    if not ranges:
        data = desk.registry.blobs[REPOSITORY, str(layer.digest)]
        desk.registry.script("GET", BLOB, answer(200, data))
    assert read(remote, layer) == read(local, layer)
    again = desk.registry.seen[-1].headers
    assert again["range"] == f"bytes={layer.size // 2}-"


@pytest.mark.parametrize(
    "fault", [answer(429, b"", retry_after="1"), answer(503), cut], ids=["429", "503", "closed"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/manifests/"), ("GET", BLOB)])
def test_a_fault_that_passes_is_survived(desk: Desk, method: str, path: str, fault: Action) -> None:
    local = pushed(desk)
    desk.registry.script(method, path, fault)
    remote = opened(desk).image()
    assert remote.config() == local.config()


def test_a_blob_with_other_bytes_is_an_error(desk: Desk) -> None:
    local = pushed(desk)
    remote = opened(desk).image()
    digest = local.layers()[0].digest
    desk.registry.blobs[REPOSITORY, str(digest)] = b"other"
    with pytest.raises(RegistryError) as caught:
        remote.read(digest)
    assert str(caught.value) == (
        f"cannot read image at {desk.registry.registry}/{REPOSITORY}:1.0: "
        f"it sent other bytes than those of {digest}"
    )


@pytest.mark.parametrize("by_digest", [True, False])
def test_a_manifest_with_other_bytes_is_an_error(desk: Desk, by_digest: bool) -> None:  # noqa: FBT001
    digest = str(pushed(desk).descriptor.digest)
    headers: dict[str, str] = {} if by_digest else {"docker_content_digest": digest}
    desk.registry.script("GET", "/manifests/", answer(200, b"{}", **headers))
    with pytest.raises(RegistryError) as caught:
        opened(desk, digest if by_digest else "1.0")
    assert str(caught.value).endswith(f"it sent {Digest.of(b'{}')} when it was asked for {digest}")


def test_a_manifest_that_never_ends_is_an_error(desk: Desk) -> None:
    desk.registry.script("GET", "/manifests/", answer(200, b" " * (17 << 20)))
    with pytest.raises(RegistryError) as caught:
        opened(desk)
    assert str(caught.value).endswith(f"the manifest 1.0 has more than {16 << 20} bytes")


def test_what_is_no_manifest_is_an_error(desk: Desk) -> None:
    desk.registry.script("GET", "/manifests/", answer(200, b"<html>", content_type="text/html"))
    with pytest.raises(LayoutError) as caught:
        opened(desk).image().manifest()
    assert str(caught.value).endswith("it is not JSON")


def test_someone_who_may_not_read_is_told(desk: Desk) -> None:
    desk.registry.script("GET", "/manifests/", error(403, "DENIED"))
    with pytest.raises(AuthenticationError):
        opened(desk)


def test_a_blob_may_lie_at_another_host_which_does_not_learn_who_we_are(desk: Desk) -> None:
    local = pushed(desk)
    desk.host, desk.account, desk.registry.auth = "registry.example", ALICE, "basic"

    def away(exchange: Exchange) -> None:
        if exchange.seen.host == "registry.example" and exchange.seen.authorization:
            target = f"http://storage.example{exchange.path}?X-Amz-Signature={CANARY}"
            exchange.answer(307, {"Location": target})
        elif exchange.seen.host == "storage.example":
            data = desk.registry.blobs[REPOSITORY, exchange.path.rpartition("/")[2]]
            exchange.answer(200, {}, data)
        else:
            exchange.proceed()

    desk.registry.script("GET", BLOB, away, always=True)
    remote = opened(desk).image()
    assert remote.config() == local.config()
    there = [s for s in desk.registry.seen if s.host == "storage.example"]
    assert [s.authorization for s in there] == [None]


def test_only_the_right_to_read_is_asked_for(desk: Desk) -> None:
    pushed(desk)
    desk.account, desk.registry.auth = ALICE, "bearer"
    opened(desk)
    (token,) = [s for s in desk.registry.seen if s.path == "/token"]
    assert token.query.endswith("scope=repository:team/web:pull")


@pytest.mark.parametrize(
    ("text", "host", "shown"),
    [
        ("app", "registry-1.docker.io", "docker.io/library/app"),
        ("docker.io/app", "registry-1.docker.io", "docker.io/library/app"),
        ("team/app", "registry-1.docker.io", "docker.io/team/app"),
        ("index.docker.io/team/app", "registry-1.docker.io", "docker.io/team/app"),
        ("ghcr.io/app", "ghcr.io", "ghcr.io/app"),
    ],
)
def test_docker_hub_is_what_everybody_means(text: str, host: str, shown: str) -> None:
    from nix2oci.oci.registry.repository import Repository  # noqa: PLC0415

    place = Repository.of(Reference.parse(text))
    assert (place.host, str(place)) == (host, shown)

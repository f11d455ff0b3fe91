"""Pushing an image to a registry that keeps the specification."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Barrier, Event

import pytest
from support.fakeregistry import Exchange, answer, cut, error, proceed
from support.pushing import ALICE, REPOSITORY, Desk
from support.smallimage import STORE_LAYER, VIEW_LAYER, SmallImage, write_index

from nix2oci.errors import ConfigError, LayoutError, OutputError, RegistryError
from nix2oci.oci.layout.source import open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.push import push
from nix2oci.oci.registry.push_set import read_push_set
from nix2oci.oci.spec import INDEX, MANIFEST

UPLOADS = r"/blobs/uploads/"


def test_an_image_arrives_whole(desk: Desk) -> None:
    pushed = desk.push()
    digest = desk.cargo.documents[-1].descriptor.digest
    assert str(pushed) == f"{desk.registry.registry}/{REPOSITORY}@{digest}"
    assert desk.is_complete()
    assert list(pushed.outcomes.values()) == ["sent", "sent", "sent"]
    assert sum(desk.moved) == desk.cargo.size


def test_what_refers_comes_after_what_it_refers_to(desk: Desk) -> None:
    desk.push(jobs=4)
    digest = str(desk.cargo.documents[-1].descriptor.digest)
    puts = desk.registry.calls("PUT")
    assert [path.rpartition("/")[2] for path in puts[-2:]] == [digest, "1.0"]
    assert all(UPLOADS in path for path in puts[:-2])


def test_a_second_push_sends_no_blob(desk: Desk) -> None:
    desk.push()
    desk.registry.seen.clear()
    pushed = desk.push()
    assert set(pushed.outcomes.values()) == {"there"}
    assert desk.registry.calls("POST|PATCH") == []
    assert sum(len(s.body) for s in desk.registry.seen if UPLOADS in s.path) == 0


def test_a_push_that_was_cut_off_goes_on_where_it_ended(desk: Desk) -> None:
    desk.registry.script("PUT", UPLOADS, proceed)
    desk.registry.script("PUT", UPLOADS, cut, always=True)
    with pytest.raises(RegistryError):
        desk.push()
    assert desk.registry.tags() == set()
    desk.registry.rules.clear()
    desk.registry.seen.clear()
    pushed = desk.push()
    assert list(pushed.outcomes.values()) == ["there", "sent", "sent"]
    assert desk.is_complete()


def test_a_layer_that_is_there_twice_is_sent_once(desk: Desk, tmp_path: Path) -> None:
    image = SmallImage(layers=(STORE_LAYER, STORE_LAYER, VIEW_LAYER))
    twice = Desk.make(tmp_path / "twice", desk.registry, image)
    twice.push(jobs=8)
    assert len(desk.registry.calls("PUT", UPLOADS)) == 3
    assert twice.is_complete()


def test_several_blobs_are_on_their_way_at_once(desk: Desk) -> None:
    together = Barrier(2, timeout=20)

    def meet(exchange: Exchange) -> None:
        together.wait()
        exchange.proceed()

    desk.registry.script("PUT", UPLOADS, meet, meet)
    desk.push(jobs=2)
    assert desk.is_complete()


def test_not_more_blobs_than_asked_for_are_on_their_way(desk: Desk) -> None:
    second = Event()

    def alone(exchange: Exchange) -> None:
        assert not second.wait(0)
        second.set()
        exchange.proceed()
        second.clear()

    desk.registry.script("PUT", UPLOADS, alone, alone, alone)
    desk.push(jobs=1)
    assert desk.is_complete()


@pytest.mark.parametrize("auth", ["", "basic", "bearer"])
def test_a_connection_is_kept_from_one_request_to_the_next(desk: Desk, auth: str) -> None:
    desk.registry.auth, desk.account = auth, ALICE
    desk.push()
    desk.push()
    assert desk.registry.connections == 2


def test_an_index_comes_after_its_images(desk: Desk, tmp_path: Path) -> None:
    layout = write_index(tmp_path)
    push_set = read_push_set(open_layout(str(layout))[0])
    kinds = [document.descriptor.media_type for document in push_set.documents]
    assert kinds == [MANIFEST, MANIFEST, INDEX]
    push(push_set, open_layout(str(layout))[0].blobs, desk.reference(), Clients(desk.access()))
    names = [path.rpartition("/")[2] for path in desk.registry.calls("PUT", "/manifests/")]
    assert names == [*(str(d.descriptor.digest) for d in push_set.documents), "1.0"]


# --- taking a blob from another repository ---------------------------------------------------


def test_a_blob_is_taken_from_another_repository(desk: Desk) -> None:
    for digest in desk.blobs[:2]:
        desk.registry.blobs["team/base", digest] = b"there"
    pushed = desk.push(mount_from=("team/base",))
    assert list(pushed.outcomes.values()) == ["mounted", "mounted", "sent"]
    assert len(desk.registry.calls("PUT", UPLOADS)) == 1
    assert sum(desk.moved) == desk.cargo.size


def test_a_session_that_is_answered_to_a_mount_is_used(desk: Desk) -> None:
    desk.push(mount_from=("team/base",))
    assert len(desk.registry.calls("POST", UPLOADS)) == 3
    assert desk.is_complete()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 500])
def test_a_registry_that_does_not_mount_is_asked_only_once(desk: Desk, status: int) -> None:
    desk.registry.auth, desk.account = "basic", ALICE
    desk.registry.script("POST", UPLOADS, proceed, error(status, "UNSUPPORTED"))
    desk.registry.rules[0].actions.pop(0)
    desk.push(mount_from=("team/base",))
    mounts = [s for s in desk.registry.seen if "mount=" in s.query]
    assert len([s for s in mounts if s.authorization]) == 1
    assert desk.is_complete()


def test_a_registry_that_hangs_on_a_mount_is_asked_only_once(desk: Desk) -> None:
    desk.registry.script("POST", UPLOADS, cut)
    desk.push(mount_from=("team/base",))
    assert len([s for s in desk.registry.seen if "mount=" in s.query]) == 1
    assert desk.is_complete()


def test_the_scope_has_the_other_repository_after_the_own(desk: Desk) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.push(mount_from=("team/base",))
    (token,) = [s for s in desk.registry.seen if s.path == "/token"]
    assert token.query == (
        "service=fake%2C%20registry&scope=repository:team/web:pull%2Cpush"
        "&scope=repository:team/base:pull"
    )


# --- what is refused before anything is sent -------------------------------------------------


def test_a_digest_that_is_not_that_of_the_image_is_refused(desk: Desk) -> None:
    reference = Reference.parse(f"{desk.registry.registry}/a@{desk.blobs[0]}")
    digest = desk.cargo.documents[-1].descriptor.digest
    with pytest.raises(ConfigError) as caught:
        push(desk.cargo, desk.layout.blobs, reference, Clients(desk.access()))
    assert str(caught.value) == f"cannot push to {reference}: the image has digest {digest}"
    assert desk.registry.seen == []


def test_an_image_can_be_pushed_without_a_tag(desk: Desk) -> None:
    digest = desk.cargo.documents[-1].descriptor.digest
    reference = Reference.parse(f"{desk.registry.registry}/{REPOSITORY}@{digest}")
    push(desk.cargo, desk.layout.blobs, reference, Clients(desk.access()))
    assert desk.registry.tags() == set()
    assert (REPOSITORY, str(digest)) in desk.registry.manifests


def test_a_layout_of_several_images_wants_a_tag(tmp_path: Path) -> None:
    root, other = (
        SmallImage(layers=(layer,)).write(tmp_path / str(number))
        for number, layer in enumerate((STORE_LAYER, VIEW_LAYER))
    )
    entries = [json.loads((x / "index.json").read_text())["manifests"][0] for x in (root, other)]
    entries[1]["annotations"] = {"org.opencontainers.image.ref.name": "2.0"}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    with pytest.raises(ConfigError) as caught:
        read_push_set(open_layout(str(root))[0])
    assert str(caught.value) == f"cannot push {root}: it holds 2 images"
    assert caught.value.hint == "name one of its tags after a colon: 1.0, 2.0"


def test_an_image_that_lacks_a_blob_is_refused(desk: Desk, tmp_path: Path) -> None:
    digest = desk.blobs[0]
    (tmp_path / "image/blobs/sha256" / digest[7:]).unlink()
    with pytest.raises(OutputError) as caught:
        _ = desk.cargo
    assert str(caught.value) == f"cannot push {tmp_path / 'image'}: there is no blob {digest}"


def test_a_manifest_that_says_to_be_something_else_is_refused(tmp_path: Path) -> None:
    def lie(manifest: dict[str, object]) -> None:
        manifest["mediaType"] = "text/plain"

    def keep(index: dict[str, list[dict[str, object]]]) -> None:
        index["manifests"][0]["mediaType"] = "application/vnd.oci.image.manifest.v1+json"

    root = SmallImage(manifest=lie, index=keep).write(tmp_path / "image")
    with pytest.raises(LayoutError) as caught:
        read_push_set(open_layout(str(root))[0])
    assert str(caught.value).endswith(
        "has media type 'text/plain', and is listed as 'application/vnd.oci.image.manifest.v1+json'"
    )


def test_a_blob_that_changed_meanwhile_is_never_stored(desk: Desk, tmp_path: Path) -> None:
    push_set, blobs = desk.cargo, desk.layout.blobs
    file = tmp_path / "image/blobs/sha256" / desk.blobs[0][7:]
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(OutputError) as caught:
        push(push_set, blobs, desk.reference(), Clients(desk.access()))
    assert caught.value.exit_code == 8
    assert str(caught.value) == (
        f"cannot push blob {desk.blobs[0]}: its bytes are not those of its digest"
    )
    assert desk.registry.blobs == {}
    assert desk.registry.uploads == {}, "the session was not called off"


def test_a_manifest_that_is_refused_moves_no_tag(desk: Desk) -> None:
    desk.registry.script("PUT", "/manifests/sha256:", answer(400, b"no"))
    with pytest.raises(RegistryError):
        desk.push()
    assert desk.registry.tags() == set()

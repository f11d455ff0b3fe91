"""Manifests about another image, and the list of them where a registry keeps none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakeregistry import Exchange, FakeRegistry, proceed
from support.pushing import REPOSITORY, Desk
from support.smallimage import SmallImage

from nix2oci.errors import RegistryError

INDEX = "application/vnd.oci.image.index.v1+json"
SUBJECT = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:" + 64 * "a",
    "size": 7,
}
TAG = "sha256-" + 64 * "a"
OTHER: dict[str, Any] = {**SUBJECT, "digest": "sha256:" + 64 * "0"}


def about(manifest: dict[str, Any]) -> None:
    manifest["subject"] = SUBJECT
    manifest["artifactType"] = "application/spdx+json"
    manifest["annotations"] = {"a": "b"}


@pytest.fixture
def note(desk: Desk, tmp_path: Path) -> Desk:
    """A manifest about another image, on its way to the registry."""
    return Desk.make(tmp_path / "note", desk.registry, SmallImage(manifest=about))


def put(registry: FakeRegistry, document: Any, kind: str = INDEX) -> None:
    registry.manifests[REPOSITORY, TAG] = (kind, json.dumps(document).encode())


def listed(registry: FakeRegistry) -> list[Any]:
    kind, data = registry.manifests[REPOSITORY, TAG]
    assert kind == INDEX
    entries: list[Any] = json.loads(data)["manifests"]
    return entries


def test_a_registry_that_lists_referrers_is_left_to_it(note: Desk) -> None:
    note.registry.lists_referrers = True
    note.push()
    assert note.registry.tags() == {"1.0"}


def test_a_list_is_begun(note: Desk) -> None:
    note.push()
    described = note.cargo.documents[0].descriptor
    assert listed(note.registry) == [
        {
            "mediaType": described.media_type,
            "digest": str(described.digest),
            "size": described.size,
            "artifactType": "application/spdx+json",
            "annotations": {"a": "b"},
        }
    ]


LAST: dict[str, Any] = {**SUBJECT, "digest": "sha256:" + 64 * "f"}


def test_what_others_listed_stays_as_it_is_and_in_its_order(note: Desk) -> None:
    others = [LAST, {**OTHER, "annotations": {"theirs": "x"}}]
    put(note.registry, {"schemaVersion": 2, "mediaType": INDEX, "manifests": others})
    note.push()
    *before, ours = listed(note.registry)
    assert before == others
    assert ours["digest"] == str(note.cargo.documents[0].descriptor.digest)


def test_a_list_has_nothing_twice(note: Desk) -> None:
    note.push()
    before = note.registry.manifests[REPOSITORY, TAG]
    note.registry.seen.clear()
    note.push()
    assert note.registry.manifests[REPOSITORY, TAG] == before
    assert note.registry.calls("PUT", TAG) == []


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        pytest.param({"layers": []}, "application/vnd.oci.image.manifest.v1+json", id="an image"),
        pytest.param({"manifests": "x"}, INDEX, id="an index that lists nothing"),
        pytest.param({"manifests": [{"digest": "x"}]}, INDEX, id="an index of something else"),
    ],
)
def test_what_is_no_list_is_left_as_it_is(note: Desk, document: Any, kind: str) -> None:
    put(note.registry, document, kind)
    before = note.registry.manifests[REPOSITORY, TAG]
    with pytest.raises(RegistryError) as caught:
        note.push()
    assert str(caught.value).endswith(f"tag {TAG} is no list of referrers: it is left as it is")
    assert caught.value.exit_code == 6
    assert note.registry.manifests[REPOSITORY, TAG] == before


def test_a_race_on_the_list_is_won_the_second_time(note: Desk) -> None:
    def overtaken(exchange: Exchange) -> None:
        exchange.proceed()
        put(note.registry, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [OTHER]})

    note.registry.script("PUT", TAG, overtaken)
    note.push()
    assert len(listed(note.registry)) == 2


def test_a_race_on_the_list_that_is_always_lost_is_an_error(note: Desk) -> None:
    def overtaken(exchange: Exchange) -> None:
        exchange.proceed()
        put(note.registry, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [OTHER]})

    note.registry.script("PUT", TAG, overtaken, always=True)
    with pytest.raises(RegistryError) as caught:
        note.push()
    assert str(caught.value).endswith(
        f"the list of referrers, tag {TAG}, is written by others all the time"
    )


def test_the_state_that_was_read_is_a_condition_where_a_registry_offers_it(note: Desk) -> None:
    def with_etag(exchange: Exchange) -> None:
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
        exchange.answer(200, {"Content-Type": INDEX, "ETag": '"1"'}, body)

    note.registry.script("GET", TAG, with_etag, proceed)
    note.push()
    (written,) = [s for s in note.registry.seen if s.method == "PUT" and TAG in s.path]
    assert written.headers["if-match"] == '"1"'

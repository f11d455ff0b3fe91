"""The clients of a run: what those of one registry have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fakeregistry import FakeRegistry, error
from support.fakeserver import running
from support.pushing import ALICE, Desk

from nix2oci.errors import AuthenticationError
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.push import Pushed, push
from nix2oci.oci.registry.repository import Repository

NAMES = ("team/a", "team/b", "team/c")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running(FakeRegistry()) as registry:
        yield Desk.make(tmp_path / "image", registry)


def push_all(desk: Desk, clients: Clients, *before: str) -> list[Counter[str]]:
    """One image to several repositories: what became of its blobs in each."""

    def one(name: str, others: tuple[str, ...]) -> Pushed:
        to = Reference(name, desk.registry.registry, "1.0")
        return push(desk.cargo, desk.layout.blobs, to, clients, mount_from=others)

    pushed = [one(name, (*before, *NAMES[:number])) for number, name in enumerate(NAMES)]
    return [Counter(each.outcomes.values()) for each in pushed]


def test_repositories_of_a_registry_share_connections(desk: Desk) -> None:
    push_all(desk, Clients(desk.access()))
    assert desk.registry.connections == 1


@pytest.mark.parametrize("auth", ["", "basic", "bearer"])
def test_a_blob_is_taken_from_the_repository_that_has_it(desk: Desk, auth: str) -> None:
    """Others that come before it in the list are not asked: they would answer with an upload."""
    desk.registry.auth, desk.account = auth, ALICE
    blobs = len(desk.blobs)
    outcomes = push_all(desk, Clients(desk.access()), "team/empty")
    assert outcomes == [{"sent": blobs}, {"mounted": blobs}, {"mounted": blobs}]
    asked = {seen.query for seen in desk.registry.seen if "mount=" in seen.query}
    assert {query.partition("from=")[2] for query in asked} == {"team/empty", "team/a"}


def test_what_a_run_knows_is_of_one_registry(desk: Desk) -> None:
    clients = Clients(desk.access())
    push_all(desk, clients)
    (digest, *_) = (blob.digest for blob in desk.cargo.blobs)
    assert clients.holder(desk.repository, digest) == "team/a"
    elsewhere = Repository("r.example", "team/a")
    assert clients.holder(elsewhere, digest) is None


def test_a_push_that_was_refused_does_not_end_the_next_one_to_the_repository(desk: Desk) -> None:
    clients = Clients(desk.access(jobs=2))
    desk.registry.script("PUT", "/blobs/uploads/", error(403, "DENIED"))
    with pytest.raises(AuthenticationError):
        push(desk.cargo, desk.layout.blobs, desk.reference(), clients)
    push(desk.cargo, desk.layout.blobs, desk.reference(), clients)
    assert desk.is_complete()

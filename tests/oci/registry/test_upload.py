"""Getting one blob into a repository, by whichever way it takes."""

from __future__ import annotations

import errno
import io
import os
import re
from pathlib import Path

import pytest
from support.badline import BadLine, bad_line
from support.fakeregistry import (
    Action,
    Exchange,
    FakeRegistry,
    answer,
    cut,
    cut_after,
    cut_and_keep,
    error,
    proceed,
)
from support.fakeserver import running
from support.pushing import REPOSITORY, Desk
from support.smallimage import Layer, SmallImage, entry, tar

from nix2oci.errors import OutputError, RegistryError
from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.push import push
from nix2oci.oci.registry.upload import Uploader
from nix2oci.oci.spec import Digest

UPLOADS = r"/blobs/uploads/"
SESSION = r"/blobs/uploads/."
BLOB = r"/blobs/sha256:"


class BadDisk:
    """The blobs of a layout, of which one is read for a while, and then no more."""

    def __init__(self, blobs: Blobs, bad: str) -> None:
        self.blobs, self.bad = blobs, bad

    def size(self, digest: Digest) -> int | None:
        return self.blobs.size(digest)

    def open(self, digest: Digest) -> Readable:
        if str(digest) != self.bad:
            return self.blobs.open(digest)
        with self.blobs.open(digest) as file:
            return Fading(file.read())


class Fading(io.BytesIO):
    """A file whose first ten bytes can be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(10 if size is None else min(size, 10))


def test_a_blob_that_cannot_be_read_to_its_end_ends_the_push(desk: Desk) -> None:
    bad = desk.blobs[1]
    with pytest.raises(OutputError) as caught, desk.remembered():
        push(desk.cargo, BadDisk(desk.layout.blobs, bad), desk.reference(), Clients(desk.access()))
    assert str(caught.value) == f"cannot read blob {bad}: Input/output error"
    assert caught.value.exit_code == 8
    assert (REPOSITORY, bad) not in desk.registry.blobs
    assert desk.registry.manifests == {}


@pytest.mark.parametrize("way", ["PATCH", "PUT"])
def test_a_fault_of_the_other_way_to_send_is_survived(desk: Desk, way: str) -> None:
    refused = [answer(405), proceed, proceed]  # the first blob is refused in one PUT
    desk.registry.script("PUT", SESSION, *refused[:1])
    desk.registry.script(way, SESSION, answer(429, b"", retry_after="1"))
    desk.push()
    assert desk.is_complete()


def test_a_connection_that_is_cut_in_the_middle_of_a_blob_is_survived(desk: Desk) -> None:
    desk.registry.script("PUT", SESSION, cut, half=True)
    desk.push()
    assert desk.is_complete()
    assert sum(desk.moved) == desk.cargo.size


@pytest.mark.parametrize("status", [404, 405, 411, 413, 416, 500])
def test_a_registry_that_wants_no_single_put_gets_a_patch(desk: Desk, status: int) -> None:
    def no_body(exchange: Exchange) -> None:
        if exchange.seen.body:
            exchange.error(status, "UNSUPPORTED")
        else:
            exchange.proceed()

    desk.registry.script("PUT", SESSION, no_body, always=True)
    desk.push()
    assert desk.is_complete()
    assert len(desk.registry.calls("PATCH")) == 3
    assert len(desk.registry.calls("PUT", SESSION)) == 4, "it was tried again with each blob"
    assert sum(desk.moved) == desk.cargo.size


def test_a_blob_that_is_lost_between_asking_and_using_is_sent_again(desk: Desk) -> None:
    desk.push()
    lost = desk.blobs[1]
    desk.registry.script("HEAD", BLOB, proceed, answer(200))
    del desk.registry.blobs[REPOSITORY, lost]
    desk.registry.seen.clear()
    desk.push()
    assert desk.is_complete()
    assert len(desk.registry.calls("PUT", SESSION)) == 1


@pytest.mark.parametrize("status", [404, 405, 500, 501])
def test_a_registry_that_cannot_tell_whether_it_has_a_blob_is_sent_it(
    desk: Desk, status: int
) -> None:
    desk.registry.script("HEAD", BLOB, answer(status), always=True)
    desk.push()
    assert desk.is_complete()


def test_a_blob_of_another_size_is_not_the_one(desk: Desk) -> None:
    desk.registry.script("HEAD", BLOB, answer(200, b"short"))
    desk.push()
    assert desk.is_complete()


def test_a_digest_that_is_refused_once_is_sent_again(desk: Desk) -> None:
    desk.registry.script("PUT", SESSION, error(400, "DIGEST_INVALID"))
    desk.push()
    assert desk.is_complete()


def test_a_blob_that_was_stored_before_the_connection_broke_is_not_sent_again(desk: Desk) -> None:
    desk.registry.script("PUT", SESSION, cut_after)
    assert set(desk.push().outcomes.values()) == {"sent"}
    assert len(desk.registry.calls("PUT", SESSION)) == 3
    assert desk.is_complete()


def test_an_answer_that_comes_while_a_blob_is_sent_is_read(desk: Desk) -> None:
    desk.registry.script("PUT|PATCH", SESSION, answer(413, b"too large"), half=True, always=True)
    with pytest.raises(RegistryError) as caught:
        desk.push()
    # Its words may be lost with the connection, its status is not.
    assert re.search("answered 413(: too large)?, for a blob of ", str(caught.value))


def test_what_a_failed_push_opened_is_called_off(desk: Desk) -> None:
    desk.registry.script("PUT|PATCH", SESSION, answer(403), always=True)
    with pytest.raises(RegistryError):
        desk.push(jobs=3)
    assert desk.registry.uploads == {}


# --- lines that are cut, and bodies that are too large --------------------------------------------

LARGE = 40 << 20
"""Bytes of a layer that is worth sending in pieces after it broke."""


def large() -> SmallImage:
    return SmallImage(layers=(Layer(os.urandom(LARGE), pack=bytes, suffix=""),))


@pytest.mark.parametrize("resumes", [True, False])
def test_a_large_blob_arrives_over_a_line_that_is_cut(tmp_path: Path, resumes: bool) -> None:  # noqa: FBT001
    """A registry that cannot continue gets pieces, each over a connection of its own."""
    with running(FakeRegistry(resumes=resumes)) as registry:
        line = BadLine(registry.registry, cut_every=LARGE // 3 + 12345, each=not resumes)
        with bad_line(line):
            desk = Desk.make(tmp_path / "image", registry, large())
            desk.address = line.address
            desk.push()
        assert desk.is_complete()
        assert line.cuts >= (2 if resumes else 1)
        assert line.sent < (1.1 if resumes else 1.4) * LARGE
        assert sum(desk.moved) == desk.cargo.size


def test_what_the_registry_has_is_not_sent_again(desk: Desk) -> None:
    desk.registry.script("PUT", SESSION, cut_and_keep, half=True)
    desk.push()
    assert desk.is_complete()
    size = desk.cargo.blobs[0].size
    (rest,) = [s for s in desk.registry.seen if s.method == "PATCH"]
    assert rest.headers["content-range"] == f"{size // 2}-{size - 1}"
    assert len(rest.body) == size - size // 2
    assert sum(desk.moved) == desk.cargo.size


@pytest.mark.parametrize(
    "answered",
    [
        pytest.param(answer(404), id="it knows nothing of it"),
        pytest.param(answer(204), id="it does not say how much"),
        pytest.param(answer(204, b"", range="0-99999999"), id="it has more than there is"),
        pytest.param(answer(204, b"", range="bytes"), id="nonsense"),
        pytest.param(answer(405), id="it is not to be asked"),
        pytest.param(answer(500), id="it fails"),
    ],
)
def test_an_upload_that_cannot_continue_begins_again(desk: Desk, answered: Action) -> None:
    desk.registry.script("PUT", SESSION, cut_and_keep, half=True)
    desk.registry.script("GET", SESSION, answered)
    desk.push()
    assert desk.is_complete()
    assert sum(desk.moved) == desk.cargo.size


def test_a_registry_that_has_other_bytes_than_it_says_gets_all_of_them(desk: Desk) -> None:
    """416 to a piece: it is somewhere else."""
    desk.registry.script("PUT", SESSION, cut_and_keep, half=True)
    desk.registry.script("GET", SESSION, answer(204, b"", range="0-7"))
    desk.push()
    assert desk.is_complete()


@pytest.mark.parametrize("limit", [100_000, 1 << 20])
def test_a_body_that_is_too_large_goes_in_pieces(tmp_path: Path, limit: int) -> None:
    size = 3 << 20
    image = SmallImage(layers=(Layer(os.urandom(size), pack=bytes, suffix=""),))
    with running(FakeRegistry()) as registry:
        desk = Desk.make(tmp_path / "image", registry, image)
        registry.script("PUT|PATCH", SESSION, no_more_than(limit), always=True)
        desk.push()
        assert desk.is_complete()
        pieces = [s for s in registry.seen if s.method == "PATCH" and len(s.body) <= limit]
        assert len(pieces) >= size / limit
        assert sum(desk.moved) == desk.cargo.size


def no_more_than(limit: int) -> Action:
    def act(exchange: Exchange) -> None:
        if len(exchange.seen.body) > limit:
            exchange.answer(413, {}, b"<html>413 Request Entity Too Large</html>")
        else:
            exchange.proceed()

    return act


@pytest.mark.parametrize("seed", range(3))
def test_an_image_arrives_over_a_line_that_loses_requests(tmp_path: Path, seed: int) -> None:
    layers = [Layer(tar(entry(f"f{n}", os.urandom(100)))) for n in range(10)]
    with running(FakeRegistry()) as registry:
        with bad_line(BadLine(registry.registry, lost=1 / 3, seed=seed)) as line:
            desk = Desk.make(tmp_path / "image", registry, SmallImage(layers=layers))
            desk.address = line.address
            desk.push(jobs=4)
        assert desk.is_complete()
        assert line.cuts > 0
        assert sum(desk.time.waited) < 300


def test_storage_that_forbids_to_ask_gets_the_blob(desk: Desk) -> None:
    desk.registry.script("HEAD", BLOB, answer(403), always=True)
    desk.push()
    desk.push()
    assert desk.is_complete()


def check_allowed(desk: Desk) -> None:
    """Ask whether we may push, as the first of all requests."""
    client = Clients(desk.access()).of(desk.repository, push=True)
    client.meet(by=Uploader(client, desk.layout.blobs).check_allowed)


def test_a_session_that_cannot_be_called_off_is_no_error(desk: Desk) -> None:
    desk.registry.script("DELETE", SESSION, answer(405), always=True)
    check_allowed(desk)
    assert desk.registry.calls("DELETE") != []


@pytest.mark.parametrize("status", [405, 500, 503])
def test_a_registry_that_cannot_tell_whether_we_may_push_is_believed(
    desk: Desk, status: int
) -> None:
    desk.registry.script("POST", UPLOADS, answer(status))
    check_allowed(desk)
    assert desk.time.waited == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_registry_that_does_not_let_us_push_says_so_at_once(desk: Desk, status: int) -> None:
    desk.registry.script("POST", UPLOADS, error(status, "DENIED"))
    with pytest.raises(RequestError) as caught:
        check_allowed(desk)
    assert caught.value.status in {status, None}

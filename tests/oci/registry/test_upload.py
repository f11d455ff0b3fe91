"""Getting one blob into a repository, by whichever way it takes."""

from __future__ import annotations

import errno
import io
import os
import re

import pytest
from support.fakeregistry import Exchange, answer, cut, cut_after, error, proceed
from support.pushing import REPOSITORY, Desk

from nix2oci.errors import OutputError, RegistryError
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.registry.push import push
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
        push(desk.cargo, BadDisk(desk.layout.blobs, bad), desk.reference(), desk.access())
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

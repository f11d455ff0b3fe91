"""A binary cache that is read without Nix: what is believed of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.fakecache import (
    FakeCache,
    Fault,
    Key,
    endless,
    served,
    status,
)
from support.fakestore import nar, store_path
from support.readcache import APP, LIBRARY, failure, made, opened

from nix2oci.model.closure import StorePath

STRANGER = Key("stranger-1")


@pytest.fixture
def cache(tmp_path: Path) -> FakeCache:
    return made(tmp_path / "cache")


# --- what is wrong: the path is named -------------------------------------------------------------


def signed_again(path: StorePath, **changes: str) -> Callable[[FakeCache], None]:
    def change(cache: FakeCache) -> None:
        for name, value in changes.items():
            cache.edit(path, name, value)
        cache.sign(path)

    return change


def edited(path: StorePath, **changes: str) -> Callable[[FakeCache], None]:
    def change(cache: FakeCache) -> None:
        for name, value in changes.items():
            cache.edit(path, name, value)

    return change


def with_other_nar(data: bytes) -> Callable[[FakeCache], None]:
    def change(cache: FakeCache) -> None:
        cache.edit(LIBRARY, "Compression", "none")
        cache.edit(LIBRARY, "FileSize", "")
        cache.nar_file(LIBRARY).write_bytes(data)

    return change


def swapped(cache: FakeCache) -> None:
    (signature,) = re.findall("Sig: .*", cache.record(APP).read_text())
    text = re.sub("Sig: .*", signature, cache.record(LIBRARY).read_text())
    cache.record(LIBRARY).write_text(text)


def looped(cache: FakeCache) -> None:
    cache.edit(LIBRARY, "References", APP.base)
    cache.sign(LIBRARY)


UNSIGNED = f"no key that is trusted has signed {LIBRARY}"
OTHER_NAR = f"cannot use {LIBRARY}: what URL sends does not match the hash in its record"
WRONG = {
    "a signature of other values": (edited(LIBRARY, NarSize="999"), UNSIGNED),
    "a signature that is spoiled": (
        edited(LIBRARY, Sig=f"cache.test-1:{'A' * 86}=="),
        UNSIGNED,
    ),
    "a signature that is too short": (edited(LIBRARY, Sig="cache.test-1:AAAA"), UNSIGNED),
    "an unknown key": (lambda cache: cache.sign(LIBRARY, STRANGER), UNSIGNED),
    "an unknown key with a known name": (
        lambda cache: cache.edit(
            LIBRARY, "Sig", STRANGER.sign("x").replace("stranger-1", "cache.test-1")
        ),
        UNSIGNED,
    ),
    "a signature for another path": (swapped, UNSIGNED),
    "no signature": (edited(LIBRARY, Sig=""), UNSIGNED),
    "a NAR of another hash": (with_other_nar(nar(b"a lobrary\n")), OTHER_NAR),
    "a NAR that is longer": (
        with_other_nar(nar(b"a library\n" * 20)),
        f"cannot read {LIBRARY} from URL: its NAR is longer than its record says",
    ),
    "a NAR that goes on": (
        with_other_nar(nar(b"a library\n") + b"x"),
        f"cannot read {LIBRARY} from URL: its NAR ",
    ),
    "a NAR that is cut off": (
        with_other_nar(nar(b"a library\n")[:-8]),
        f"cannot read {LIBRARY} from URL: its NAR ends early",
    ),
    "a file that is cut off": (
        lambda cache: cache.nar_file(LIBRARY).write_bytes(
            cache.nar_file(LIBRARY).read_bytes()[:-20]
        ),
        f"cannot read {LIBRARY} from URL: its NAR ends early",
    ),
    "a file that is empty": (
        lambda cache: cache.nar_file(LIBRARY).write_bytes(b""),
        f"cannot read {LIBRARY} from URL: its NAR ends early",
    ),
    "a file that is not compressed": (
        edited(LIBRARY, Compression="bzip2"),
        f"cannot read {LIBRARY} from URL: its NAR is not in the form of bzip2",
    ),
    "a compression that nobody knows": (
        edited(LIBRARY, Compression="arj"),
        f"cannot read {LIBRARY} from URL: its NAR is compressed as 'arj', which is none of xz, ",
    ),
    "a NAR that is not there": (
        lambda cache: cache.nar_file(LIBRARY).unlink(),
        f"cannot read {LIBRARY} from URL: its NAR is not there",
    ),
    "a record of another path": (
        signed_again(LIBRARY, StorePath=str(store_path("library-1.2", salt="2"))),
        f"cannot use {LIBRARY}: its record in URL is of {store_path('library-1.2', salt='2')}",
    ),
    "a record without a NAR hash": (
        edited(LIBRARY, NarHash=""),
        f"cannot use {LIBRARY}: its record in URL has no NarHash",
    ),
    "a record with a hash that is none": (
        edited(LIBRARY, NarHash="md5:abc"),
        f"cannot use {LIBRARY}: its record in URL has a NarHash that is not a SHA-256 hash",
    ),
    "a record with a size that is none": (
        edited(LIBRARY, NarSize="-1"),
        f"cannot use {LIBRARY}: its record in URL has a NarSize that is no size: -1",
    ),
    "a record with a field twice": (
        lambda cache: cache.record(LIBRARY).write_text("NarSize: 1\nNarSize: 2\n"),
        f"cannot use {LIBRARY}: its record in URL has 'NarSize' twice",
    ),
    "a record that is a page": (
        lambda cache: cache.record(LIBRARY).write_text("<html>\n"),
        f"cannot use {LIBRARY}: its record in URL has a line without a name: <html>",
    ),
    "a record without end": (
        lambda cache: cache.record(LIBRARY).write_bytes(bytes(2 << 20)),
        f"cannot read {LIBRARY} from URL",
    ),
    "references that are none": (
        signed_again(APP, References="../etc"),
        f"cannot use {APP}: its record in URL has a reference that is no store path: ../etc",
    ),
    "a reference loop": (looped, "cannot use closure: /nix/store/"),
    "a missing reference": (
        lambda cache: cache.record(LIBRARY).unlink(),
        f"cannot read {LIBRARY}: it is not in URL",
    ),
}


@pytest.mark.parametrize("on_web", [False, True], ids=["a directory", "the web"])
@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_names_the_path(
    cache: FakeCache,
    what: str,
    on_web: bool,  # noqa: FBT001
) -> None:
    change, error = WRONG[what]
    change(cache)
    with served(cache) as web:
        url = web.url if on_web else cache.url
        found = failure(url, cache.key)
    assert error in str(found).replace(url, "URL")
    assert found.exit_code == 4


@pytest.mark.parametrize("url", ["../secret", "/secret", "nar/../../secret", "nar/\0"])
def test_a_record_leads_to_no_file_outside_a_directory(cache: FakeCache, url: str) -> None:
    (cache.directory.parent / "secret").write_bytes(nar(b"a library\n"))
    cache.edit(LIBRARY, "URL", url)
    found = failure(cache.url, cache.key)
    assert str(found).startswith(f"cannot read {LIBRARY} from {cache.url}: its NAR")
    assert found.exit_code == 4


METADATA = "http://169.254.169.254/x"
FAULTS: dict[str, tuple[Fault, int, str]] = {
    "a download without end": (
        endless(f"nar/{LIBRARY.hash_part}"),
        4,
        f"cannot read {LIBRARY} from URL: its NAR is longer than it can be",
    ),
    "a record without end": (
        endless(f"{LIBRARY.hash_part}.narinfo"),
        4,
        f"cannot read {LIBRARY} from URL: {LIBRARY.hash_part}.narinfo is larger than ",
    ),
    "a redirect to a private address": (
        status(f"{LIBRARY.hash_part}.narinfo", 302, Location=METADATA),
        6,
        "it leads to 169.254.169.254, which is not a public address",
    ),
    "a NAR at a private address": (
        status(f"nar/{LIBRARY.hash_part}", 307, Location="http://10.0.0.1/x"),
        6,
        f"cannot read {LIBRARY} from URL: GET URL/nar/{LIBRARY.hash_part}.nar is redirected, and ",
    ),
    "a redirect to itself": (
        status(f"{LIBRARY.hash_part}.narinfo", 302, Location="?again"),
        6,
        "redirected more than 10 times",
    ),
    "a cache that wants to know who asks": (
        status(f"{LIBRARY.hash_part}.narinfo", 401),
        6,
        f"cannot read {LIBRARY} from URL: GET URL/{LIBRARY.hash_part}.narinfo answered 401",
    ),
    "a cache that is out of order": (
        status(f"{LIBRARY.hash_part}.narinfo", 500, Retry_After="0"),
        6,
        f"cannot read {LIBRARY} from URL: GET URL/{LIBRARY.hash_part}.narinfo answered 500 (",
    ),
    "no cache": (
        status("nix-cache-info", 404),
        4,
        "cannot read URL: there is no nix-cache-info",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_cache_that_fails(cache: FakeCache, what: str) -> None:
    fault, code, error = FAULTS[what]
    with served(cache, fault) as web:
        found = failure(web.url, cache.key)
    assert error in str(found).replace(web.url, "URL")
    assert found.exit_code == code


# --- threads --------------------------------------------------------------------------------------


def test_what_nobody_reads_is_called_off(cache: FakeCache, tmp_path: Path) -> None:
    source = opened(cache.url, cache.key)
    closure = source.closure([APP])
    before = set(threading.enumerate())
    with closing(source.nar(closure.infos[APP], str(tmp_path), again=False)) as pieces:
        assert next(pieces) == b""
        assert next(pieces)
    assert set(threading.enumerate()) <= before

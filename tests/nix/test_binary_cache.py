"""A binary cache that is read without Nix: what is believed of it, and a line that is cut."""

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
    closed_early,
    cut,
    endless,
    lost,
    served,
    status,
    without_ranges,
)
from support.fakestore import Node, Program, nar, store_path
from support.pushing import FakeClock

from nix2oci.errors import ConfigError, Nix2OCIError
from nix2oci.model.closure import Closure, StorePath
from nix2oci.nix.binary_cache import BinaryCache
from nix2oci.nix.cache_files import Web
from nix2oci.nix.direct import open_cache
from nix2oci.nix.options import Origin
from nix2oci.nix.remote import remote_store

APP = store_path("app-1.0")
LIBRARY = store_path("library-1.2")
BIG = bytes(range(256)) * 4096
NODE: Node = {b"bin": {b"app": Program(b"\x7fELF a program")}, b"share": {b"big": BIG}}
STRANGER = Key("stranger-1")


@pytest.fixture
def cache(tmp_path: Path) -> FakeCache:
    made = FakeCache(tmp_path / "cache")
    made.add("library-1.2", b"a library\n", compression="xz")
    made.add("app-1.0", NODE, [LIBRARY, APP], "none")
    return made


def opened(url: str, key: Key, clock: FakeClock | None = None, **env: str) -> BinaryCache:
    web = Web(env, (clock or FakeClock()).clock, "test/1", lambda _: None)
    options = ("--option", "trusted-public-keys", key.public)
    return open_cache(Origin(url), {"NIX_CONF_DIR": "/nowhere", **env}, options, web)


def read(source: BinaryCache) -> Closure:
    """All of it, as a build reads it: the graph, then each NAR."""
    closure = source.closure([APP])
    with remote_store(source, closure) as store:
        store.skeleton.materialize()
        assert Path(f"{store.root}{APP}/bin/app").read_bytes() == b"\x7fELF a program"
    return closure


def failure(url: str, cache: FakeCache) -> Nix2OCIError:
    with pytest.raises(Nix2OCIError) as caught:
        read(opened(url, cache.key))
    return caught.value


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
        found = failure(url, cache)
    assert error in str(found).replace(url, "URL")
    assert found.exit_code == 4


@pytest.mark.parametrize("url", ["../secret", "/secret", "nar/../../secret", "nar/\0"])
def test_a_record_leads_to_no_file_outside_a_directory(cache: FakeCache, url: str) -> None:
    (cache.directory.parent / "secret").write_bytes(nar(b"a library\n"))
    cache.edit(LIBRARY, "URL", url)
    found = failure(cache.url, cache)
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
        found = failure(web.url, cache)
    assert error in str(found).replace(web.url, "URL")
    assert found.exit_code == code


# --- a line that is cut ---------------------------------------------------------------------------

SURVIVED: dict[str, list[Fault]] = {
    "every third answer, by chance": [lost(1 / 3)],
    "a NAR that is cut twice": [cut(f"nar/{APP.hash_part}", 300_000, times=2)],
    "a NAR that is cut, of a server without ranges": [
        without_ranges("/nar/"),
        cut(f"nar/{APP.hash_part}", 300_000),
    ],
    "a NAR without a length that ends early": [closed_early(f"nar/{APP.hash_part}", 300_000)],
    "a record that is cut": [cut(".narinfo", 20)],
    "a cache that is busy for a moment": [status("/", 503, times=2, Retry_After="1")],
    "a redirect to another place of it": [
        status(f"nar/{LIBRARY.hash_part}.nar", 302, times=1, Location=f"{LIBRARY.hash_part}.nar?2")
    ],
}


@pytest.mark.parametrize("what", SURVIVED)
def test_what_is_survived(cache: FakeCache, what: str) -> None:
    with served(cache, *SURVIVED[what]) as web:
        assert set(read(opened(web.url, cache.key))) == {APP, LIBRARY}


def test_a_download_goes_on_where_it_was_cut(cache: FakeCache) -> None:
    name = f"/nar/{APP.hash_part}.nar"
    with served(cache, cut(name, 300_000, times=2)) as web:
        read(opened(web.url, cache.key))
        heads = [head for path, head in zip(web.asked, web.headers, strict=True) if path == name]
    assert [head.get("range") for head in heads] == [None, "bytes=300000-", "bytes=600000-"]


def test_a_server_that_begins_again_each_time_is_given_up(cache: FakeCache) -> None:
    with served(cache, cut(f"nar/{APP.hash_part}", 300_000, times=1 << 30, ranges=False)) as web:
        assert failure(web.url, cache).exit_code == 6


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("nar/{name}", id="seen from the cache"),
        pytest.param("/nar/{name}", id="seen from the host"),
        pytest.param("{base}/nar/{name}", id="absolute"),
        pytest.param("nar/{name}?hash=1", id="with a query"),
    ],
)
def test_the_forms_that_urls_of_nars_have(cache: FakeCache, url: str) -> None:
    with served(cache) as web:
        cache.edit(APP, "URL", url.format(base=web.url, name=f"{APP.hash_part}.nar"))
        read(opened(web.url, cache.key))


@pytest.mark.parametrize("url", ["http://[", "ftp://x/y", "//x/y", "http://10.0.0.1/x", "a\x7fb"])
def test_a_record_leads_to_no_other_place_on_the_web(cache: FakeCache, url: str) -> None:
    cache.edit(APP, "URL", url)
    with served(cache) as web:
        found = failure(web.url, cache)
    assert str(found).startswith(f"cannot read {APP} from {web.url}: its NAR cannot be at ")
    assert found.exit_code == 4


@pytest.mark.parametrize("url", ["http://", "http://host:port", "https://["])
def test_what_is_no_address(cache: FakeCache, url: str) -> None:
    with pytest.raises(ConfigError, match="it is no address"):
        opened(url, cache.key)


def test_what_a_nar_is_read_of_again_is_not_asked_for_again(cache: FakeCache) -> None:
    with served(cache) as web:
        source = opened(web.url, cache.key)
        closure = source.closure([APP])
        with remote_store(source, closure) as store:
            store.skeleton.small = 0
            store.skeleton.materialize()
            for _ in range(2):
                assert list(store.entries(closure.infos[APP]))
        assert sorted(web.nars) == sorted(set(web.nars))


# --- who asks -------------------------------------------------------------------------------------


def test_a_password_of_the_address_goes_to_the_cache_alone(cache: FakeCache) -> None:
    with served(cache) as other, served(cache) as web:
        cache.edit(APP, "URL", f"{other.url}/nar/{APP.hash_part}.nar")
        read(opened(f"http://me:secret@{web.host}", cache.key))
    basic = "Basic bWU6c2VjcmV0"
    assert {head.get("authorization") for head in web.headers} == {basic}
    assert {head.get("authorization") for head in other.headers} == {None}


def test_a_password_may_be_in_the_netrc_file_of_nix(cache: FakeCache, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    with served(cache) as web:
        setting = f"netrc-file = {tmp_path}/netrc"
        read(opened(web.url, cache.key, NIX_CONFIG=setting))
    assert {head.get("authorization") for head in web.headers} == {"Basic bWU6c2VjcmV0"}


def test_a_proxy_of_the_environment_is_asked(cache: FakeCache) -> None:
    with served(cache) as proxy:
        read(opened("http://cache.invalid", cache.key, http_proxy=proxy.url))
    assert all(path.startswith("http://cache.invalid/") for path in proxy.asked)


# --- threads --------------------------------------------------------------------------------------


def test_what_nobody_reads_is_called_off(cache: FakeCache, tmp_path: Path) -> None:
    source = opened(cache.url, cache.key)
    closure = source.closure([APP])
    before = threading.active_count()
    with closing(source.nar(closure.infos[APP], str(tmp_path), again=False)) as pieces:
        assert next(pieces) == b""
        assert next(pieces)
    assert threading.active_count() == before

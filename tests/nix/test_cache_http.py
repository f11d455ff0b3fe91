"""A binary cache on the web: a line that is cut, who asks, and who answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.certificates import Certificates
from support.fakecache import (
    COMPRESSIONS,
    FakeCache,
    Fault,
    closed_early,
    cut,
    lost,
    served,
    status,
    without_ranges,
)
from support.fakestore import entries_of, whole
from support.readcache import APP, LIBRARY, NODE, failure, made, opened, read

from nix2oci.errors import ConfigError
from nix2oci.nix.remote import remote_store


@pytest.fixture
def cache(tmp_path: Path) -> FakeCache:
    return made(tmp_path / "cache")


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
        assert failure(web.url, cache.key).exit_code == 6


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
        found = failure(web.url, cache.key)
    assert str(found).startswith(f"cannot read {APP} from {web.url}: its NAR cannot be at ")
    assert found.exit_code == 4


@pytest.mark.parametrize("url", ["http://", "http://host:port", "https://["])
def test_what_is_no_address(cache: FakeCache, url: str) -> None:
    with pytest.raises(ConfigError, match="it is no address"):
        opened(url, cache.key)


@pytest.mark.parametrize("method", COMPRESSIONS)
def test_a_nar_that_is_read_again_is_not_asked_for_again(cache: FakeCache, method: str) -> None:
    cache.add("app-1.0", NODE, [LIBRARY, APP], method)
    with served(cache) as web:
        source = opened(web.url, cache.key)
        closure = source.closure([APP])
        with remote_store(source, closure) as store:
            store.skeleton.small = 0
            store.skeleton.materialize()
            info = closure.infos[APP]
            for _ in range(2):
                assert whole(store.entries(info)) == entries_of(info, NODE)
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


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


def test_certificates_are_those_that_the_environment_names(
    cache: FakeCache, certificates: Certificates
) -> None:
    with served(cache, tls=certificates.server()) as web:
        read(opened(web.url, cache.key, SSL_CERT_FILE=certificates.ca))
        found = failure(web.url, cache.key)
    assert found.exit_code == 6
    assert f"the certificate of {web.host} is not trusted" in str(found)
    assert found.hint == "SSL_CERT_FILE names a file with the certificates to trust"


def test_tls_is_not_left(cache: FakeCache, certificates: Certificates) -> None:
    with served(cache) as plain:
        away = status(".narinfo", 302, Location=f"{plain.url}/x")
        with served(cache, away, tls=certificates.server()) as web:
            found = failure(web.url, cache.key, SSL_CERT_FILE=certificates.ca)
    assert found.exit_code == 6
    assert str(found).endswith("is redirected, and it leads from https to http")
    assert plain.asked == []

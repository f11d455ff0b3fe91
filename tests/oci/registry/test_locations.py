"""Where uploads and redirects lead, and who sees our credentials on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.fakeregistry import CANARY, Exchange, answer
from support.pushing import ALICE, REPOSITORY, Desk

from nix2oci.errors import RegistryError

SESSION = r"/blobs/uploads/."
HERE, THERE = "registry.example", "storage.example"


@pytest.fixture
def named(desk: Desk) -> Desk:
    """The registry by a name, with another host beside it, and someone to be."""
    desk.host, desk.account, desk.registry.auth = HERE, ALICE, "basic"
    return desk


def authorized(desk: Desk, host: str) -> set[bool]:
    return {s.authorization is not None for s in desk.registry.seen if s.host == host}


@pytest.mark.parametrize(
    ("location", "host"),
    [
        pytest.param(lambda path: path, HERE, id="a path"),
        pytest.param(lambda path: f"http://{HERE}{path}", HERE, id="an address"),
        pytest.param(lambda path: f"{path}?_state=a%2Fb&x=", HERE, id="a query"),
        pytest.param(lambda path: f"http://{HERE}:5001{path}", f"{HERE}:5001", id="another port"),
    ],
)
def test_an_upload_goes_where_the_registry_says(
    named: Desk, location: Callable[[str], str], host: str
) -> None:
    named.registry.location = location
    named.push()
    assert named.is_complete()
    puts = [s for s in named.registry.seen if s.method == "PUT" and "uploads" in s.path]
    assert {s.host for s in puts} == {host}
    assert authorized(named, host) >= {True}
    if "?" in location(""):
        assert {s.query.partition("&digest=")[0] for s in puts} == {"_state=a%2Fb&x="}


def test_an_upload_to_another_host_does_not_say_who_we_are(named: Desk) -> None:
    named.registry.location = lambda path: f"http://{THERE}{path}?X-Amz-Signature={CANARY}"

    def trusting(exchange: Exchange) -> None:
        exchange.registry.auth = ""
        exchange.proceed()
        exchange.registry.auth = "basic"

    named.registry.script("PUT", SESSION, trusting, always=True)
    named.push()
    assert named.is_complete()
    assert authorized(named, THERE) == {False}


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        pytest.param(None, "it is missing", id="none"),
        pytest.param(
            "//evil.example/x", "it names another host, evil.example, and no scheme", id="//"
        ),
        pytest.param("file:///etc/passwd", "'file:' is neither http nor https", id="a file"),
        pytest.param(
            "http://10.0.0.1/x",
            "it leads to 10.0.0.1, which is not a public address",
            id="a private address",
        ),
    ],
)
def test_an_upload_goes_nowhere_else(named: Desk, location: str | None, cause: str) -> None:
    named.registry.location = lambda _: location
    with pytest.raises(RegistryError) as caught:
        named.push()
    assert str(caught.value) == (
        f"cannot push to {HERE}/{REPOSITORY}: "
        f"POST http://{HERE}/v2/{REPOSITORY}/blobs/uploads/: its Location cannot be used: {cause}"
    )
    assert caught.value.exit_code == 6
    assert {s.host for s in named.registry.seen} == {HERE}


def test_the_last_location_is_the_one_that_counts(desk: Desk) -> None:
    def only_by_patch(exchange: Exchange) -> None:
        if exchange.seen.body:
            exchange.error(405, "UNSUPPORTED")
        else:
            exchange.proceed()

    def moves(exchange: Exchange) -> None:
        session = exchange.path.rpartition("/")[2]
        exchange.registry.uploads[f"{session}-next"] = exchange.registry.uploads.pop(session)
        exchange.registry.uploads[f"{session}-next"] += exchange.seen.body
        exchange.answer(202, {"Location": f"{exchange.path}-next?n=2"})

    desk.registry.script("PUT", SESSION, only_by_patch, always=True)
    desk.registry.script("PATCH", SESSION, moves, always=True)
    desk.push()
    assert desk.is_complete()


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_is_followed_without_credentials(
    named: Desk, method: str, status: int
) -> None:
    path = SESSION if method == "PUT" else "/blobs/"

    def away(exchange: Exchange) -> None:
        if exchange.seen.host == HERE and exchange.seen.authorization:
            target = f"http://{THERE}{exchange.path}?{exchange.seen.query}&sig={CANARY}"
            exchange.answer(status, {"Location": target})
        elif exchange.seen.host == HERE:
            exchange.proceed()
        else:
            exchange.registry.auth = ""
            exchange.proceed()
            exchange.registry.auth = "basic"

    named.registry.script(method, path, away, always=True)
    named.registry.location = lambda there: f"http://{HERE}{there}"
    named.push()
    assert named.is_complete()
    assert authorized(named, THERE) == {False}
    if method == "PUT":
        bodies = [len(s.body) for s in named.registry.seen if s.host == THERE]
        assert bodies == [blob.size for blob in named.cargo.blobs], "it was not sent again"


def test_a_redirect_in_a_circle_is_left(desk: Desk) -> None:
    desk.registry.script("HEAD", "/blobs/", answer(307, b"", location="?again"), always=True)
    with pytest.raises(RegistryError) as caught:
        desk.push()
    assert str(caught.value).endswith("?again=REDACTED: redirected more than 10 times")
    assert len(desk.registry.calls("HEAD", "/blobs/")) == 11


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        pytest.param("file:///etc/passwd", "'file:' is neither http nor https", id="a file"),
        pytest.param(
            "http://169.254.169.254/latest",
            "it leads to 169.254.169.254, which is not a public address",
            id="the machine's metadata",
        ),
    ],
)
def test_a_redirect_goes_nowhere_else(named: Desk, location: str, cause: str) -> None:
    named.registry.script("HEAD", "/blobs/", answer(307, b"", location=location), always=True)
    with pytest.raises(RegistryError) as caught:
        named.push()
    url = f"http://{HERE}/v2/{REPOSITORY}/blobs/{named.blobs[0]}"
    assert str(caught.value) == (
        f"cannot push to {HERE}/{REPOSITORY}: HEAD {url} is redirected, and {cause}"
    )

"""Saying who we are: with challenges, tokens that end, and token servers that are not honest."""

from __future__ import annotations

import pytest
from support.fakeregistry import CANARY, Exchange, answer, error
from support.pushing import ALICE, REPOSITORY, Desk, cause, refused

from nix2oci.oci.registry.environment import Account

SESSION = r"/blobs/uploads/."
NO_CREDENTIALS = (
    "log in with docker login or podman login, or set NIX2OCI_USERNAME and NIX2OCI_PASSWORD"
)
USED = f"using credentials from NIX2OCI_USERNAME and NIX2OCI_PASSWORD for {{}}/{REPOSITORY}"
BOTH = "the credentials of NIX2OCI_USERNAME and NIX2OCI_PASSWORD"


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_credentials_are_used_and_told_of(desk: Desk, auth: str) -> None:
    desk.registry.auth, desk.account = auth, ALICE
    desk.push(jobs=4)
    assert desk.is_complete()
    assert desk.notes == [USED.format(desk.registry.registry)]


def test_one_token_is_enough_for_a_push(desk: Desk) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.push(jobs=4)
    assert desk.registry.calls("GET", "/token") == ["GET /token"]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_nobody_is_asked_who_he_is_where_all_may_push(desk: Desk, auth: str) -> None:
    del auth
    desk.account = ALICE
    desk.push()
    assert desk.notes == []
    assert {seen.authorization for seen in desk.registry.seen} == {None}


def test_wrong_credentials_are_shown_only_once(desk: Desk) -> None:
    desk.registry.auth, desk.account = "basic", Account("alice", f"{CANARY}-wrong")
    err = refused(desk, jobs=4)
    assert cause(err) == f"GET http://{desk.registry.registry}/v2/: it does not accept {BOTH}"
    assert err.hint is None
    assert len([s for s in desk.registry.seen if s.authorization]) == 1


def test_a_registry_that_wants_credentials_gets_an_error_without(desk: Desk) -> None:
    desk.registry.auth = "basic"
    err = refused(desk)
    assert cause(err) == "it wants credentials, and there are none for it"
    assert err.hint == NO_CREDENTIALS
    assert desk.notes == [f"no credentials for {desk.registry.registry}: going on without"]


def test_who_is_nobody_may_be_enough_to_ask_and_not_to_push(desk: Desk) -> None:
    desk.registry.auth = "bearer"
    desk.registry.script("GET", "/token", answer(200, b'{"token": "nobody"}'), always=True)
    desk.registry.tokens["nobody"] = desk.time.time + 60
    desk.registry.script("POST", "/blobs/uploads/", challenge, always=True)
    err = refused(desk)
    url = f"http://{desk.registry.registry}/v2/{REPOSITORY}/blobs/uploads/"
    assert cause(err) == f"POST {url}: it wants credentials"
    assert err.hint == NO_CREDENTIALS


def challenge(exchange: Exchange) -> None:
    realm = f'Bearer realm="http://{exchange.seen.host}/token"'
    exchange.answer(401, {"WWW-Authenticate": realm})


def test_a_registry_may_forbid(desk: Desk) -> None:
    desk.registry.script("POST", "/blobs/uploads/", error(403, "DENIED"))
    err = refused(desk)
    url = f"http://{desk.registry.registry}/v2/{REPOSITORY}/blobs/uploads/"
    assert cause(err) == f"POST {url} answered 403: DENIED: denied"
    assert err.status == 403


def test_a_challenge_that_is_not_known_is_an_error(desk: Desk) -> None:
    desk.registry.script("HEAD", "/blobs/", answer(401, b"", www_authenticate="Digest realm=x"))
    assert cause(refused(desk)) == "it wants to know who asks, in a way that is not known here"

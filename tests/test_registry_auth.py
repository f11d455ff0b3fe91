"""Saying who we are: with challenges, tokens that end, and token servers that are not honest."""

from __future__ import annotations

import json

import pytest
from support.fakeregistry import CANARY, Action, Exchange, answer, error, proceed
from support.pushing import ALICE, REPOSITORY, Desk

from nix2oci.errors import AuthenticationError, RegistryError
from nix2oci.oci.registry.surroundings import Account

SESSION = r"/blobs/uploads/."
NO_CREDENTIALS = (
    "log in with docker login or podman login, or set NIX2OCI_USERNAME and NIX2OCI_PASSWORD"
)
USED = f"using credentials from NIX2OCI_USERNAME and NIX2OCI_PASSWORD for {{}}/{REPOSITORY}"
BOTH = "the credentials of NIX2OCI_USERNAME and NIX2OCI_PASSWORD"


def refused(desk: Desk, **changes: object) -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        desk.push(**changes)  # type: ignore[arg-type]
    assert caught.value.exit_code == 7
    return caught.value


def cause(err: RegistryError) -> str:
    return str(err).partition(f"/{REPOSITORY}: ")[2]


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


# --- tokens -----------------------------------------------------------------------------------


def test_a_token_that_is_about_to_end_is_replaced_before(desk: Desk) -> None:
    desk.registry.auth, desk.registry.token_life, desk.account = "bearer", 100, ALICE

    def takes_time(exchange: Exchange) -> None:
        desk.time.time += 95
        exchange.proceed()

    desk.registry.script("POST", "/blobs/uploads/", takes_time)
    desk.push()
    assert len(desk.registry.calls("GET", "/token")) == 2
    statuses = [line.rpartition(" ")[2] for line in desk.exchanges]
    assert statuses.count("401") == 1, "the old token was shown once more"


def test_a_token_without_a_life_is_good_for_a_minute(desk: Desk) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE

    def takes_time(exchange: Exchange) -> None:
        desk.time.time += 55
        exchange.proceed()

    desk.registry.script("PUT", SESSION, takes_time)
    desk.push()
    assert len(desk.registry.calls("GET", "/token")) == 2


def test_a_token_that_ends_while_a_blob_is_sent_costs_that_blob(desk: Desk) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE

    def too_late(exchange: Exchange) -> None:
        desk.registry.tokens.clear()
        exchange.proceed()

    desk.registry.script("PUT", SESSION, too_late)
    desk.push()
    assert desk.is_complete()
    assert len(desk.registry.calls("GET", "/token")) == 2
    assert len(desk.registry.calls("PUT", SESSION)) == 4
    assert sum(desk.moved) == desk.cargo.size
    assert desk.time.waited == []


def test_a_token_that_always_ends_too_early_is_given_up(desk: Desk) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE

    def too_late(exchange: Exchange) -> None:
        desk.registry.tokens.clear()
        exchange.proceed()

    desk.registry.script("PUT", SESSION, too_late, always=True)
    err = refused(desk)
    assert "answered 401" in cause(err)
    assert len(desk.registry.calls("PUT", SESSION)) == 4


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(answer(500), id="500"),
        pytest.param(answer(429, b"", retry_after="1"), id="too many requests"),
        pytest.param(answer(503, b"<html>"), id="503"),
        pytest.param(lambda exchange: exchange.cut(), id="a connection that is closed"),
    ],
)
def test_a_fault_of_the_token_server_that_passes_is_survived(desk: Desk, fault: Action) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.registry.script("GET", "/token", fault)
    desk.push()
    assert desk.is_complete()
    assert len(desk.notes) - len(desk.time.waited) == 1, "credentials were looked up twice"


TOKEN_SERVER = "its token server (http://{host}/token)"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param(answer(401), f"{TOKEN_SERVER} answered 401", id="401"),
        pytest.param(answer(403), f"{TOKEN_SERVER} answered 403", id="403"),
        pytest.param(
            answer(200, b"<html>" + CANARY.encode()),
            f"{TOKEN_SERVER} answered something that is not JSON",
            id="HTML",
        ),
        pytest.param(
            answer(200, b"[]"),
            f"{TOKEN_SERVER} answered something that is not a JSON object",
            id="a list",
        ),
        pytest.param(
            answer(200, b'{"a": "' + b"x" * (1 << 20) + b'"}'),
            f"{TOKEN_SERVER} answered something that is not JSON",
            id="a megabyte",
        ),
        pytest.param(
            answer(200, b'{"expires_in": 9}'),
            "its token server answered without a token",
            id="no token",
        ),
        pytest.param(
            answer(200, json.dumps({"token": f"{CANARY}\r\nX: y"}).encode()),
            "its token has characters that no header may have",
            id="a token with a line break",
        ),
        pytest.param(
            answer(307, b"", location="http://169.254.169.254/"),
            "its token server redirects, and it leads to 169.254.169.254, "
            "which is not a public address",
            id="a redirect to the machine's metadata",
        ),
        pytest.param(
            answer(307, b"", location="http://tokens.example.org/"),
            "its token server redirects to another host",
            id="a redirect to another host",
        ),
        pytest.param(
            answer(307, b"", location="/token"),
            "its token server redirects more than 5 times",
            id="a redirect to itself",
        ),
    ],
)
def test_a_token_server_that_is_of_no_use_is_an_error(
    desk: Desk, fault: Action, expected: str
) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.registry.script("GET", "/token", fault, always=True)
    assert cause(refused(desk)) == expected.replace("{host}", desk.registry.registry)


def test_a_token_server_that_always_fails_is_no_question_of_who_we_are(desk: Desk) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.registry.script("GET", "/token", answer(500), always=True)
    with pytest.raises(RegistryError) as caught:
        desk.push()
    assert caught.value.exit_code == 6
    assert cause(caught.value) == (
        f"its token server (http://{desk.registry.registry}/token) answered 500 (6 tries)"
    )


@pytest.mark.parametrize(
    ("realm", "expected"),
    [
        pytest.param("file:///etc/passwd", "'file:' is neither http nor https", id="a file"),
        pytest.param(
            "http://169.254.169.254/",
            "it leads to 169.254.169.254, which is not a public address",
            id="the machine's metadata",
        ),
        pytest.param(
            "http://localhost/token",
            "it leads to localhost, which is not a public address",
            id="another name of this machine",
        ),
        pytest.param("http://a:b@127.0.0.1/", "there is a user name in it", id="a user name"),
    ],
)
def test_credentials_go_to_no_address_that_is_not_safe(
    desk: Desk, realm: str, expected: str
) -> None:
    desk.registry.auth, desk.registry.realm, desk.account = "bearer", realm, ALICE
    err = refused(desk)
    assert cause(err) == f"the address of its token server cannot be used: {expected}"
    assert {seen.authorization for seen in desk.registry.seen} == {None}


def test_a_token_server_may_be_another_host(desk: Desk) -> None:
    desk.host = "registry.example"
    desk.registry.auth, desk.registry.realm = "bearer", "http://tokens.example/token"
    desk.account = ALICE
    desk.push()
    assert desk.is_complete()
    by_host = {
        host: {
            (s.authorization or "-").partition(" ")[0] for s in desk.registry.seen if s.host == host
        }
        for host in ("registry.example", "tokens.example")
    }
    assert by_host == {"registry.example": {"-", "Bearer"}, "tokens.example": {"Basic"}}


def test_access_token_is_another_name_of_token(desk: Desk) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.registry.tokens["other"] = desk.time.time + 60
    desk.registry.script("GET", "/token", answer(200, b'{"access_token": "other"}'))
    desk.push()
    assert desk.is_complete()


def test_challenges_that_come_one_after_the_other_are_met(desk: Desk) -> None:
    """The first request of each thread meets one; a single token answers them all."""
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.registry.script("GET", "/token", proceed)
    desk.push(jobs=3)
    assert len(desk.registry.calls("GET", "/token")) == 1

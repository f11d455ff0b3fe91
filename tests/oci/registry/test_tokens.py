"""Tokens: those that end, those that are given, and token servers that are not honest."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace
from support.fakeregistry import CANARY, PASSWORD, USER, Action, Exchange, answer, proceed
from support.pushing import ALICE, REPOSITORY, Desk, cause, refused

from nix2oci.errors import RegistryError
from nix2oci.oci.registry.client_options import Security

SESSION = r"/blobs/uploads/."


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
            "http://10.0.0.1/token",
            "it leads to 10.0.0.1, which is not a public address",
            id="a machine beside this one",
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
    plain = {name: Security(plain_http=True) for name in ("registry.example", "tokens.example")}
    desk.push(access=replace(desk.access(), security=plain))
    assert desk.is_complete()
    by_host = {
        host: {
            (s.authorization or "-").partition(" ")[0] for s in desk.registry.seen if s.host == host
        }
        for host in ("registry.example", "tokens.example")
    }
    assert by_host == {"registry.example": {"-", "Bearer"}, "tokens.example": {"Basic"}}


def test_a_token_server_without_tls_is_not_shown_a_password(desk: Desk) -> None:
    """It is another host than the registry, of which alone it was said that it has no TLS."""
    desk.host = "registry.example"
    desk.registry.auth, desk.registry.realm = "bearer", "http://tokens.example/token"
    desk.account = ALICE
    err = refused(desk)
    assert cause(err) == (
        "its token server tokens.example has no TLS, and would be shown the password in clear"
    )
    assert err.hint == "if everybody on the way may read it: --plain-http=tokens.example"
    assert {seen.host for seen in desk.registry.seen} == {"registry.example"}


def test_a_token_server_of_this_machine_may_be_under_another_name(desk: Desk) -> None:
    port = desk.registry.registry.rpartition(":")[2]
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.registry.realm = f"http://localhost:{port}/token"
    desk.push()
    assert desk.is_complete()


@pytest.mark.parametrize("life", ["1" + "0" * 400, "1e400", "Infinity", "NaN", "-1", "true", '"x"'])
def test_a_life_that_is_none_does_no_harm(desk: Desk, life: str) -> None:
    desk.registry.auth, desk.account = "bearer", ALICE
    desk.registry.tokens["other"] = desk.time.time + 60
    body = f'{{"token": "other", "expires_in": {life}}}'.encode()
    desk.registry.script("GET", "/token", answer(200, body), always=True)
    desk.push()
    assert desk.is_complete()


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_scope_that_is_refused_costs_only_the_mount(desk: Desk, status: int) -> None:
    """A token server may refuse all of a request for a repository that we may not read."""
    desk.registry.auth, desk.account = "bearer", ALICE

    def refuse(exchange: Exchange) -> None:
        if any("team/base" in scope for scope in exchange.query["scope"]):
            exchange.error(status, "DENIED")
        else:
            exchange.proceed()

    desk.registry.script("GET", "/token", refuse, always=True)
    desk.push(mount_from=("team/base",))
    assert desk.is_complete()
    assert desk.notes[-1] == (
        "its token server does not let us read team/base: nothing is taken from there"
    )
    assert not [s for s in desk.registry.seen if "mount=" in s.query]


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


# --- tokens that are given, not fetched --------------------------------------------------------


def with_file(desk: Desk, directory: Path, **entry: str) -> None:
    """Credentials of a file instead of an account."""
    file = directory / "auth.json"
    file.write_text(json.dumps({"auths": {desk.registry.registry: entry}}))
    file.chmod(0o600)
    desk.files = (str(file),)


def test_an_identity_token_is_exchanged(desk: Desk, tmp_path: Path) -> None:
    desk.registry.auth = "bearer"
    with_file(desk, tmp_path, identitytoken=f"{CANARY}-identity")
    desk.push()
    (asked,) = [s for s in desk.registry.seen if s.path == "/token"]
    assert asked.method == "POST"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["fake, registry"],
        "scope": [f"repository:{REPOSITORY}:pull,push"],
        "client_id": ["nix2oci"],
        "refresh_token": [f"{CANARY}-identity"],
    }


@pytest.mark.parametrize("status", [404, 405])
def test_a_token_server_may_not_know_how_to_exchange(
    desk: Desk, tmp_path: Path, status: int
) -> None:
    desk.registry.auth = "bearer"
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    with_file(desk, tmp_path, identitytoken=f"{CANARY}-identity", auth=auth)
    desk.registry.script("POST", "/token", answer(status), always=True)
    desk.push()
    assert desk.is_complete()
    assert desk.registry.calls("GET", "/token") == ["GET /token"]


def test_a_token_that_is_given_is_shown_as_it_is(desk: Desk, tmp_path: Path) -> None:
    desk.registry.auth = "bearer"
    desk.registry.tokens[f"{CANARY}-given"] = desk.time.time + 60
    with_file(desk, tmp_path, registrytoken=f"{CANARY}-given")
    desk.push()
    assert desk.registry.calls("GET|POST", "/token") == []


def test_a_file_that_cannot_be_read_is_a_question_of_who_we_are(desk: Desk, tmp_path: Path) -> None:
    desk.registry.auth = "bearer"
    (tmp_path / "auth.json").write_text(CANARY)
    desk.files = (str(tmp_path / "auth.json"),)
    err = refused(desk)
    assert cause(err) == (
        f"its credentials cannot be read: {tmp_path}/auth.json: line 1 is not JSON"
    )

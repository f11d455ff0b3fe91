"""Who we are to a registry, from what docker and podman leave behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from support import covered
from support.credential_home import ALICE, BOB, HOST, HUB, Home, encoded
from support.fakeregistry import CANARY

from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.registry.credentials import Asked, Credentials, find
from nix2oci.oci.registry.environment import Account, RegistryEnvironment


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        pytest.param(HOST, HOST, id="host and port"),
        pytest.param("a.example", "a.example", id="a host"),
        pytest.param(HOST, f"https://{HOST}", id="with https"),
        pytest.param(HOST, f"https://{HOST}/", id="with https and a slash"),
        pytest.param(HOST, f"https://{HOST}/v1/", id="as docker wrote it long ago"),
        pytest.param(HOST, f"https://{HOST}/v2/", id="as others wrote it"),
        pytest.param(HOST, f"http://{HOST}", id="with http"),
        pytest.param(HOST, f"{HOST}/team", id="a namespace"),
        pytest.param(HOST, f"{HOST}/team/web", id="a repository"),
        pytest.param("docker.io", HUB, id="Docker Hub as docker has it"),
        pytest.param("docker.io", "docker.io", id="Docker Hub as podman has it"),
        pytest.param("docker.io", "index.docker.io", id="Docker Hub, its index"),
        pytest.param("docker.io", "registry-1.docker.io", id="Docker Hub, its server"),
    ],
)
def test_a_registry_is_found_under(home: Home, registry: str, key: str) -> None:
    home.write({"auths": {"other.example": BOB, key: ALICE}})
    assert home.find(registry) == Credentials(str(home.file), "alice", "secret")
    assert home.notes == []


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("registry.example", id="another port"),
        pytest.param("example:5000", id="the end of a name"),
        pytest.param(f"{HOST}/te", id="the beginning of a namespace"),
        pytest.param(f"{HOST}/team/web/deeper", id="a deeper repository"),
        pytest.param(HUB, id="another registry"),
    ],
)
def test_a_registry_is_not_found_under(home: Home, key: str) -> None:
    home.write({"auths": {key: ALICE}})
    assert home.find() is None


HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


@pytest.mark.parametrize(("first", "second"), list(combinations(HUB_NAMES, 2)))
def test_of_several_names_of_docker_hub_the_first_by_the_alphabet_counts(
    home: Home, first: str, second: str
) -> None:
    home.write({"auths": {second: BOB, first: ALICE}})
    assert home.user("docker.io") == "alice"


def test_the_names_of_docker_hub_have_the_same_order_in_every_process() -> None:
    code = (
        "from nix2oci.oci.registry.credentials import Asked\n"
        "print(*Asked('docker.io', 'app').keys())"
    )
    for seed in ("1", "2", "3"):
        env = {"PYTHONHASHSEED": seed, **covered.environment()}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [*(f"{name}/app" for name in HUB_NAMES), *HUB_NAMES]


def test_the_most_particular_key_counts(home: Home) -> None:
    home.write({"auths": {HOST: BOB, f"{HOST}/team": ALICE}})
    assert home.user() == "alice"
    assert home.user(repository="other/web") == "bob"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({"auth": encoded("a:b:c")}, ("a", "b:c", "", ""), id="a colon in a password"),
        pytest.param(
            {"auth": encoded("ä:ö€")}, ("ä", "ö€", "", ""), id="letters that are not ASCII"
        ),
        pytest.param({"auth": encoded("a:b\0")}, ("a", "b", "", ""), id="a NUL at the end"),
        pytest.param({"username": "a", "password": "b"}, ("a", "b", "", ""), id="plain"),
        pytest.param(
            {"auth": encoded("a:"), "identitytoken": "t"},
            ("a", "", "t", ""),
            id="an identity token",
        ),
        pytest.param({"registrytoken": "t"}, ("", "", "", "t"), id="a token"),
    ],
)
def test_an_entry_is_read(home: Home, entry: Any, expected: tuple[str, str, str, str]) -> None:
    home.write({"auths": {HOST: entry}})
    assert home.find() == Credentials(str(home.file), *expected)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="an empty object"),
        pytest.param("", id="an empty file"),
        pytest.param({"auths": None}, id="null"),
        pytest.param({"auths": {HOST: {}}}, id="an empty entry, as a helper leaves it"),
        pytest.param({"auths": {HOST: None}}, id="an entry that is null"),
        pytest.param({"credHelpers": {"other.example": "x"}}, id="a helper for another registry"),
    ],
)
def test_a_file_may_know_nothing(home: Home, document: Any) -> None:
    home.write(document)
    assert home.find() is None


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        pytest.param(f'{{"auths":\n {CANARY}', "line 2 is not JSON", id="a slip"),
        pytest.param("[]", "it is not a JSON object", id="a list"),
        pytest.param({"auths": [CANARY]}, "'auths' is not an object", id="a list of entries"),
        pytest.param(
            {"auths": {HOST: {"auth": f"!{CANARY}"}}},
            f"'auth' of {HOST} is not text in base64",
            id="no base64",
        ),
        pytest.param(
            {"auths": {HOST: {"auth": base64.b64encode(b"\xff:x").decode()}}},
            f"'auth' of {HOST} is not text in base64",
            id="no text",
        ),
        pytest.param(
            {"auths": {HOST: {"auth": encoded(CANARY)}}},
            f"'auth' of {HOST} has no colon",
            id="no colon",
        ),
        *(
            pytest.param(
                {"auths": {HOST: {"auth": encoded(text)}}},
                f"'auth' of {HOST} has control characters",
                id=f"control characters: {name}",
            )
            for name, text in (
                ("a line in a password", f"a:{CANARY}\r\nX: y"),
                ("a line in a name", f"a\nb:{CANARY}"),
                ("an escape", f"a:{CANARY}\x1b[0m"),
                ("a NUL within", f"a:{CANARY}\0b"),
                ("DEL", f"a:{CANARY}\x7fb"),
            )
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_not_shown(
    home: Home, document: Any, cause: str
) -> None:
    home.write(document)
    with pytest.raises(RequestError) as caught:
        home.find()
    assert str(caught.value) == f"its credentials cannot be read: {home.file}: {cause}"
    assert caught.value.denied


def test_a_file_that_others_can_read_is_used_and_told_of(home: Home) -> None:
    home.write({"auths": {HOST: ALICE}}).chmod(0o644)
    assert home.user() == "alice"
    assert home.notes == [f"warning: others can read the credentials in {home.file}: chmod 600"]


def test_the_first_file_that_knows_the_registry_counts(home: Home) -> None:
    first = home.write({"auths": {"other.example": BOB}}, "first.json")
    second = home.write({"auths": {HOST: ALICE}}, "second.json")
    home.write({"auths": {HOST: BOB}}, "third.json")
    files = ("/does/not/exist", str(first), str(second), str(home.directory / "third.json"))
    assert home.find(files=files).source == str(second)


def test_what_we_are_told_comes_before_every_file(home: Home) -> None:
    home.write("no JSON")
    found = home.find(account=Account("carol", "x", HOST))
    assert found == Credentials("NIX2OCI_USERNAME and NIX2OCI_PASSWORD", "carol", "x")


@pytest.mark.parametrize(
    "bound", [pytest.param("other.example", id="another registry"), pytest.param(None, id="none")]
)
def test_an_account_that_is_for(home: Home, bound: str | None) -> None:
    """It is not shown to a base, or to the other side of a comparison."""
    home.write({"auths": {HOST: ALICE}})
    found = home.find(account=Account("carol", "x", bound))
    assert found == Credentials(str(home.file), "alice", "secret")
    unused = (
        f"NIX2OCI_USERNAME and NIX2OCI_PASSWORD are not used for {HOST}: they are "
        "for the registry of --push or REF, or the one that NIX2OCI_REGISTRY names"
    )
    assert home.notes == ([] if bound else [unused])


def test_a_document_of_the_environment_comes_before_files(home: Home) -> None:
    home.write({"auths": {HOST: BOB}})
    around = RegistryEnvironment(
        credential_files=(str(home.file),),
        credential_document=json.dumps({"auths": {HOST: ALICE}}),
    )
    found = find(Asked(HOST, "a"), around, home.notes.append)
    assert found == Credentials("DOCKER_AUTH_CONFIG", "alice", "secret")
    assert find(Asked("other.example", "a"), around, home.notes.append) is None


def test_a_file_that_the_user_named_comes_before_that(home: Home) -> None:
    around = RegistryEnvironment(
        explicit_file=str(home.write({"auths": {HOST: BOB}})),
        credential_document=json.dumps({"auths": {HOST: ALICE}}),
    )
    found = find(Asked(HOST, "a"), around, home.notes.append)
    assert found is not None
    assert found.source == str(home.file)


@pytest.mark.parametrize(
    "document",
    [pytest.param("{", id="half of it"), pytest.param("[" * 100_000, id="deep"),
     pytest.param("[]", id="a list"), pytest.param("\udcff", id="no UTF-8")],
)  # fmt: skip
def test_a_document_that_is_none_is_named_and_not_shown(home: Home, document: str) -> None:
    around = RegistryEnvironment(credential_document=document)
    with pytest.raises(RequestError, match=r"DOCKER_AUTH_CONFIG: (line 1|it) is not"):
        find(Asked(HOST, "a"), around, home.notes.append)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("YWxpY2U6\nc2VjcmV0\n", id="lines as base64 makes them"),
        pytest.param("YWxpY2U6\r\nc2VjcmV0\r\n", id="lines of another system"),
        pytest.param("YWxpY2U6c2VjcmV0Cg==", id="a line end behind the password"),
    ],
)
def test_line_ends_are_no_part_of_a_password(home: Home, text: str) -> None:
    home.write({"auths": {HOST: {"auth": text}}})
    assert home.find() == Credentials(str(home.file), "alice", "secret")


def test_a_directory_that_is_somebody_elses_is_passed_over(home: Home) -> None:
    """As `/run/containers/UID` may be; root may look into every directory."""
    path = home.directory / "theirs"
    path.mkdir()
    home.write({"auths": {HOST: BOB}}, "theirs/auth.json")
    home.write({"auths": {HOST: ALICE}})
    path.chmod(0)
    files = (str(path / "auth.json"), str(home.file))
    found = home.find(files=files)
    path.chmod(0o755)
    assert found.username == ("bob" if os.geteuid() == 0 else "alice")


def test_a_pipe_is_no_file_of_credentials(home: Home) -> None:
    os.mkfifo(home.file)
    with pytest.raises(RequestError, match="it is no file"):
        home.find()


def test_a_name_that_no_encoding_has_does_no_harm(home: Home) -> None:
    home.write({"auths": {HOST: {"username": "\ud800", "password": "x"}}})
    assert home.find().basic == "7aCAOng="


def test_nothing_secret_is_in_the_words_for_it() -> None:
    found = Credentials("file", CANARY, CANARY, CANARY, CANARY)
    assert repr(found) == "Credentials(source='file')"
    assert repr(Account("alice", CANARY)) == "Account(username='alice')"

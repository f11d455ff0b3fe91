"""Credential helpers: who is asked, and what becomes of what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.credential_home import ALICE, HOST, HUB, Home
from support.fakeregistry import CANARY

from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.registry.credentials import Credentials
from nix2oci.oci.registry.environment import RegistryEnvironment


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


ANSWER = 'read -r host; echo "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"$1\\"}"'


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_is_asked(home: Home, key: str) -> None:
    home.helper("mine", ANSWER)
    home.write({key: {HOST: "mine"} if key == "credHelpers" else "mine"})
    source = f"the credential helper 'docker-credential-mine', named in {home.file}"
    assert home.find() == Credentials(source, HOST, "get")


def test_a_helper_is_asked_for_docker_hub_by_its_old_name(home: Home) -> None:
    home.helper("mine", ANSWER)
    home.write({"credsStore": "mine"})
    assert home.user("docker.io") == HUB


def test_a_helper_may_know_an_identity_token(home: Home) -> None:
    home.helper("mine", """echo '{"Username": "<token>", "Secret": "t"}'""")
    home.write({"credsStore": "mine"})
    found = home.find()
    assert (found.username, found.password, found.identity_token) == ("", "", "t")


def test_the_helper_of_a_registry_comes_before_that_of_all_and_that_before_the_file(
    home: Home,
) -> None:
    home.helper("own", """echo '{"Username": "own", "Secret": "x"}'""")
    home.helper("all", """echo '{"Username": "all", "Secret": "x"}'""")
    home.write({"credHelpers": {HOST: "own"}, "credsStore": "all", "auths": {HOST: ALICE}})
    assert home.user() == "own"
    home.write({"credsStore": "all", "auths": {HOST: ALICE}})
    assert home.user() == "all"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo 'credentials not found in native keychain'; exit 1", id="its own words"),
        pytest.param("echo 'no credentials server URL' >&2; exit 1", id="on stderr"),
        pytest.param("""echo '{"Username": "", "Secret": ""}'""", id="an empty answer"),
    ],
)
def test_a_helper_may_know_nothing(home: Home, script: str) -> None:
    home.helper("mine", script)
    home.write({"credHelpers": {HOST: "mine"}})
    assert home.find() is None
    home.write({"credsStore": "mine", "auths": {HOST: ALICE}})
    assert home.user() == "alice"


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        pytest.param(
            f"echo {CANARY}; echo {CANARY} >&2; exit 3",
            "'docker-credential-mine' ended with exit code 3",
            id="an error that shows a secret",
        ),
        pytest.param(
            f"echo {CANARY}",
            "'docker-credential-mine' answered something that is not a credential",
            id="no JSON",
        ),
        pytest.param(
            f"""echo '{{"Username": 1, "Secret": "{CANARY}"}}'""",
            "'docker-credential-mine' answered something that is not a credential",
            id="a number for a name",
        ),
        pytest.param(
            "exec sleep 600",
            "'docker-credential-mine' did not answer within 0.2 s",
            id="no answer",
        ),
    ],
)
@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_that_fails_is_an_error(home: Home, key: str, script: str, cause: str) -> None:
    home.helper("mine", script)
    home.write({key: {HOST: "mine"} if key == "credHelpers" else "mine"})
    with pytest.raises(RequestError) as caught:
        home.find(seconds=0.2 if "sleep" in script else 30)
    assert str(caught.value) == (
        f"its credentials cannot be read: the credential helper of {home.file}: {cause}"
    )
    assert caught.value.denied


def test_a_helper_that_is_missing_is_an_error_for_its_registry(home: Home) -> None:
    home.write({"credHelpers": {HOST: "gone"}, "auths": {HOST: ALICE}})
    with pytest.raises(RequestError) as caught:
        home.find()
    assert str(caught.value) == (
        f"its credentials cannot be read: the credential helper of {home.file}: "
        "there is no 'docker-credential-gone' on PATH"
    )


def test_a_helper_for_all_that_is_missing_is_passed_over(home: Home) -> None:
    home.write({"credsStore": "gone", "auths": {HOST: ALICE}})
    assert home.user() == "alice"
    (note,) = home.notes
    assert note == (
        f"warning: the credential helper of {home.file} is passed over: "
        "there is no 'docker-credential-gone' on PATH"
    )


@pytest.mark.parametrize("name", ["../x", "a b", "a;b", "$(x)"])
def test_a_name_that_no_helper_has_is_not_looked_for(home: Home, name: str) -> None:
    home.write({"credHelpers": {HOST: name}})
    with pytest.raises(RequestError, match="its name has characters that no program's name has"):
        home.find()


@pytest.mark.parametrize("general", [True, False])
def test_an_empty_name_means_that_there_is_no_helper(home: Home, general: bool) -> None:  # noqa: FBT001
    more = {"credsStore": "missing"} if general else {}
    home.write({"credHelpers": {HOST: ""}, "auths": {HOST: ALICE}, **more})
    assert home.user() == "alice"
    assert home.notes == []


@pytest.mark.parametrize("stream", [1, 2])
def test_a_helper_that_says_too_much_is_ended(home: Home, stream: int) -> None:
    home.helper("mine", f"exec yes >&{stream}")
    home.write({"credsStore": "mine"})
    with pytest.raises(RequestError, match="'docker-credential-mine' says more than a credential"):
        home.find(seconds=20.0)


def test_a_helper_that_nests_too_deep_is_an_error(home: Home) -> None:
    home.helper("mine", "head -c 60000 /dev/zero | tr '\\0' '['")
    home.write({"credsStore": "mine"})
    with pytest.raises(RequestError, match="answered something that is not a credential"):
        home.find()


def test_a_helper_gets_no_secret_of_ours(home: Home) -> None:
    home.helper(
        "mine", """echo "{\\"Username\\": \\"u$NIX2OCI_PASSWORD\\", \\"Secret\\": \\"x\\"}" """
    )
    home.write({"credsStore": "mine"})
    around = RegistryEnvironment.of({"HOME": "/h", "PATH": "/bin", "NIX2OCI_USERNAME": "a",
                              "NIX2OCI_PASSWORD": "b"})  # fmt: skip
    assert around.helper_environment == {"HOME": "/h", "PATH": "/bin"}
    assert home.user() == "u"

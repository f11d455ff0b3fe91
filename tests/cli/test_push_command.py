"""`nix2oci push`, and images in a registry for the other commands: the program itself."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from support import covered
from support.certificates import Certificates
from support.fakeregistry import (
    CANARY,
    PASSWORD,
    USER,
    Action,
    Exchange,
    FakeRegistry,
    answer,
    error,
)
from support.fakeserver import running
from support.json_page import documented
from support.pushing import REPOSITORY, SECRETS
from support.smallimage import SmallImage, write_index
from support.started import started
from support.terminal import NIX2OCI

Completed = subprocess.CompletedProcess[str]
UPLOADS = r"/blobs/uploads/"


@dataclass
class Shell:
    """A directory with an image, a registry, and someone who has a password for it."""

    directory: Path
    registry: FakeRegistry
    said: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.registry.registry}/{REPOSITORY}"

    @property
    def digest(self) -> str:
        index = json.loads((self.directory / "web.oci/index.json").read_text())
        digest: str = index["manifests"][0]["digest"]
        return digest

    def env(self, **more: str) -> Mapping[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            **covered.environment(),
            "NIX2OCI_USERNAME": USER,
            "NIX2OCI_PASSWORD": PASSWORD,
            **more,
        }

    def run(self, *args: str, **env: str) -> Completed:
        done = subprocess.run(
            [NIX2OCI, *args], cwd=self.directory, env=self.env(**env),
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        self.said += [done.stdout, done.stderr]
        return done


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    SmallImage().write(tmp_path / "web.oci")
    with running(FakeRegistry()) as registry:
        shell = Shell(tmp_path, registry)
        yield shell
    assert [secret for secret in SECRETS if any(secret in text for text in shell.said)] == []


def test_stdout_has_one_line_which_is_the_reference_with_its_digest(shell: Shell) -> None:
    shell.registry.auth = "bearer"
    done = shell.run("push", "web.oci", f"{shell.name}:1.0")
    assert (done.returncode, done.stdout) == (0, f"{shell.name}@{shell.digest}\n"), done.stderr
    first, second, third = done.stderr.splitlines()
    assert first == f"nix2oci: pushing to {shell.name}:1.0 (1.0 kB)"
    assert second == (
        f"nix2oci: using credentials from NIX2OCI_USERNAME and NIX2OCI_PASSWORD for {shell.name}"
    )
    assert third.startswith("nix2oci: sent 3 blobs, 1.0 kB in ")
    assert shell.registry.tags() == {"1.0"}


def test_a_push_without_tls_is_warned_of(shell: Shell) -> None:
    done = shell.run("push", "--plain-http", "web.oci", shell.name)
    assert done.returncode == 0, done.stderr
    warning = "nix2oci: warning: without TLS, anyone on the way can read and change what is sent"
    assert warning in done.stderr.splitlines()


def test_a_second_push_says_that_nothing_was_sent(shell: Shell) -> None:
    shell.run("push", "web.oci", f"{shell.name}:1.0")
    done = shell.run("push", "web.oci:1.0", f"docker://{shell.name}:1.0")
    assert done.stderr.splitlines()[1:] == ["nix2oci: sent no blob; 3 there already"]


def test_quiet_leaves_the_result_alone(shell: Shell) -> None:
    shell.registry.auth = "basic"
    done = shell.run("push", "-q", "web.oci", shell.name)
    assert (done.stdout, done.stderr) == (f"{shell.name}@{shell.digest}\n", "")
    assert shell.registry.tags() == {"latest"}


def test_an_index_is_pushed_with_its_images(shell: Shell) -> None:
    root = write_index(shell.directory)
    done = shell.run("push", str(root), f"{shell.name}:1.0")
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads((root / "index.json").read_text())["manifests"]
    assert done.stdout == f"{shell.name}@{entry['digest']}\n"
    assert len(shell.registry.calls("PUT", "/manifests/")) == 4


def test_json_has_the_keys_that_are_documented(shell: Shell) -> None:
    done = shell.run("push", "--json", "web.oci", f"{shell.name}:1.0")
    document: dict[str, Any] = json.loads(done.stdout)
    assert set(document) == documented("push", 0)
    assert [set(blob) for blob in document["blobs"]] == [documented("push", 1)] * 3
    assert document["reference"] == f"{shell.name}@{shell.digest}"


def test_very_much_is_said_when_it_is_asked_for_but_nothing_secret(shell: Shell) -> None:
    shell.registry.auth = "bearer"
    done = shell.run("push", "-vvv", "web.oci", f"{shell.name}:1.0")
    put = (
        f"PUT http://{shell.name}/blobs/uploads/session-2?_state=REDACTED&x=REDACTED&digest=sha256:"
    )
    assert put.replace(shell.name, f"{shell.registry.registry}/v2/{REPOSITORY}") in done.stderr
    assert (
        f"GET http://{shell.registry.registry}/token?service=fake, registry&scope=" in done.stderr
    )


@pytest.mark.parametrize(
    ("method", "path", "action", "code"),
    [
        pytest.param("POST", UPLOADS, answer(403, CANARY.encode()[:3]), 7, id="denied"),
        pytest.param("POST", UPLOADS, answer(404), 6, id="refused"),
        pytest.param("PUT", "/manifests/", error(400, "MANIFEST_INVALID"), 6, id="invalid"),
        pytest.param("GET", "/token", answer(401), 7, id="a wrong password"),
    ],
)
@pytest.mark.parametrize("verbosity", ["-q", "-vvv"])
def test_a_failure_has_its_exit_code_and_shows_no_secret(
    shell: Shell, method: str, path: str, *, action: Action, code: int, verbosity: str
) -> None:
    shell.registry.auth = "bearer"
    shell.registry.script(method, path, action, always=True)
    done = shell.run("push", verbosity, "web.oci", f"{shell.name}:1.0")
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: cannot push to {shell.name}: " in done.stderr
    assert ("Traceback" in done.stderr) == (verbosity == "-vvv")
    assert shell.registry.tags() == set()


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param("UPPER/x", id="capitals"),
        pytest.param("h.example/a//b", id="an empty part"),
        pytest.param(f"h.example/a:{'t' * 129}", id="a long tag"),
        pytest.param("h.example/x@sha256:12", id="half a digest"),
        pytest.param("https://h.example/x", id="an address of the web"),
        pytest.param("h.example/x/", id="a slash at the end"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_reference_that_is_none_is_refused_before_any_request(
    shell: Shell, reference: str
) -> None:
    done = shell.run("push", "web.oci", reference, HTTPS_PROXY=f"http://{shell.registry.registry}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: cannot read image reference '{reference}': ")
    assert shell.registry.seen == []


@pytest.mark.parametrize(
    "other", ["h.example/team/base", "team/base:1.0"], ids=["a registry", "a tag"]
)
def test_a_blob_is_taken_from_a_repository_and_nothing_else(shell: Shell, other: str) -> None:
    done = shell.run("push", "--mount-from", other, "web.oci", shell.name)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: cannot mount from '{other}': it is more than a repository",
        "hint: name it as REF does, without the registry and the tag",
    ]
    assert shell.registry.seen == []


def test_half_an_account_is_refused_before_any_request(shell: Shell) -> None:
    done = shell.run("push", "web.oci", shell.name, NIX2OCI_PASSWORD="")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: NIX2OCI_USERNAME is set and NIX2OCI_PASSWORD is not"
    )
    assert shell.registry.seen == []


def test_an_image_that_is_not_there_is_an_error_of_a_file(shell: Shell) -> None:
    done = shell.run("push", "gone.oci", shell.name)
    assert done.returncode == 8
    assert done.stderr == "error: cannot read image at gone.oci: No such file or directory\n"


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_push_that_is_interrupted_calls_its_uploads_off(
    shell: Shell, name: signal.Signals
) -> None:
    begun, over = Event(), Event()

    def hold(exchange: Exchange) -> None:
        begun.set()
        over.wait(60)
        exchange.cut()

    shell.registry.script("PUT", UPLOADS, hold)
    argv = [NIX2OCI, "push", "--jobs", "1", "web.oci", f"{shell.name}:1.0"]
    with started(argv, shell.env(), shell.directory) as process:
        assert begun.wait(60)
        process.send_signal(name)
        out, err = process.communicate(timeout=60)
        over.set()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted"
    assert len(shell.registry.calls("DELETE", UPLOADS)) == 1
    assert shell.registry.uploads == {}
    assert shell.registry.manifests == {}


def test_credentials_of_a_file_are_named(shell: Shell) -> None:
    shell.registry.auth = "basic"
    (shell.directory / ".docker").mkdir()
    file = shell.directory / ".docker/config.json"
    file.write_text(json.dumps({"auths": {shell.registry.registry: {
        "username": USER, "password": PASSWORD}}}))  # fmt: skip
    file.chmod(0o600)
    done = shell.run("push", "web.oci", shell.name, NIX2OCI_USERNAME="", NIX2OCI_PASSWORD="")
    assert done.returncode == 0, done.stderr
    assert f"nix2oci: using credentials from {file} for {shell.name}\n" in done.stderr


def test_a_registry_with_tls_is_believed_by_its_certificate(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    made = Certificates.make(tmp_path / "made")
    certs = made.copy(tmp_path / "certs", "ca.crt")
    with running(FakeRegistry(), made.server()) as registry:
        name = f"{registry.registry}/{REPOSITORY}"
        refused = shell.run("push", "web.oci", name)
        assert refused.returncode == 6
        assert "hint: trust its authority with --cert-dir DIR" in refused.stderr
        trusted = shell.run("push", "--cert-dir", str(certs), "web.oci", name)
        assert (trusted.returncode, trusted.stdout) == (0, f"{name}@{shell.digest}\n")
        unchecked = shell.run("push", "--no-tls-verify", "web.oci", name)
        assert unchecked.returncode == 0
        assert "nix2oci: warning: the certificate of the registry is not checked\n" in (
            unchecked.stderr
        )


# --- the other commands -----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "docker://"])
def test_inspect_says_the_same_of_an_image_in_a_registry(shell: Shell, prefix: str) -> None:
    shell.run("push", "web.oci", f"{shell.name}:1.0")
    shell.registry.auth = "bearer"
    here = shell.run("inspect", "web.oci")
    there = shell.run("inspect", f"{prefix}{shell.name}:1.0")
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout


def test_validate_reads_an_image_in_a_registry(shell: Shell) -> None:
    shell.run("push", "web.oci", f"{shell.name}:1.0")
    here = shell.run("validate", "web.oci")
    there = shell.run("validate", f"{shell.name}@{shell.digest}")
    assert there.returncode == here.returncode == 0, there.stderr
    assert there.stdout == here.stdout.replace("web.oci is", f"{shell.name}@{shell.digest} is")


def test_validate_reads_an_index_in_a_registry(shell: Shell) -> None:
    root = write_index(shell.directory)
    shell.run("push", str(root), f"{shell.name}:1.0")
    here = shell.run("validate", str(root))
    there = shell.run("validate", f"{shell.name}:1.0")
    assert there.stdout == here.stdout.replace(f"{root} is", f"{shell.name}:1.0 is")


def test_an_index_of_what_is_in_a_registry_takes_along_what_refers_to_it(shell: Shell) -> None:
    shell.run("push", "web.oci", f"{shell.name}:1.0")
    manifest = shell.directory / "web.oci/blobs/sha256" / shell.digest[7:]
    kind, size = "application/vnd.oci.image.manifest.v1+json", manifest.stat().st_size

    def about(document: dict[str, Any]) -> None:
        document["subject"] = {"mediaType": kind, "digest": shell.digest, "size": size}

    SmallImage(manifest=about).write(shell.directory / "about")
    pushed = shell.run("push", "about", f"{shell.name}:signature").stdout.strip()
    done = shell.run("index", f"{shell.name}:1.0", "-o", "x")
    assert done.returncode == 0, done.stderr
    entries = json.loads((shell.directory / "x/index.json").read_text())["manifests"]
    assert pushed == f"{shell.name}@{entries[1]['digest']}"


def test_what_is_neither_file_nor_in_a_registry_is_told_as_both(shell: Shell) -> None:
    done = shell.run("inspect", f"{shell.name}:gone")
    assert done.returncode == 6
    asked = f"http://{shell.registry.registry}/v2/{REPOSITORY}/manifests/gone"
    said, hint = done.stderr.splitlines()[-2:]
    assert said == (
        f"error: cannot read image at {shell.name}:gone: "
        f"GET {asked} answered 404: MANIFEST_UNKNOWN: manifest_unknown"
    )
    assert hint == f"hint: there is no file '{shell.name}:gone' either"

"""`nix2oci push` and a real registry, and other people's programs that read what it got."""

import subprocess
from pathlib import Path

import pytest
from real.engines import ClientEngine, Job, output
from real.images import NIX2OCI, TAG, Images, nix2oci
from real.registries import HTPASSWD, Pusher, fetched, same, serving
from support.certificates import Certificates
from support.fakeregistry import CANARY, PASSWORD, USER
from support.tools import require


@pytest.mark.parametrize("relative", [True, False], ids=["relative addresses", "whole addresses"])
def test_skopeo_gets_back_what_was_pushed(
    pusher: Pusher, tmp_path: Path, *, relative: bool
) -> None:
    with serving(tmp_path / "state", http={"relativeurls": relative}) as registry:
        pusher.arrives(registry.host)
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert same(pusher.layout, back)


def test_an_archive_arrives_as_its_layout_does(
    pusher: Pusher, images: Images, tmp_path: Path
) -> None:
    with serving(tmp_path / "state") as registry:
        printed = nix2oci("push", images.archive("redis-server"), f"{registry.host}/team/app:{TAG}")
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert printed == f"{registry.host}/team/app@{back.descriptor['digest']}"
    assert same(pusher.layout, back)


def test_a_second_push_sends_no_blob(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        sent = len(registry.puts())
        done = pusher.arrives(registry.host)
        assert len(registry.puts()) == sent == len(pusher.layout.layers) + 1
    assert "sent no blob" in done.stderr


def test_a_blob_that_was_deleted_is_sent_again(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        digest = pusher.layout.layers[0]
        require("curl")
        url = f"http://{registry.host}/v2/team/app/blobs/{digest}"
        output("curl", "--silent", "--fail", "--noproxy", "*", "-X", "DELETE", url)
        done = pusher.arrives(registry.host)
        assert "sent 1 blob, " in done.stderr
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert same(pusher.layout, back)


def test_a_blob_is_mounted_from_another_repository(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        source = f"oci:{pusher.layout.path}:{TAG}"
        argv = [NIX2OCI, "push", "--mount-from", "team/app", source, f"{registry.host}/other:1"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=pusher.env())
        number = len(pusher.layout.layers) + 1
        assert f"sent no blob; {number} from another repository" in done.stderr


@pytest.mark.parametrize("who", ["environment", "podman login"])
def test_a_registry_with_a_password_and_tls_lets_us_in(
    pusher: Pusher, tmp_path: Path, who: str
) -> None:
    (tmp_path / "made").mkdir()
    made = Certificates.make(tmp_path / "made")
    certs = made.copy(tmp_path / "certs", "ca.crt")
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    tls = {"certificate": f"{made.directory}/server.cert", "key": f"{made.directory}/server.key"}
    auth = {"auth": {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}}
    with serving(tmp_path / "state", http={"tls": tls}, settings=auth) as registry:
        cert = f"--cert-dir={certs}"
        assert pusher.push(registry.host).returncode == 6, "the certificate was believed"
        assert pusher.push(registry.host, cert).returncode == 7, "everyone may push"
        wrong = {"NIX2OCI_USERNAME": USER, "NIX2OCI_PASSWORD": f"{CANARY}-wrong"}
        assert pusher.push(registry.host, cert, **wrong).returncode == 7
        if who == "environment":
            done = pusher.arrives(
                registry.host, cert, NIX2OCI_USERNAME=USER, NIX2OCI_PASSWORD=PASSWORD
            )
            source = "NIX2OCI_USERNAME and NIX2OCI_PASSWORD"
        else:
            require("podman")
            source = str(tmp_path / "auth.json")
            argv = ["podman", "login", f"--authfile={source}", cert, f"--username={USER}",
                    "--password-stdin", registry.host]  # fmt: skip
            subprocess.run(argv, input=PASSWORD.encode(), check=True, capture_output=True)
            done = pusher.arrives(registry.host, cert, REGISTRY_AUTH_FILE=source)
        assert f"using credentials from {source} for {registry.host}/team/app" in done.stderr
        back = fetched(
            registry.host, tmp_path / "back", f"--src-cert-dir={certs}",
            f"--src-creds={USER}:{PASSWORD}",
        )  # fmt: skip
    assert same(pusher.layout, back)


def test_plain_http_to_a_registry_with_tls_is_explained(pusher: Pusher, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    made = Certificates.make(tmp_path / "made")
    tls = {"certificate": f"{made.directory}/server.cert", "key": f"{made.directory}/server.key"}
    with serving(tmp_path / "state", http={"tls": tls}) as registry:
        done = pusher.push(registry.host, "--plain-http")
    assert done.returncode == 6
    assert "hint: it speaks TLS: leave out --plain-http\n" in done.stderr


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_an_engine_pulls_and_runs_what_was_pushed(
    pusher: Pusher, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    insecure = ("--tls-verify=false",) if name == "podman" else ()
    with serving(tmp_path / "state") as registry:
        reference = pusher.arrives(registry.host).stdout.strip()
        output(*engine.client, "pull", "--quiet", *insecure, reference)
        done = engine.run(Job(reference, ("--version",)))
        output(*engine.client, "rmi", "--force", reference)
    assert done.stdout.startswith("Redis server v="), done.stderr


def test_the_other_commands_read_what_was_pushed(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        name = f"{registry.host}/team/app:{TAG}"
        here = output(NIX2OCI, "inspect", pusher.layout.path)
        assert output(NIX2OCI, "inspect", name) == here
        assert f"{name} is valid: 0 errors" in output(NIX2OCI, "validate", name)

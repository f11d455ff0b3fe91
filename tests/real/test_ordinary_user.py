"""uid 1000, a nix-daemon and build users: what nearly everybody has who uses Nix."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.docker_registry import registry
from real.images import NIX2OCI, Images
from real.ordinary import OrdinaryUser, ordinary_user
from support.paths import TESTS
from support.tools import require

pytestmark = pytest.mark.nix


@pytest.fixture(scope="module")
def user(distro: Path) -> Iterator[OrdinaryUser]:
    with tempfile.TemporaryDirectory(prefix="n2o-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        packages = distro.with_suffix(".debs")
        with ordinary_user(Path(directory), TESTS.parent, distro, packages) as user:
            added = user.run("nix-store", "--add-fixed", "sha256", *packages.glob("*.deb"))
            assert added.returncode == 0, added.stderr
            yield user


@pytest.fixture(scope="module")
def sed(distro: Path) -> str:
    return f"path:{distro}#sed"


@pytest.fixture(scope="module")
def built(user: OrdinaryUser, sed: str, images: Images) -> str:
    """The digest of the image, the first that is built: by the daemon, as a build user."""
    done = user.nix2oci("build", sed, "--tag", images.name("sed"), "-o", "first.oci", "--json")
    return str(json.loads(done.stdout)["digest"])


def test_the_image_is_that_of_root(built: str, images: Images) -> None:
    assert built == images.layout("sed").descriptor["digest"]


def test_the_daemon_has_built_it(user: OrdinaryUser, built: str) -> None:  # noqa: ARG001
    assert user.run("nix", "store", "ping", "--store", "daemon").returncode == 0
    assert user.run("test", "-w", "/nix/store").returncode == 1
    assert user.run("id", "-u").stdout == "1000\n"


def test_a_rebuild_takes_its_layers_from_the_cache(
    user: OrdinaryUser, sed: str, images: Images, built: str
) -> None:
    argv = ("build", sed, "--tag", images.name("sed"), "-o", "second.oci", "--json")
    done = user.nix2oci(*argv)
    assert json.loads(done.stdout)["digest"] == built
    assert "layers are in the cache" in done.stderr


def test_it_is_pushed(user: OrdinaryUser, sed: str, tmp_path: Path) -> None:
    with registry(tmp_path) as host:
        done = user.nix2oci("build", sed, "--push", f"{host}/team/sed:1")
        user.nix2oci("validate", done.stdout.strip())
    assert done.stdout.startswith(f"{host}/team/sed@sha256:")


def test_a_closure_comes_from_a_binary_cache(
    user: OrdinaryUser, sed: str, images: Images, built: str
) -> None:
    url = f"file://{user.home}/binary-cache"
    copied = user.run("nix", "copy", "--to", url, sed)
    assert copied.returncode == 0, copied.stderr
    options = ("--tag", images.name("sed"), "-o", "third.oci", "--json")
    unsigned = user.run(NIX2OCI, "build", sed, "--from", url, *options)
    assert (unsigned.returncode, "no key that Nix trusts" in unsigned.stderr) == (4, True)
    done = user.nix2oci("build", sed, "--from", url, "--no-check-sigs", *options)
    assert json.loads(done.stdout)["digest"] == built


def test_podman_has_it_without_root(user: OrdinaryUser, sed: str) -> None:
    require("podman")
    done = user.nix2oci("build", sed, "--tag", "sed:1", "--load", "podman")
    assert done.stdout == "localhost/sed:1\n"
    shown = user.run("podman", "image", "inspect", "--format", "{{.Id}}", "localhost/sed:1")
    assert shown.returncode == 0, shown.stderr


def test_nothing_of_it_is_left(user: OrdinaryUser) -> None:
    assert [str(path) for path in user.home.rglob(".n*") if ".nix2oci-" in path.name] == []

"""What the tests with real tools share: a clean environment, engines, images."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.distro import SINGLE_USER, distro_flake
from real.engines import Engine, Runc, docker, podman
from real.images import NONROOT, Images
from real.registries import Pusher
from support.pushing import SECRETS
from support.tools import require, require_root

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("real")


@pytest.fixture(scope="session", autouse=True)
def _environment_of_the_tools() -> Iterator[None]:
    """Nothing of the developer's own settings reaches an image or a tool."""
    umask = os.umask(0o022)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SOURCE_DATE_EPOCH", "DOCKER_HOST", "CONTAINER_HOST", "TZ"):
            patch.delenv(name, raising=False)
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("NIX2OCI_CACHE_SIZE", "0")  # a build that finds all is no test of building
        patch.setenv("TERM", "xterm")
        patch.setenv("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
        if not Path("/nix/var/nix/daemon-socket/socket").exists():
            patch.setenv("NIX_CONFIG", SINGLE_USER)
        yield
    os.umask(umask)


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory for the session: removed after it, since images are large."""
    with tempfile.TemporaryDirectory(prefix="n2o-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session")
def distro() -> Path:
    return distro_flake(HERE.parents[1] / ".cache")


@pytest.fixture(scope="session")
def images(distro: Path, scratch: Path) -> Images:
    directory = scratch / "images"
    directory.mkdir()
    return Images(distro, directory)


@pytest.fixture(scope="session")
def runc_engine(scratch: Path) -> Runc:
    require_root()
    require("runc", "umoci")
    return Runc(scratch / "runc")


@pytest.fixture(scope="session")
def podman_engine(scratch: Path) -> Engine:
    require_root()
    return podman(scratch / "podman")


@pytest.fixture(scope="session")
def docker_engine(scratch: Path) -> Iterator[Engine]:
    require_root()
    with docker(scratch / "docker") as engine:
        yield engine


@pytest.fixture(params=["runc", pytest.param("podman", marks=pytest.mark.slow), "docker"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each of the engines in turn; each is set up once in a session."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    return engine


@pytest.fixture
def share() -> Iterator[Path]:
    """A directory to mount, that the image's user may write: short, for sockets."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="n2o-", ignore_cleanup_errors=True) as directory:
        os.chown(directory, NONROOT, NONROOT)
        yield Path(directory)


@pytest.fixture
def pusher(images: Images, tmp_path: Path) -> Iterator[Pusher]:
    """Whatever it is shown, it says nothing secret."""
    pusher = Pusher(images.layout("redis-server"), tmp_path)
    yield pusher
    assert [secret for secret in SECRETS if any(secret in text for text in pusher.said)] == []

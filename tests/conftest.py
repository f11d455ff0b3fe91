"""What every test has: a clean environment, and as many examples as there is time for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.fakestore import FakeStore
from support.pushbuild import Shop
from support.pushing import SECRETS, Desk

REAL = Path(__file__).parent / "real"

# No deadline: the machine is shared. In CI there is more time for rare examples.
settings.register_profile("local", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=200, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")  # noqa: TID251

_OURS = ("NIX_", "XDG_", "DOCKER_", "CONTAINER_", "LC_")
_NAMES = frozenset(
    ("SOURCE_DATE_EPOCH", "TZ", "LANG", "LANGUAGE", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
)


@pytest.fixture(autouse=True)
def _clean_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Nothing of the developer's settings reaches a test; `real/` has its own for its tools."""
    if request.path.is_relative_to(REAL):
        yield
        return
    for name in list(os.environ):  # noqa: TID251
        if name.startswith(_OURS) or name in _NAMES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FakeStore]:
    """An empty store; whoever is not root can remove it afterwards."""
    yield FakeStore(tmp_path)
    for directory, _, _ in os.walk(tmp_path):
        Path(directory).chmod(0o755)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A small image and a fake registry. Whatever the test does, nothing secret is said."""
    with running(FakeRegistry()) as registry:
        desk = Desk.make(tmp_path / "image", registry)
        registry.now = lambda: desk.time.time
        yield desk
    assert [secret for secret in SECRETS if secret in desk.said()] == []


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Builds that push to a registry, none of which may say anything secret."""
    with running(FakeRegistry()) as registry:
        registry.auth = "bearer"
        made = Shop.make(tmp_path, registry)
        yield made
    assert [secret for secret in SECRETS if any(secret in text for text in made.said)] == []

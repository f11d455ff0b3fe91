"""`build --push` sends layers while it makes the next ones."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from support.fakeregistry import Action, Exchange, FakeRegistry, error, proceed
from support.fakeserver import running
from support.pushbuild import Shop, reused
from support.pushing import REPOSITORY
from support.two_systems import BOTH, place

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="layers are made one after the other"
)
LARGE = hashlib.shake_128(b"large").hexdigest(4 << 20)
"""So much of an application that its layer is made long after the others."""


@pytest.fixture
def large(shop: Shop) -> Shop:
    shop.edit(LARGE)
    return shop


def test_the_first_layer_arrives_before_the_last_one_is_whole(large: Shop, tmp_path: Path) -> None:
    made: list[int] = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def count(exchange: Exchange) -> None:
        found = (files for where, _, files in os.walk(scratch) if where.endswith("blobs/sha256"))
        made.append(sum(map(len, found)))
        exchange.proceed()

    large.registry.script("PUT", "/blobs/uploads/", count, always=True)
    document = large.push(TMPDIR=str(scratch))
    assert made[0] < len(document["layers"]) <= made[-1]
    assert [blob["outcome"] for blob in document["pushed"]["blobs"]] == ["sent"] * 4
    assert sorted(large.sent()) == sorted(blob["digest"] for blob in document["pushed"]["blobs"])
    assert len(large.registry.calls("HEAD", "/blobs/")) == 4
    assert large.registry.calls("PUT")[-1].endswith("/manifests/1.0")
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("action", "code", "cause"),
    [
        pytest.param(error(403, "DENIED"), 7, " answered 403: DENIED: denied", id="forbidden"),
        pytest.param(error(400, "NAME_INVALID"), 6, " answered 400: NAME_INVALID", id="refused"),
    ],
)
def test_what_the_registry_refuses_ends_the_making(
    large: Shop, tmp_path: Path, action: Action, code: int, cause: str
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    large.registry.script("PUT", "/blobs/uploads/", action, always=True)
    done = large.build("--push", large.name, "-v", TMPDIR=str(scratch))
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: cannot push to {large.repository}: PUT " in done.stderr
    assert cause in done.stderr
    assert "pushing to" not in done.stderr
    assert large.registry.manifests == {}
    assert list(scratch.iterdir()) == []


def test_a_layer_of_the_cache_is_sent_while_others_are_made(large: Shop) -> None:
    args = ("build", ".#app", "--push", large.name)
    assert large.terminal.run(*args, **large.env()).returncode == 0
    large.edit(LARGE + "changed")
    large.registry.blobs.clear()
    large.registry.manifests.clear()
    large.forget()
    assert large.terminal.run(*args, **large.env()).returncode == 0
    assert len(large.sent()) == 4


def test_an_image_that_is_kept_here_is_whole_before_it_is_sent(large: Shop) -> None:
    layout = large.terminal.directory / "x"
    whole: list[bool] = []

    def look(exchange: Exchange) -> None:
        whole.append((layout / "index.json").exists())
        exchange.proceed()

    large.registry.script("PUT", "/blobs/uploads/", look, always=True)
    assert reused(large.push("-o", "x")) == [False] * 3
    assert all(whole)


@pytest.mark.parametrize("refused", range(3))
def test_a_refusal_for_one_platform_ends_the_others(tmp_path: Path, refused: int) -> None:
    """Whatever is being done by then."""
    terminal = place(tmp_path)
    with running(FakeRegistry()) as registry:
        name = f"{registry.registry}/{REPOSITORY}:1.0"
        registry.script("PUT", "/blobs/uploads/", *[proceed] * refused)
        registry.script("PUT", "/blobs/uploads/", error(403, "DENIED"), always=True)
        done = terminal.run("build", ".#app", *BOTH, "--push", name, "--no-cache")
    assert (done.returncode, done.stdout) == (7, "")
    assert f"error: cannot push to {registry.registry}/{REPOSITORY}: PUT " in done.stderr
    assert registry.manifests == {}

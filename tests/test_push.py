"""Pushing an image to a registry that keeps the specification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fakeregistry import FakeRegistry, running
from support.pushing import ALICE, REPOSITORY, SECRETS, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running(FakeRegistry()) as registry:
        desk = Desk.make(tmp_path / "image", registry)
        registry.now = lambda: desk.time.time
        yield desk
    assert [secret for secret in SECRETS if secret in desk.said()] == []


def test_an_image_arrives_whole(desk: Desk) -> None:
    pushed = desk.push()
    digest = desk.cargo.documents[-1].descriptor.digest
    assert str(pushed) == f"{desk.registry.registry}/{REPOSITORY}@{digest}"
    assert desk.is_complete()
    assert list(pushed.outcomes.values()) == ["sent", "sent", "sent"]
    assert sum(desk.moved) == desk.cargo.size

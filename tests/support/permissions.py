"""Directories of a test that another user has to get into."""

from __future__ import annotations

from pathlib import Path


def open_the_way(path: Path) -> None:
    """Let everybody into the directories above a path that keep others out."""
    for parent in path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)

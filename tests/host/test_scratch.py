"""Directories for what is not whole yet; tests/real/test_kills.py kills their owners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nix2oci.host.scratch import remove_tree, scratch_directory


def deep(directory: Path) -> None:
    """Directories in directories, of which Python's own ways reach no more than 1,000."""
    place = str(directory)
    for _ in range(1500):
        place += "/d"
        os.mkdir(place)
    Path(f"{place}/file").write_text("x")


def test_a_deep_tree_is_removed_with_its_directory(tmp_path: Path) -> None:
    with scratch_directory(str(tmp_path)) as directory:
        deep(Path(directory))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a link to a directory", "a link in a directory"])
def test_where_a_link_leads_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("x")
    (tmp_path / "a link in a directory").mkdir()
    (tmp_path / "a link in a directory/link").symlink_to("../other")
    (tmp_path / "a link to a directory").symlink_to("other")
    remove_tree(str(tmp_path / name))
    assert not os.path.lexists(tmp_path / name)
    assert (tmp_path / "other/file").read_text() == "x"


def test_a_file_and_what_is_not_there_are_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for _ in range(2):
        remove_tree(str(tmp_path / "file"))
    assert list(tmp_path.iterdir()) == []

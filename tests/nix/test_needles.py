"""Which of many files have a needle, however they lie in the memory that is searched at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from nix2oci.nix.needles import holding

_NEEDLES = (b"aaaa1", b"bbbb2")
_MIB = 1 << 20


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        pytest.param([], [], id="no file at all"),
        pytest.param([b"", b"x", b""], [], id="none has one"),
        pytest.param([b"x", b"<aaaa1>", b"bbbb2", b""], [1, 2], id="each may have another"),
        pytest.param([b"aaaa1aaaa1", b"bbbb2aaaa1"], [0, 1], id="several in one file count once"),
        pytest.param([b"", b"aaaa1", b""], [1], id="empty files around it do not hide it"),
        pytest.param([b"x" * (_MIB - 3), b"aaaa1"], [1], id="one that does not fit behind a large"),
        pytest.param([b"x" * _MIB + b"aaaa1"], [0], id="one behind what is read at once"),
        pytest.param([b"x" * 10] * 2500 + [b"aaaa1"], [2500], id="one of very many"),
    ],
)
def test_files_with_a_needle_are_found(
    contents: list[bytes], expected: list[int], tmp_path: Path
) -> None:
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(content)
        files.append((bytes(path), b"%d" % number))
    found = list(holding(files, _NEEDLES))
    assert {int(name) for name in found} >= set(expected)
    assert all(any(needle in contents[at] for needle in _NEEDLES) for at in expected)
    assert len(found) == len(set(found)) <= len(expected) + 3


def test_a_needle_across_two_files_hides_none(tmp_path: Path) -> None:
    pieces = [b"aaa", b"a1 aaaa1", b"aaaa1"]
    for number, piece in enumerate(pieces):
        (tmp_path / str(number)).write_bytes(piece)
    files = [(bytes(tmp_path / str(number)), b"%d" % number) for number in range(3)]
    assert list(holding(files, _NEEDLES))[1:] == [b"1", b"2"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="link"):
        list(holding([(bytes(tmp_path / "link"), b"link")], _NEEDLES))

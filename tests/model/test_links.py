"""Where a path leads: the rules of the kernel, and the kernel itself as the judge."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.model.links import MAX_LINKS, At, Resolved, resolve

TREE: dict[bytes, bytes | At] = {
    b"/a": At.DIRECTORY,
    b"/a/file": At.FILE,
    b"/a/up": b"..",
    b"/a/absolute": b"/a/file",
    b"/a/self": b"self",
    b"/out": At.OUTSIDE,
    b"/to-out": b"out/x",
    **{f"/l{n}".encode(): f"l{n + 1}".encode() for n in range(MAX_LINKS)},
    f"/l{MAX_LINKS}".encode(): At.FILE,
    b"/one-more": b"l0",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/", Resolved(b"", At.DIRECTORY), id="the root"),
        pytest.param(b"/a/../..//a/./file", Resolved(b"/a/file", At.FILE), id="dots"),
        pytest.param(b"/a/up/a/absolute", Resolved(b"/a/file", At.FILE), id="links on the way"),
        pytest.param(b"/a/nothing/x", Resolved(b"/a/nothing", At.NOTHING), id="nothing there"),
        pytest.param(b"/a/file/x", Resolved(b"/a/file", At.NOTHING), id="a file on the way"),
        pytest.param(b"/a/file/", Resolved(b"/a/file", At.NOTHING), id="a file as a directory"),
        pytest.param(b"/a/self", Resolved(b"/a", At.LOOP), id="a link to itself"),
        pytest.param(b"/to-out/y", Resolved(b"/out", At.OUTSIDE), id="a place that does not count"),
        pytest.param(b"/l0", Resolved(f"/l{MAX_LINKS}".encode(), At.FILE), id="as many as may be"),
        pytest.param(b"/one-more", Resolved(b"", At.LOOP), id="a link too many"),
    ],
)
def test_a_path_is_followed(path: bytes, expected: Resolved) -> None:
    assert resolve(path, lambda at: TREE.get(at, At.NOTHING)) == expected
    assert expected.exists == (expected.at in (At.FILE, At.DIRECTORY))


def test_a_path_may_start_in_a_directory() -> None:
    found = resolve(b"../a/file", lambda at: TREE.get(at, At.NOTHING), start=b"/a")
    assert found == Resolved(b"/a/file", At.FILE)


NAMES = st.sampled_from(["a", "b", "c", ".", "..", "a/b", "b/c/", "/a", "/c/b"])


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), NAMES | st.none(), max_size=3), NAMES)
def test_the_kernel_agrees(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, str | None], path: str
) -> None:
    """Names of one directory that are links, files or, with no target, directories of two files."""
    root = tmp_path_factory.mktemp("root")
    for name, target in tree.items():
        if target is None:
            (root / name).mkdir()
            (root / name / "b").write_text("")
        else:
            (root / name).symlink_to(f"{root}{target}" if target.startswith("/") else target)
    asked = os.fsencode(root / path.lstrip("/"))
    if path.endswith("/"):
        asked += b"/"
    found = resolve(asked, look)
    try:
        os.stat(asked)
    except OSError:
        assert not found.exists
        return
    assert found.exists
    assert found.path == os.path.realpath(asked)


def look(path: bytes) -> bytes | At:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return At.NOTHING
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    return At.DIRECTORY if stat.S_ISDIR(mode) else At.FILE

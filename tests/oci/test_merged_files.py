"""The merged file system: however few layers are read, the answer is that of all of them."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.smallimage import Entry, Layer, SmallImage, directory, entry, link, tar

from nix2oci.oci.layer.untar import DIRECTORY
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.merged_files import ImageFiles

Files = dict[str, str]
"""What is at each path: `d` and the mode for a directory, the content of a file."""


def opened(root: Path, *layers: Sequence[Entry]) -> ImageFiles:
    image = SmallImage(layers=[Layer(tar(*entries)) for entries in layers]).write(root)
    return ImageFiles(open_image(str(image)))


def told(files: ImageFiles) -> Files:
    """Everything that is there, asked for at once."""
    found = {}
    for path, inode in files.all().items():
        text = b"".join(files.content(inode)) if inode.is_file else inode.target or b""
        is_directory = inode.member.kind == DIRECTORY
        found[path.decode()] = f"d{inode.member.mode:o}" if is_directory else text.decode()
    return found


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param(
            [[directory("a", 0o700), entry("a/x", b"x")], [entry("a/y", b"y")]],
            {"a": "d700", "a/x": "x", "a/y": "y"},
            id="a directory that a layer has no entry for is as it is below",
        ),
        pytest.param(
            [[entry("a/x", b"x")]],
            {"a": "d755", "a/x": "x"},
            id="and like any other where it is new",
        ),
        pytest.param(
            [[directory("b"), entry("b/x", b"x"), link("a", "b")], [entry("a/y", b"y")]],
            {"a": "d755", "a/y": "y", "b": "d755", "b/x": "x"},
            id="and takes the place of a link of a lower layer, as in an overlay",
        ),
        pytest.param(
            [[link("a", "b"), entry("a/y", b"y")]],
            {"a": "b", "b": "d755", "b/y": "y"},
            id="a link of the same layer is followed, as tar does",
        ),
        pytest.param(
            [[entry("a", b"1"), entry("a", b"2")]], {"a": "2"}, id="of two entries the last counts"
        ),
        pytest.param(
            [[directory("a"), entry("a/x", b"x"), entry("a", b"file")]],
            {"a": "file"},
            id="what is in a directory goes with it, also within a layer",
        ),
        pytest.param(
            [[entry("a/x", b"x")], [entry("a", b"file")], [directory("a", 0o711)]],
            {"a": "d711"},
            id="nor is it back when there is a directory again",
        ),
        pytest.param(
            [[entry("a", b"x")], [entry(".wh.a"), entry("a", b"y")]],
            {"a": "y"},
            id="a mark is about lower layers alone",
        ),
        pytest.param(
            [[directory("a", 0o700), entry("a/x", b"x")], [entry(".wh.a"), entry("a/y", b"y")]],
            {"a": "d755", "a/y": "y"},
            id="a directory that was deleted has not its old mode",
        ),
        pytest.param(
            [[directory("", 0o700), entry("x", b"x")], [entry(".wh..wh..opq"), entry("y", b"y")]],
            {"": "d700", "y": "y"},
            id="a mark may be about the root",
        ),
        pytest.param(
            [
                [entry("a", b"a")],
                [entry("b", type=tarfile.LNKTYPE, linkname="a")],
                [entry(".wh.a")],
            ],
            {"b": "a"},
            id="a hard link stays when the other name goes",
        ),
        pytest.param(
            [
                [entry("a", b"a")],
                [entry("b", type=tarfile.LNKTYPE, linkname="a"), entry("a", b"new")],
            ],
            {"a": "new", "b": "a"},
            id="a hard link stays when the other name gets another file",
        ),
    ],
)
def test_layers_on_top_of_each_other(
    layers: Sequence[Sequence[Entry]], expected: Files, tmp_path: Path
) -> None:
    assert told(opened(tmp_path / "image", *layers)) == expected


# --- any layers ----------------------------------------------------------------------------------

PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)


@st.composite
def any_layer(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Entries by path, no path twice, nothing below a file; kinds are dir, file, gone, opaque."""
    kinds = st.sampled_from(["dir", "file", "gone", "opaque"])
    found: dict[str, str] = {}
    for path, kind in draw(st.lists(st.tuples(PATHS, kinds), max_size=6)):
        above = [path[:at] for at, c in enumerate(path) if c == "/"]
        is_parent = any(other.startswith(f"{path}/") for other in found)
        if path in found or any(found.get(other, "dir") == "file" for other in above):
            continue
        if is_parent and kind == "file":
            continue
        found[path] = kind
    return list(found.items())


def as_entries(layer: Sequence[tuple[str, str]], number: int) -> list[Entry]:
    make: dict[str, Callable[[str], list[Entry]]] = {
        "dir": lambda path: [directory(path, 0o700 + number)],
        "file": lambda path: [entry(path, f"{path} of {number}".encode())],
        "gone": lambda path: [entry(f"{path[:-1]}.wh.{path[-1]}")],
        "opaque": lambda path: [directory(path, 0o700 + number), entry(f"{path}/.wh..wh..opq")],
    }
    return [made for path, kind in layer for made in make[kind](path)]


def laid(layers: Sequence[Sequence[tuple[str, str]]]) -> Files:
    """The same by the letter of image-spec: bottom up, deletions first, then entries in order."""
    found: Files = {}
    for number, layer in enumerate(layers):
        for path, kind in layer:
            if kind in ("gone", "opaque"):
                without_inside(found, path)
            if kind == "gone":
                found.pop(path, None)
        for path, kind in layer:
            if kind == "gone":
                continue
            for above in (path[:at] for at, c in enumerate(path) if c == "/"):
                if not found.get(above, "").startswith("d"):
                    found[above] = "d755"
            if kind == "file":
                without_inside(found, path)
            found[path] = f"{path} of {number}" if kind == "file" else f"d{0o700 + number:o}"
    return found


def without_inside(found: Files, path: str) -> None:
    for old in [old for old in found if old.startswith(f"{path}/")]:
        del found[old]


@given(st.lists(any_layer(), min_size=1, max_size=4))
def test_every_question_has_the_answer_of_all_layers(
    layers: list[list[tuple[str, str]]],
) -> None:
    expected = laid(layers)
    with tempfile.TemporaryDirectory() as scratch:
        entries = [as_entries(layer, number) for number, layer in enumerate(layers)]
        files = opened(Path(scratch) / "image", *entries)
        assert told(files) == expected
        for text in {*expected, "a", "b", "a/b", "b/a/a", "a/a/a"}:
            path = text.encode()
            fresh = ImageFiles(open_image(f"{scratch}/image"))
            found = fresh.inode(path)
            assert (found is not None) == (text in expected)
            assert found == files.inode(path)
            inside = [other for other in expected if other.rpartition("/")[0] == text]
            if found is not None and found.is_directory:
                fresh = ImageFiles(open_image(f"{scratch}/image"))
                assert [name.decode() for name in fresh.names(path)] == sorted(inside)
            fresh = ImageFiles(open_image(f"{scratch}/image"))
            assert fresh.find(path).exists == (text in expected)

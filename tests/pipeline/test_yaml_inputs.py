"""Which files `-f` names, and what becomes of several."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import yaml

from nix2oci.config.yaml_inputs import joined, read_inputs
from nix2oci.errors import Nix2OCIError

NO_INPUT = io.BytesIO()


def names(*given: str, recursive: bool = False) -> list[str]:
    return [name for name, _ in read_inputs(given, NO_INPUT, recursive=recursive)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with what counts and what does not."""
    for name in ("b.yml", "a.yaml", "c.json", "README.md", "z/d.yaml", "z/y/e.yaml", "k/f.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"# {name}\n")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "g.yaml").symlink_to("README.md")
    (tmp_path / "h.yaml").mkdir()
    return tmp_path


def test_files_of_a_directory_are_in_the_order_of_their_names(tree: Path) -> None:
    found = [os.path.relpath(name, tree) for name in names(str(tree))]
    assert found == ["a.yaml", "b.yml", "c.json", "g.yaml"]


def test_directories_below_count_when_they_are_asked_for(tree: Path) -> None:
    """No link to one is followed."""
    found = [os.path.relpath(name, tree) for name in names(str(tree), recursive=True)]
    assert found == ["a.yaml", "b.yml", "c.json", "g.yaml", "z/d.yaml", "z/y/e.yaml"]


def test_a_file_counts_whatever_its_name_is_and_inputs_keep_their_order(tree: Path) -> None:
    readme, below = str(tree / "README.md"), str(tree / "z")
    stdin = io.BytesIO(b"of standard input")
    found = read_inputs((below, "-", readme), stdin, recursive=False)
    assert found == [
        (f"{below}/d.yaml", b"# z/d.yaml\n"),
        ("standard input", b"of standard input"),
        (readme, b"# README.md\n"),
    ]


def test_a_pipe_that_is_named_is_read_to_its_end() -> None:
    """As a shell names one for `<(helm template .)`."""
    read, write = os.pipe()
    os.write(write, b"a: b\n")
    os.close(write)
    try:
        ((_, data),) = read_inputs([f"/dev/fd/{read}"], NO_INPUT, recursive=False)
    finally:
        os.close(read)
    assert data == b"a: b\n"


def test_a_pipe_in_a_directory_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(Nix2OCIError, match=r"cannot read .*/a\.yaml: it is no file"):
        names(str(tmp_path))


@pytest.mark.parametrize(
    ("given", "code", "message", "hint"),
    [
        pytest.param(
            ("k",),
            2,
            "cannot resolve k: it has no file that ends in .json, .yaml, .yml",
            "name the files; with -R, those in directories below it count, too",
            id="a directory without any",
        ),
        pytest.param(
            ("-", "-"), 2, "cannot read standard input twice", "name - once", id="- twice"
        ),
        pytest.param(("x",), 8, "cannot read x: No such file or directory", None, id="no file"),
        pytest.param(
            ("/dev/zero",), 8, "cannot read /dev/zero: it is larger than 16.8 MB", None, id="no end"
        ),
        pytest.param(("a\0b",), 8, r"cannot read a\x00b: embedded null byte", None, id="no name"),
    ],
)
def test_what_cannot_be_read(
    *,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    code: int,
    message: str,
    hint: str | None,
) -> None:
    monkeypatch.chdir(tree)
    with pytest.raises(Nix2OCIError) as caught:
        names(*given)
    assert (caught.value.exit_code, str(caught.value), caught.value.hint) == (code, message, hint)


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        pytest.param([], b"", id="none"),
        pytest.param([b"\xef\xbb\xbfa: b"], b"\xef\xbb\xbfa: b", id="one is as it is"),
        pytest.param([b"a: b\n", b"c: d\n"], b"a: b\n---\nc: d\n", id="a border between two"),
        pytest.param([b"a: b", b"c: d"], b"a: b\n---\nc: d\n", id="each ends its line"),
        pytest.param(
            [b"a: b\n", b"\xef\xbb\xbfc: d\n"], b"a: b\n---\nc: d\n", id="a mark in the middle"
        ),
        pytest.param(
            [b"a: b\n", b"# c\n%YAML 1.1\n---\nc: d\n"],
            b"a: b\n...\n# c\n%YAML 1.1\n---\nc: d\n",
            id="a directive follows an end",
        ),
        pytest.param(
            [b'{"a": 1}', b"c: d\n"],
            b'---\n{"a": 1}\n---\nc: d\n',
            id="JSON first is not all that there is",
        ),
    ],
)
def test_several_become_one_stream(streams: list[bytes], expected: bytes) -> None:
    stream = joined(streams)
    assert stream == expected
    apart = [found for one in streams for found in yaml.safe_load_all(one)]
    assert list(yaml.safe_load_all(stream)) == apart

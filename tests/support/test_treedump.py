"""The one-line dump that other tests compare roots by: the same from each kind of source."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from support.treedump import treedump

from nix2oci.model.tree import Directory, File, Owned, Symlink, Tree, text_file

LINES = [
    "drwxr-xr-x 0:0 .",
    "drwxr-xr-x 0:0 etc",
    "-rw-r--r-- 0:0 etc/passwd sha256:4813494d",
    "lrwxrwxrwx 0:0 lib -> usr/lib",
    "drwxrwxrwt 5:7 tmp",
    "-r--r--r-- 0:0 tmp/\\xff\\n sha256:e3b0c442",
]


def plain_tree() -> Tree:
    entries = (
        Directory(b"tmp", 0o1777, 5, 7),
        File(b"tmp/\xff\n", 0, (), 0o444),
        Directory(b".", 0o755),
        text_file("etc/passwd", "root"),
        Symlink(b"lib", b"usr/lib"),
    )
    return Tree.merge(Owned(entry, "test") for entry in entries)


def plain_tar(mode: str) -> io.BytesIO:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as tar:  # type: ignore[call-overload]
        for name, kind, permissions, rest in (
            ("./", tarfile.DIRTYPE, 0o755, ""),
            ("etc/", tarfile.DIRTYPE, 0o755, ""),
            ("etc/passwd", tarfile.REGTYPE, 0o644, "root"),
            ("lib", tarfile.SYMTYPE, 0o777, "usr/lib"),
            ("tmp/", tarfile.DIRTYPE, 0o1777, ""),
            (os.fsdecode(b"tmp/\xff\n"), tarfile.REGTYPE, 0o444, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, permissions
            member.uid, member.gid = (5, 7) if name == "tmp/" else (0, 0)
            if kind == tarfile.SYMTYPE:
                member.linkname = rest
            else:
                member.size = len(rest)
            tar.addfile(member, io.BytesIO(rest.encode()))
    data.seek(0)
    return data


def test_a_tree() -> None:
    assert treedump(plain_tree()) == LINES


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_file(mode: str, tmp_path: Path) -> None:
    data = plain_tar(mode)
    assert treedump(data) == LINES
    file = tmp_path / "layer"
    file.write_bytes(data.getvalue())
    assert treedump(file) == LINES


def test_a_tar_file_keeps_its_own_order_and_shows_what_no_layer_should_have() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, kind in (("b", tarfile.LNKTYPE), ("a", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "x" if kind == tarfile.LNKTYPE else ""
            tar.addfile(member)
    data.seek(0)
    assert treedump(data) == ["hrw-r--r-- 0:0 b -> x", "crw-r--r-- 0:0 a"]


def test_a_directory(tmp_path: Path) -> None:
    top = os.fsencode(tmp_path)
    os.mkdir(top + b"/etc", 0o755)
    os.mkdir(top + b"/tmp")
    for name, data in ((b"/etc/passwd", b"root"), (b"/tmp/\xff\n", b"")):
        with open(top + name, "wb") as file:
            file.write(data)
    os.symlink("usr/lib", top + b"/lib")
    for name, mode in ((b"", 0o755), (b"/etc", 0o755), (b"/etc/passwd", 0o644)):
        os.chmod(top + name, mode)
    os.chmod(top + b"/tmp/\xff\n", 0o444)
    os.chmod(top + b"/tmp", 0o1777)
    me = f" {os.getuid()}:{os.getgid()} "
    expected = [line.replace(" 0:0 ", me).replace(" 5:7 ", me) for line in LINES]
    assert treedump(tmp_path) == expected
    assert treedump(str(tmp_path)) == expected

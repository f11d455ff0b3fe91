"""`files` of nix2oci.yaml: files, directories and links of the last layer."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from support.bases import base
from support.fakestore import Node, Program
from support.smallimage import SmallImage, directory, entry
from support.terminal import APP, Terminal

from nix2oci.oci.validate.check_image import validate_layout

ETC: Node = {
    b"bin": {b"app": Program(b"\x7fELF")},
    b"etc": {b"app": {b"app.conf": b"theirs", b"other.conf": b"other"}, b"motd": b"hello"},
}
USERS = "users: [{name: shop, uid: 1000, gid: 100}]\n"


def terminal_of(tmp_path: Path, files: str, app: Node = APP) -> Terminal:
    terminal = Terminal.make(tmp_path, app)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / "nix2oci.yaml").write_text(files)
    return terminal


def listed(terminal: Terminal, *flags: str) -> dict[str, str]:
    """What an image has: by path, `mode uid:gid content`, of a link its target."""
    done = terminal.run("build", ".#app", "-o", "../x", *flags)
    assert done.returncode == 0, done.stderr
    assert [str(finding) for finding in validate_layout(str(terminal.directory / "../x"))] == []
    assert terminal.run("export", "../x", "-o", "../x.tar").returncode == 0
    found = {}
    with tarfile.open(fileobj=io.BytesIO((terminal.directory / "../x.tar").read_bytes())) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            what = file.read().decode("latin-1") if file else "dir" if member.isdir() else ""
            said = f"{member.mode:04o} {member.uid}:{member.gid} {what}"
            name = "/" + member.name.removeprefix("./").rstrip("/")
            found[name] = f"-> {member.linkname}" if member.issym() else said
            assert member.isdir() or member.mtime <= 1
    return found


PLACED = [
    pytest.param("/data: {directory: true}", {"/data": "0755 0:0 dir"}, id="a directory is root's"),
    pytest.param(
        '/data: {directory: true, owner: shop, mode: "0750"}',
        {"/data": "0750 1000:100 dir"},
        id="an owner's group is its own",
    ),
    pytest.param(
        '/etc/a/b: {text: "port = 80\\n", owner: "0:2000", mode: "0640"}',
        {"/etc/a/b": "0640 0:2000 port = 80\n", "/etc/a": "0755 0:0 dir"},
        id="a text with the number of a group, and a directory above it that is root's",
    ),
    pytest.param("/a: {text: ''}", {"/a": "0644 0:0 "}, id="an empty text"),
    pytest.param("/a: {text: x, owner: 77}", {"/a": "0644 77:77 x"}, id="a number nobody has"),
    pytest.param("/a: {text: x, owner: 'nobody:tty'}", {"/a": "0644 65534:5 x"}, id="two names"),
    pytest.param('/a: {text: x, mode: "4755"}', {"/a": "4755 0:0 x"}, id="setuid that is spelled"),
    pytest.param("/a: {text: x, mode: 0600}", {"/a": "0600 0:0 x"}, id="YAML text in digits"),
    pytest.param(
        "/usr/local/bin/serve: {link: /usr/bin/app}",
        {"/usr/local/bin/serve": "-> /usr/bin/app"},
        id="a link",
    ),
    pytest.param("/a: {link: ../b}\n  /c/d: {link: ../e}", None, id="one that climbs too far"),
    pytest.param("/bin/x: {text: x}", {"/usr/bin/x": "0644 0:0 x"}, id="below a link of the root"),
    pytest.param("/bin/app: {text: x}", {"/usr/bin/app": "0644 0:0 x"}, id="over a program's link"),
    pytest.param("/etc/motd: {text: x}", {"/etc/motd": "0644 0:0 x"}, id="over an output's link"),
    pytest.param("/etc/os-release: {text: x}", {"/etc/os-release": "0644 0:0 x"}, id="over ours"),
    pytest.param(
        "/home/nonroot: {directory: true, mode: '0755'}", {"/home/nonroot": "0755 0:0 dir"},
        id="a directory that is there gets the owner and mode",
    ),
    pytest.param(
        "/var/run: {directory: true, mode: '0700'}", {"/run": "0700 0:0 dir"},
        id="a directory behind a link",
    ),
    pytest.param(
        "/var/empty: {link: /tmp}", {"/var/empty": "-> /tmp"}, id="a link for an empty directory"
    ),
    pytest.param(
        "/l: {link: /d}\n  /d: {directory: true}\n  /l/x: {text: x}", {"/d/x": "0644 0:0 x"},
        id="below a link of files",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), PLACED)
def test_placed(tmp_path: Path, files: str, expected: dict[str, str] | None) -> None:
    terminal = terminal_of(tmp_path, f"{USERS}files:\n  {files}\n", ETC)
    if expected is None:
        assert terminal.run("build", ".#app", "-o", "../x").returncode == 2
        return
    found = listed(terminal)
    assert {path: found[path] for path in expected} == expected


def test_one_file_in_a_directory_of_an_output_leaves_the_others(tmp_path: Path) -> None:
    found = listed(terminal_of(tmp_path, "files: {/etc/app/app.conf: {text: ours}}", ETC))
    assert found["/etc/app/app.conf"] == "0644 0:0 ours"
    assert found["/etc/app/other.conf"].endswith("/etc/app/other.conf")


@pytest.mark.parametrize("path", ["/etc/motd", "/bin/app", "/etc/app", "/etc/nsswitch.conf"])
def test_absent_is_gone(tmp_path: Path, path: str) -> None:
    found = listed(terminal_of(tmp_path, f"files: {{{path}: {{absent: true}}}}", ETC))
    assert "/usr" + path not in found
    assert path not in found


def test_the_same_bytes_under_any_umask(tmp_path: Path) -> None:
    terminal = terminal_of(tmp_path, "files: {/a/b: {text: x}}")
    for mask in (0o022, 0o077):
        old = os.umask(mask)
        try:
            terminal.run("build", ".#app", "-o", f"../x{mask}")
        finally:
            os.umask(old)
    digests = {
        (terminal.directory / f"../x{mask}" / "index.json").read_bytes() for mask in (0o022, 0o077)
    }
    assert len(digests) == 1


# --- over a base image ----------------------------------------------------------------------


def over(*entries: tuple[tarfile.TarInfo, bytes]) -> SmallImage:
    return base(*entries)


def test_over_a_base_an_entry_replaces_and_a_name_of_the_base_is_an_owner(tmp_path: Path) -> None:
    terminal = terminal_of(
        tmp_path,
        "base: ./base.oci:1.0\nfiles:\n  /srv/a: {text: ours, owner: www}\n  /srv/l: {text: new}\n",
    )
    base(
        directory("srv", 0o1770),
        directory("etc"),
        entry("srv/a", b"theirs"),
        entry("srv/l", type=tarfile.SYMTYPE, linkname="a"),
        entry("etc/passwd", b"www:x:33:34::/srv:/bin/sh\n", mode=0o644),
    ).write(terminal.directory / "base.oci")
    found = listed(terminal)
    assert found["/srv/a"] == "0644 33:34 ours"
    assert found["/srv/l"] == "0644 0:0 new"
    assert found["/srv"] == "1770 0:0 dir"


# --- what cannot be meant -------------------------------------------------------------------

STORE = "nothing can be put in or above the store, and "
REFUSED = [
    pytest.param("/a: {}", "./a: expected one of directory, text", id="nothing"),
    pytest.param("/a: {text: x, link: y}", "got 'text' and 'link'", id="two things"),
    pytest.param("/a: {text: x, mode: 640}", 'write it in quotes: mode: "0640"', id="a number"),
    pytest.param("/a: {text: x, mode: rw}", 'octal digits such as "0644", got', id="no mode"),
    pytest.param("/a: {text: x, mode: '0888'}", "octal digits", id="no octal digits"),
    pytest.param("/a: {text: x, owner: who}", "nobody knows the owner 'who'", id="an owner"),
    pytest.param("/a: {text: x, owner: '0:who'}", "nobody knows the owner '0:who'", id="a group"),
    pytest.param("/a: {text: x, owner: 'a b'}", "expected an owner such as shop", id="a space"),
    pytest.param("a: {text: x}", "expected an absolute path, got 'a'", id="a relative path"),
    pytest.param("/a/../b: {text: x}", "write '/b'", id="no shortest form"),
    pytest.param("/: {directory: true}", "can only be a source", id="the root"),
    pytest.param("/a: {text: x}\n  /a: {text: x}", "the key '/a' is there twice", id="twice"),
    pytest.param(
        "/bin/x: {text: x}\n  /usr/bin/x: {text: x}", "/usr/bin/x is there twice", id="by a link"
    ),
    pytest.param("/nix/store: {directory: true}", f"{STORE}/nix/store is", id="the store"),
    pytest.param("/nix: {directory: true}", f"{STORE}/nix is", id="above the store"),
    pytest.param("/nix/store/x: {text: x}", f"{STORE}/nix/store/x is", id="in the store"),
    pytest.param("/l: {link: /nix}\n  /l/store: {text: x}", "/l/store leads", id="behind a link"),
    pytest.param("/nix: {absent: true}", f"{STORE}/nix is", id="the store absent"),
    pytest.param("/a: {link: ../../b}", "leaves the image", id="a link out"),
    pytest.param("/x/y: {absent: true}", "there is nothing at this path", id="absent of nothing"),
    pytest.param("/etc: {text: x}", "/etc is a directory of the image", id="a directory there"),
    pytest.param("/etc/passwd/x: {text: x}", "/etc/passwd is a file", id="below a file"),
    pytest.param("/a: {link: /b, mode: '0644'}", "'mode' has no meaning", id="a link's mode"),
    pytest.param("/a: {txt: x}", "did you mean 'text'?", id="an unknown key"),
    pytest.param("/a/.wh.b: {text: x}", "mark deletions", id="a whiteout"),
    pytest.param("/l: {link: /l}\n  /l/x: {text: x}", "in circles", id="circles"),
]


@pytest.mark.parametrize(("files", "message"), REFUSED)
def test_refused_with_the_line(tmp_path: Path, files: str, message: str) -> None:
    terminal = terminal_of(tmp_path, f"# a comment\nfiles:\n  {files}\n")
    done = terminal.run("build", ".#app", "-o", "../x")
    assert (done.returncode, done.stdout) == (2, "")
    assert message.removeprefix(".") in done.stderr
    assert "nix2oci.yaml:3" in done.stderr or "nix2oci.yaml:4" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (terminal.directory / "../x").exists()

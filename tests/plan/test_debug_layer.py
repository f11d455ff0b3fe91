"""The debug twin's layer: which names, which files, and what of the store they need."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from support.fakestore import store_path

from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.tree import Directory, File, Symlink, Tree
from nix2oci.plan.debug_layer import applet_names, missing_paths, tools_tree, with_tools_in_path

APPLETS = (
    *(b"[", b"[[", b"ash", b"base64", b"busybox", b"cat", b"dpkg-deb", b"ls", b"mkfs.vfat"),
    *(b"ping6", b"ps", b"run-init", b"sh", b"wget", b"zcat"),
)
TABLE = b"".join(name + b"\0" for name in APPLETS)


# --- names of applets --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "binary",
    [
        pytest.param(b"\x7fELF\0\0" + TABLE + b"\0\x01\x02", id="zeros around it"),
        pytest.param(b"usage: %s\n\0" + TABLE + b"%s: error\n\0", id="other texts around it"),
        pytest.param(b"zebra\0" + TABLE + b"after\0", id="names around it that are out of order"),
        pytest.param(b"ELF\xff" + TABLE, id="at the end"),
        pytest.param(
            b"\0".join(sorted(f"a{i:02}".encode() for i in range(50))) + b"\0\xff\0" + TABLE,
            id="a longer list that has no cat, ls and sh",
        ),
        pytest.param(
            b"cat\0cp\0dd\0du\0ed\0ls\0sh\0vi\0\xff\0" + TABLE, id="a shorter list that has them"
        ),
    ],
)
def test_names_of_applets_are_found_in_the_bytes(binary: bytes) -> None:
    assert applet_names(binary) == APPLETS


@pytest.mark.parametrize(
    "binary",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x7fELF cat ls sh", id="no zeros"),
        pytest.param(b"cat\0ls\0sh\0", id="three names are no list"),
        pytest.param(TABLE.replace(b"\0ls\0", b"\0"), id="a list without ls"),
        pytest.param(TABLE.upper(), id="capitals"),
    ],
)
def test_names_that_are_not_there(binary: bytes) -> None:
    assert applet_names(binary) == ()


# --- the tree ----------------------------------------------------------------------------------

BOX = b"/nix/store/x-busybox/bin/busybox"


def links(tree: Tree) -> Mapping[bytes, bytes]:
    return {entry.path: entry.target for entry in tree if isinstance(entry, Symlink)}


def test_links_beside_busybox_are_its_applets() -> None:
    tree = tools_tree({b"sh": BOX, b"busybox": BOX, b"ls": BOX}, TABLE, "tools")
    assert list(tree) == [
        Directory(b"busybox", 0o755),
        File(b"busybox/busybox", len(TABLE), (TABLE,), 0o755),
        Symlink(b"busybox/ls", b"busybox"),
        Symlink(b"busybox/sh", b"busybox"),
    ]
    assert {owned.owner for owned in tree.owned.values()} == {"tools"}


def test_a_busybox_without_links_gets_those_of_its_bytes() -> None:
    tree = tools_tree({b"busybox": BOX}, TABLE, "tools")
    assert links(tree) == {b"busybox/" + name: b"busybox" for name in APPLETS if name != b"busybox"}


def test_another_program_is_a_link_into_the_store_and_wins_over_an_applet() -> None:
    ps = b"/nix/store/x-procps/bin/ps"
    tree = tools_tree({b"busybox": BOX, b"ps": ps}, TABLE, "tools")
    assert links(tree)[b"busybox/ps"] == ps
    assert links(tree)[b"busybox/sh"] == b"busybox"


def test_tools_need_not_have_busybox() -> None:
    tree = tools_tree({b"strace": b"/nix/store/x-strace/bin/strace"}, b"", "tools")
    assert list(tree) == [
        Directory(b"busybox", 0o755),
        Symlink(b"busybox/strace", b"/nix/store/x-strace/bin/strace"),
    ]


def test_nothing_is_put_beside_the_directory() -> None:
    tree = tools_tree({b"busybox": BOX, b"bin": b"/nix/store/x/bin/bin"}, TABLE, "tools")
    assert all(e.path == b"busybox" or e.path.startswith(b"busybox/") for e in tree)


# --- what the tools need of the store ------------------------------------------------------------


def closure(references: Mapping[str, tuple[str, ...]]) -> Closure:
    paths = {name: store_path(name) for name in references}
    infos = [
        PathInfo(paths[name], bytes(32), 1, tuple(paths[other] for other in others))
        for name, others in references.items()
    ]
    return Closure.of_all(infos)


TOOLS = closure(
    {
        "busybox": ("busybox", "glibc", "script"),
        "glibc": ("idn",),
        "idn": (),
        "script": ("bash",),
        "bash": ("glibc",),
        "strace": ("glibc", "unwind"),
        "unwind": (),
    }
)
IN_STORE = f"{store_path('busybox')}/bin/busybox".encode()
STATIC = b"static"
DYNAMIC = f"{store_path('glibc')}/lib/ld.so\0{store_path('busybox')}/default.script\0".encode()


def program(name: str) -> bytes:
    return f"{store_path(name)}/bin/{name}".encode()


def names(infos: tuple[PathInfo, ...]) -> list[str]:
    return [info.path.name for info in infos]


@pytest.mark.parametrize(
    ("others", "busybox", "image", "expected"),
    [
        pytest.param((), STATIC, ("app",), [], id="a static busybox needs nothing"),
        pytest.param(
            (), DYNAMIC, ("app",), ["glibc", "idn"], id="a dynamic one its libraries, and theirs"
        ),
        pytest.param((), DYNAMIC, ("glibc", "idn"), [], id="libraries that the image has"),
        pytest.param((), DYNAMIC, ("glibc",), ["idn"], id="libraries that the image has in part"),
        pytest.param(
            ("strace",),
            STATIC,
            ("app",),
            ["glibc", "idn", "strace", "unwind"],
            id="another program needs the closure of its store path",
        ),
    ],
)
def test_store_paths_of_the_layer(
    others: tuple[str, ...], busybox: bytes, image: tuple[str, ...], expected: list[str]
) -> None:
    found = {b"busybox": IN_STORE} | {name.encode(): program(name) for name in others}
    image_closure = closure(dict.fromkeys(image, ()))
    assert names(missing_paths(TOOLS, found, busybox, image_closure)) == expected


def test_tools_without_busybox_need_their_closure() -> None:
    found = {b"strace": program("strace")}
    missing = missing_paths(TOOLS, found, b"", closure({"glibc": ()}))
    assert names(missing) == ["idn", "strace", "unwind"]
    assert all(isinstance(info.path, StorePath) for info in missing)


# --- PATH ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param(("A=1", "PATH=/bin"), ("A=1", "PATH=/bin:/busybox"), id="tools come last"),
        pytest.param(("A=x=y",), ("A=x=y", "PATH=/busybox"), id="no PATH"),
        pytest.param(("PATH=",), ("PATH=/busybox",), id="an empty PATH"),
    ],
)
def test_tools_are_the_last_of_path(variables: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert with_tools_in_path(variables) == expected

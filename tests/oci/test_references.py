"""What the files of an image refer to: from any layer, and as the last layer has it."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import Link, Node, Program, nar
from support.smallimage import Entry, Layer, SmallImage, directory, entry, link, tar

from nix2oci.errors import LayoutError, OutputError
from nix2oci.oci.layer.file_scan import Merged, merged, read_nodes
from nix2oci.oci.layout.source import open_image

A, B = "0123456789abcdfghijklmnpqrsvwxyz", "zyxwvsrqpnmlkjihgfdcba9876543210"
APP, LIB = f"/nix/store/{A}-app", f"/nix/store/{B}-lib"


def read(tmp_path: Path, *layers: bytes, search: bool = True) -> Merged:
    image = SmallImage(layers=[Layer(plain) for plain in layers]).write(tmp_path / "image")
    source = open_image(str(image))
    return merged(read_nodes(source, source.layers(), search=search))


def files(found: Merged, owner: str = APP, part: str = B) -> list[str]:
    return [os.fsdecode(file) for file in found.mentions.get(owner, {}).get(part, ())]


BASE = (directory("nix"), directory("nix/store"), directory(APP[1:], 0o555))


def app(*entries: Entry) -> bytes:
    return tar(*BASE, *entries)


@pytest.mark.parametrize(
    ("made", "named"),
    [
        pytest.param(entry(f"{APP[1:]}/x", f"run {LIB}/bin".encode()), ["x"], id="content"),
        pytest.param(entry(f"{APP[1:]}/x", b"e" * (1 << 20) + B.encode()), ["x"], id="far inside"),
        pytest.param(link(f"{APP[1:]}/x", f"{LIB}/bin"), ["x"], id="the target of a link"),
        pytest.param(entry(f"{APP[1:]}/lib-{B}"), [f"lib-{B}"], id="a name"),
        pytest.param(entry(f"{APP[1:]}/x", B[1:].encode()), [], id="less than a hash part"),
        pytest.param(entry(f"{APP[1:]}/x", gzip.compress(LIB.encode())), [], id="compressed"),
        pytest.param(entry(f"{APP[1:]}/x", LIB.encode("utf-16")), [], id="16-bit characters"),
    ],
)
def test_where_a_reference_may_be(made: Entry, named: list[str], tmp_path: Path) -> None:
    assert files(read(tmp_path, app(made))) == named


def test_a_store_path_may_be_a_file_or_a_link(tmp_path: Path) -> None:
    found = read(tmp_path, tar(*BASE[:2], link(APP[1:], LIB), entry(LIB[1:], APP.encode())))
    assert (files(found), files(found, LIB, A)) == ([""], [""])


def test_a_store_may_be_anywhere(tmp_path: Path) -> None:
    """Also in a directory whose name is not UTF-8: it is shown escaped."""
    odd = rf"/caf\xe9/store/{A}-app"
    names = (os.fsdecode(b"caf\xe9") + f"/store/{A}-app", f"{APP[1:]}/share/store/{B}-lib/x")
    found = read(tmp_path, tar(*(entry(name, LIB.encode()) for name in names)))
    assert set(found.sizes) == {odd, APP}
    assert files(found, odd) == [""]
    assert files(found) == [f"share/store/{B}-lib/x"]


def test_a_hard_link_has_the_content_of_its_target(tmp_path: Path) -> None:
    target = f"{APP[1:]}/x"
    twin = entry(f"{APP[1:]}/y", type=tarfile.LNKTYPE, linkname=target)
    assert files(read(tmp_path, app(entry(target, LIB.encode()), twin))) == ["x", "y"]


def test_files_outside_the_store_have_a_place_of_their_own(tmp_path: Path) -> None:
    view = tar(
        directory("bin"),
        link("bin/lib", LIB),
        directory("nix"),
        directory("nix/var"),
        entry("nix/var/db", LIB.encode()),
    )
    found = read(tmp_path, view)
    assert found.outside[B] == (b"/bin/lib",), "what Nix records of all paths keeps none"


def test_nothing_is_searched_unless_it_is_asked_for(tmp_path: Path) -> None:
    found = read(tmp_path, app(entry(f"{APP[1:]}/x", LIB.encode())), search=False)
    assert (dict(found.mentions), dict(found.outside)) == ({}, {})
    assert list(found.sizes) == [APP]


# --- layers on top of each other ---------------------------------------------------------------

SCRIPT = entry(f"{APP[1:]}/x", f"#!{LIB}".encode())


@pytest.mark.parametrize(
    ("above", "left"),
    [
        pytest.param(tar(), ["x"], id="nothing"),
        pytest.param(tar(entry(f"{APP[1:]}/x", b"launcher")), [], id="a file in its place"),
        pytest.param(tar(entry(f"{APP[1:]}/.wh.x")), [], id="a whiteout of the file"),
        pytest.param(tar(entry("nix/.wh.store")), [], id="a whiteout of a directory above"),
        pytest.param(tar(entry(f"{APP[1:]}/.wh..wh..opq")), [], id="an opaque directory"),
        pytest.param(tar(entry(".wh..wh..opq")), [], id="an opaque root"),
        pytest.param(tar(entry(APP[1:])), [], id="a file in the place of a directory"),
        pytest.param(tar(entry(f"{APP[1:]}/.wh.y")), ["x"], id="a whiteout of something else"),
        pytest.param(tar(entry(".wh.n")), ["x"], id="a whiteout of a name that only begins so"),
        pytest.param(
            tar(entry(f"{APP[1:]}/.wh.x"), SCRIPT), ["x"], id="a whiteout beside a new file"
        ),
    ],
)
def test_the_last_layer_counts(above: bytes, left: list[str], tmp_path: Path) -> None:
    assert files(read(tmp_path, app(SCRIPT), above)) == left


def test_a_layer_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LayoutError) as caught:
        read(tmp_path, app(SCRIPT)[:2560])
    (blob,) = (
        b for b in (tmp_path / "image/blobs/sha256").iterdir() if b.read_bytes()[:1] == b"\x1f"
    )
    where = tmp_path / "image"
    assert str(caught.value) == (
        f"cannot read layer sha256:{blob.name} of {where}: it has no end mark"
    )
    assert caught.value.hint == f"see all that is wrong with it: nix2oci validate {where}"


# --- sizes -------------------------------------------------------------------------------------

NODES = st.recursive(
    st.binary(max_size=20)
    | st.builds(Program, st.binary(max_size=20))
    | st.builds(Link, st.binary(min_size=1, max_size=20).map(lambda text: text.hex().encode())),
    lambda nodes: st.dictionaries(st.text("abc", min_size=1, max_size=9).map(str.encode), nodes),
    max_leaves=8,
)


def entries(path: str, node: Node) -> list[Entry]:
    if isinstance(node, bytes):
        return [entry(path, node, mode=0o444)]
    if isinstance(node, Program):
        return [entry(path, node.content)]
    if isinstance(node, Link):
        return [link(path, node.target.decode())]
    below = [entries(f"{path}/{name.decode()}", node[name]) for name in sorted(node)]
    return [directory(path, 0o555), *(made for each in below for made in each)]


@given(NODES)
def test_a_store_path_weighs_what_its_nar_weighs(
    tmp_path_factory: pytest.TempPathFactory, node: Node
) -> None:
    layer = tar(*BASE[:2], *entries(APP[1:], node))
    found = read(tmp_path_factory.mktemp("image"), layer, search=False)
    assert found.sizes == {APP: len(nar(node))}


@pytest.mark.parametrize("search", [False, True])
def test_a_missing_blob_is_an_error(search: bool, tmp_path: Path) -> None:  # noqa: FBT001
    image = SmallImage().write(tmp_path / "image")
    source = open_image(str(image))
    (image / "blobs/sha256" / source.layers()[0].digest.hex).unlink()
    with pytest.raises(OutputError) as caught:
        read_nodes(source, source.layers(), search=search)
    assert str(caught.value) == (
        f"cannot read blob {source.layers()[0].digest} of {image}: No such file or directory"
    )


def test_what_lies_over_a_store_path_does_not_weigh(tmp_path: Path) -> None:
    over = tar(entry(f"{APP[1:]}/x", bytes(4000)), entry("nix/store/.wh." + LIB[11:]))
    found = read(tmp_path, app(SCRIPT), tar(*BASE[:2], entry(LIB[1:])), over)
    assert found.sizes == {APP: len(nar({b"x": Program(SCRIPT[1])}))}

"""Which files of a store path name another, wherever in them the hash part is."""

from __future__ import annotations

import os

import pytest
from support.fakestore import FakeStore, Link, Node, Program, store_path

from nix2oci.errors import StoreError
from nix2oci.nix.referring_files import Files

LIB = store_path("lib")
TEXT = str(LIB).encode()
HASH = LIB.hash_part.encode()


def files(store: FakeStore, node: Node) -> Files:
    lib = store.add("lib", b"a library")
    app = store.add("app", node, [lib.path])
    return Files(store.closure(app.path), store.root)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param({b"x": TEXT, b"y": b"other"}, [b"x"], id="a file"),
        pytest.param({b"bin": {b"x": Program(b"#!" + TEXT)}}, [b"bin/x"], id="a file further in"),
        pytest.param({b"x": bytes((1 << 20) - 9) + TEXT}, [b"x"], id="across two reads"),
        pytest.param({b"x": Link(TEXT + b"/y")}, [b"x"], id="a link"),
        pytest.param({b"x-" + HASH: b""}, [b"x-" + HASH], id="the name of a file"),
        pytest.param({b"d-" + HASH: {b"y": b""}}, [b"d-" + HASH], id="the name of a directory"),
        pytest.param({b"b": TEXT, b"a": TEXT}, [b"a", b"b"], id="two files, sorted"),
        pytest.param(TEXT, [b""], id="a store path that is a file"),
        pytest.param(Link(TEXT), [b""], id="a store path that is a link"),
        pytest.param({b"x": TEXT.upper()}, [], id="none"),
    ],
)
def test_files_that_name_a_store_path(node: Node, expected: list[bytes], store: FakeStore) -> None:
    assert list(files(store, node).naming(LIB, store_path("app"))) == expected


def test_what_lies_over_a_file_counts_in_its_place(store: FakeStore) -> None:
    found = files(store, {b"x": TEXT, b"y": b"nothing"})
    app = store_path("app")
    over = {f"{app}/x".encode(): b"nothing", f"{app}/y".encode(): TEXT}
    assert Files(found.closure, found.root, over).naming(LIB, app) == (b"y",)


def test_a_store_path_that_is_gone_is_an_error(store: FakeStore) -> None:
    found = files(store, TEXT)
    app = store_path("app")
    os.unlink(store.physical(app))
    with pytest.raises(StoreError) as caught:
        found.naming(LIB, app)
    assert str(caught.value) == f"cannot read {store.root}{app}: it is not in the store"

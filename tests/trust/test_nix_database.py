"""The database of Nix for an image: rows by store path, and bytes that are always the same."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.trust.nix_database import nix_database

APP, LIBC, SELF = (
    StorePath("/nix/store", f"{'0' * 31}{digit}", name)
    for digit, name in enumerate(("app-1.0", "glibc-2.36", "self-2"))
)
INFOS = (
    PathInfo(APP, b"\x01" * 32, 120, (LIBC, SELF)),
    PathInfo(LIBC, b"\x02" * 32, 240, ()),
    PathInfo(SELF, b"\x03" * 32, 360, (SELF,)),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    (tmp_path / "db.sqlite").write_bytes(nix_database(INFOS))
    with closing(sqlite3.connect(tmp_path / "db.sqlite")) as opened:
        yield opened


def test_each_store_path_is_known_with_its_hash_and_size(database: sqlite3.Connection) -> None:
    rows = database.execute("select path, hash, narSize, registrationTime from ValidPaths")
    assert rows.fetchall() == [
        (str(info.path), f"sha256:{info.nar_hash.hex()}", info.nar_size, 1) for info in INFOS
    ]


def test_references_are_those_of_the_closure(database: sqlite3.Connection) -> None:
    rows = database.execute(
        "select a.path, b.path from Refs"
        " join ValidPaths a on a.id = referrer join ValidPaths b on b.id = reference"
    )
    expected = {(str(info.path), str(each)) for info in INFOS for each in info.references}
    assert set(rows) == expected


def test_what_one_store_knows_and_another_may_not_is_not_in_it(
    database: sqlite3.Connection,
) -> None:
    (found,) = set(database.execute("select deriver, ultimate, sigs, ca from ValidPaths"))
    assert found == (None, None, None, None)


def test_sqlite_finds_it_whole(database: sqlite3.Connection) -> None:
    assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert database.execute("pragma foreign_key_check").fetchall() == []


def test_the_order_of_the_closure_decides_nothing() -> None:
    mixed = (INFOS[2], INFOS[0], INFOS[1])
    assert nix_database(mixed) == nix_database(INFOS)


def test_the_bytes_are_pinned_whatever_sqlite_is_here() -> None:
    digest = hashlib.sha256(nix_database(INFOS)).hexdigest()
    assert digest == "7c6d7cf2704d3a08a628b9efd95b1dad90af7d3217e8d0fba01810baf6372dfa"


def closure(size: int) -> list[PathInfo]:
    """Store paths with names of many lengths, each of which refers to some before it."""
    paths = [
        StorePath("/nix/store", f"{number:032d}", "x" * (1 + number * 37 % 200))
        for number in range(size)
    ]
    return [
        PathInfo(path, bytes(32), 7 ** (number % 12), tuple(sorted({*paths[: number + 1 : 11]})))
        for number, path in enumerate(paths)
    ]


@pytest.mark.parametrize("size", [0, 1, *range(10, 40, 2), 100, 900])
def test_pages_are_filled_so_that_sqlite_finds_every_row(size: int, tmp_path: Path) -> None:
    infos = closure(size)
    (tmp_path / "db").write_bytes(nix_database(infos))
    with closing(sqlite3.connect(tmp_path / "db")) as found:
        assert found.execute("pragma integrity_check").fetchall() == [("ok",)]
        ask = "select narSize from ValidPaths where path = ?"
        for info in infos:
            (row,) = found.execute(ask, (str(info.path),))
            assert row == (info.nar_size,)
        ((references,),) = found.execute("select count(*) from Refs")
        assert references == sum(len(info.references) for info in infos)


def test_nix_can_add_to_it(database: sqlite3.Connection) -> None:
    with database:
        database.execute(
            "insert into ValidPaths (path, hash, registrationTime) values ('/nix/store/x', 'h', 2)"
        )
    ((number,),) = database.execute("select id from ValidPaths where path = '/nix/store/x'")
    assert number == len(INFOS) + 1

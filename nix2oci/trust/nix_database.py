"""The database in which Nix keeps what it knows of a store, for the store paths of an image.

It is a function of these alone: who made them, and who signed them, is what the store knew that
they came from, and another one may know less. The schema is Nix's (src/libstore/schema.sql,
version 10; since 2.34 Nix wants the last table in a store that it may only read).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nix2oci.model.closure import PathInfo
from nix2oci.trust.sqlite_file import Index, Table, database

SCHEMA_VERSION = b"10"
"""What the file `schema` beside it says."""

_VALID_PATHS = """CREATE TABLE ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null,
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer,
    sigs             text,
    ca               text
)"""

_REFS = """CREATE TABLE Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
)"""

_DELETE_SELF_REFS = """CREATE TRIGGER DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end"""

_OUTPUTS = """CREATE TABLE DerivationOutputs (
    drv  integer not null,
    id   text not null,
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
)"""

_MIGRATIONS = "CREATE TABLE SchemaMigrations (migration text primary key not null)"

_REGISTERED = 1
"""Seconds since 1970: the time of every file in the store."""


def nix_database(infos: Iterable[PathInfo]) -> bytes:
    """The file `db.sqlite` of these store paths, which hold all that they refer to."""
    return database(_tables(sorted(infos, key=lambda info: str(info.path))))


def _tables(infos: list[PathInfo]) -> Iterator[Table]:
    number = {info.path: place for place, info in enumerate(infos, 1)}
    paths = [
        (
            *(None, str(info.path), f"sha256:{info.nar_hash.hex()}", _REGISTERED),
            *(None, info.nar_size, None, None, None),
        )
        for info in infos
    ]
    refs = sorted((number[info.path], number[each]) for info in infos for each in info.references)
    unique = (Index("sqlite_autoindex_ValidPaths_1", (1,)),)
    yield Table("ValidPaths", _VALID_PATHS, paths, unique, (("DeleteSelfRefs", _DELETE_SELF_REFS),))
    last = [("ValidPaths", len(paths))] if paths else []
    yield Table("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)", last)
    yield Table(
        "Refs",
        _REFS,
        refs,
        (
            Index("sqlite_autoindex_Refs_1", (0, 1)),
            Index("IndexReferrer", (0,), "CREATE INDEX IndexReferrer on Refs(referrer)"),
            Index("IndexReference", (1,), "CREATE INDEX IndexReference on Refs(reference)"),
        ),
    )
    by_path = "CREATE INDEX IndexDerivationOutputs on DerivationOutputs(path)"
    outputs = (
        Index("sqlite_autoindex_DerivationOutputs_1", (0, 1)),
        Index("IndexDerivationOutputs", (2,), by_path),
    )
    yield Table("DerivationOutputs", _OUTPUTS, indexes=outputs)
    migrations = (Index("sqlite_autoindex_SchemaMigrations_1", (0,)),)
    yield Table("SchemaMigrations", _MIGRATIONS, indexes=migrations)

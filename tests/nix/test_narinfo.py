"""Records of a binary cache: whatever is in one, it is read or refused."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path

from nix2oci.errors import StoreError
from nix2oci.model.closure import parse_nar_hash, to_base32
from nix2oci.nix.binary_caches.narinfo import NarInfo

PATH = store_path("app-1.0")
HASH = hashlib.sha256(b"").digest()
FIELDS = {
    "StorePath": str(PATH),
    "URL": "nar/x",
    "NarHash": f"sha256:{to_base32(HASH)}",
    "NarSize": "120",
}
NAMES = st.sampled_from([*FIELDS, "Compression", "FileSize", "References", "Sig", "CA", "", "\0"])


def record(**changes: str) -> NarInfo:
    text = "".join(f"{name}: {value}\n" for name, value in {**FIELDS, **changes}.items())
    return NarInfo.parse(text, PATH, "CACHE")


@given(st.dictionaries(NAMES, st.text()))
def test_any_values_are_a_record_or_an_error_of_ours(changes: dict[str, str]) -> None:
    with suppress(StoreError):
        found = record(**changes)
        assert found.info.path == PATH
        assert found.fingerprint.startswith(f"1;{PATH};sha256:")


@given(st.binary(min_size=32, max_size=32))
def test_base_32_is_read_as_it_is_written(data: bytes) -> None:
    assert parse_nar_hash(f"sha256:{to_base32(data)}") == data


def test_what_is_signed_is_what_nix_signs() -> None:
    """As `fingerprint` of Nix's path-info.cc: references in the order of their hash parts."""
    others = [store_path(name) for name in ("a", "b", "c")]
    found = record(References=" ".join(path.base for path in others))
    ordered = sorted(others, key=lambda path: path.hash_part)
    expected = f"1;{PATH};{FIELDS['NarHash']};120;{','.join(map(str, ordered))}"
    assert found.fingerprint == expected


@pytest.mark.parametrize(
    ("field", "value"), [("Compression", "bzip2"), ("FileSize", None)], ids=["method", "size"]
)
def test_what_old_records_lack(field: str, value: object) -> None:
    assert {"Compression": record().compression, "FileSize": record().file_size}[field] == value

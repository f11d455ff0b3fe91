"""nix2oci.plan.shell_record: the note about shells in an image, and how it is read again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from support.shell_cases import APP, SMALL, decided

from nix2oci.model.annotation_keys import SHELL
from nix2oci.plan.shell import keep_all
from nix2oci.plan.shell_record import annotations_of, recorded, shell_document, whole_record


def test_the_note_is_the_document_in_one_line() -> None:
    note = annotations_of(decided())[SHELL]
    assert whole_record(json.loads(note)) == shell_document(decided())
    assert "\n" not in note


def test_what_is_empty_and_came_later_is_not_in_the_note() -> None:
    """So that the digests of images stay that have nothing of it."""
    note = json.loads(annotations_of(decided())[SHELL])
    assert shell_document(decided()).keys() - note.keys() == {"discounted", "hidden", "modules"}


def test_nothing_looked_at_is_no_note() -> None:
    assert annotations_of(keep_all(SMALL)) == {}


def test_a_note_that_would_make_the_manifest_large_is_left_out() -> None:
    shells = decided()
    chains = {
        b"/nix/store/%05d" % n: chain for n in range(2000) for chain in shells.scripts.values()
    }
    assert annotations_of(replace(shells, scripts=chains)) == {}


def test_the_note_is_read_as_it_was_written() -> None:
    assert f"{APP}/bin/app: F4, became a launcher" in recorded(shell_document(decided()))[0]


@pytest.mark.parametrize(
    "note", [{"wrappers": 1}, {"wrappers": [{}]}, {"wrappers": ["x"]}, {"a": 1}]
)
def test_a_note_of_somebody_else_is_no_crash(note: dict[str, Any]) -> None:
    assert recorded(note) == ["what the image records of shells is nothing that nix2oci writes"]

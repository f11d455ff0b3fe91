"""Notes about store paths: asked once, kept only of what is right, and the same as looking."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace
from support.fakestore import FakeStore, Link, Node, Program, store_path

from nix2oci.model.closure import Closure, PathInfo
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.scan import scan
from nix2oci.nix.store import LocalStore
from nix2oci.nix.survey import survey

BASH = str(store_path("bash"))
INFO = PathInfo(store_path("app"), bytes(32), 100, ())


@dataclass
class Memory:
    """A memory of one process; what is in it was JSON on the way."""

    known: dict[str, str] = field(default_factory=dict)

    def read(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads(self.known.get(name, "{}"))
        return found or None

    def write(self, name: str, document: dict[str, Any]) -> None:
        self.known[name] = json.dumps(document)


def fail() -> str:
    raise AssertionError("it was asked again")


def answered(
    notes: FactCache, info: PathInfo = INFO, question: str = "what", text: str = "yes"
) -> str:
    return notes.get_or_compute(info, question, lambda: text)


def test_without_memory_each_question_is_asked() -> None:
    notes = FactCache()
    assert (answered(notes), answered(notes, text="no")) == ("yes", "no")
    notes.commit(lambda _: True)


def test_an_answer_is_known_in_the_next_run() -> None:
    fact_store = Memory()
    notes = FactCache(fact_store)
    answered(notes)
    assert notes.get_or_compute(INFO, "what", fail) == "yes"
    assert fact_store.known == {}
    notes.commit(lambda _: True)
    assert FactCache(fact_store).get_or_compute(INFO, "what", fail) == "yes"


OTHERS = [
    pytest.param(INFO, "else", id="another question"),
    pytest.param(replace(INFO, nar_hash=b"\1" * 32), "what", id="other bytes"),
    pytest.param(replace(INFO, path=store_path("lib")), "what", id="another store path"),
]


@pytest.mark.parametrize(("info", "question"), OTHERS)
def test_it_says_nothing_of(info: PathInfo, question: str) -> None:
    fact_store = Memory()
    notes = FactCache(fact_store)
    answered(notes)
    notes.commit(lambda _: True)
    assert answered(FactCache(fact_store), info, question, "other") == "other"


def test_notes_of_a_damaged_path_are_not_kept() -> None:
    fact_store = Memory()
    notes = FactCache(fact_store)
    answered(notes)
    notes.commit(lambda info: info != INFO)
    assert fact_store.known == {}


def test_what_one_image_of_a_run_has_read_is_not_read_again_for_another() -> None:
    fact_store = Memory()
    one = FactCache(fact_store)
    other = one.shared()
    one.commit(lambda _: False, [str(INFO.path)])
    answered(other)
    other.commit(lambda _: bool(fail()))
    assert FactCache(fact_store).get_or_compute(INFO, "what", fail) == "yes"


def test_what_was_known_before_is_kept_with_what_is_new() -> None:
    fact_store = Memory()
    for question in ("one", "two"):
        notes = FactCache(fact_store)
        answered(notes, question=question, text=question)
        notes.commit(lambda _: True)
    again = FactCache(fact_store)
    assert [again.get_or_compute(INFO, question, fail) for question in ("one", "two")] == [
        "one",
        "two",
    ]


# --- a closure that has all that is asked about ---------------------------------------------------

WRAPPER = f'#!{BASH}/bin/bash -e\nexport A=\'\xff\'\nexec "{store_path("lib")}/bin/real"  "$@" \n'
TEXT = f"one\ntwo {BASH}/bin/sh\xfe\n"


@pytest.fixture
def closure(store: FakeStore) -> Closure:
    bash = store.add(
        "bash", {b"bin": {b"bash": Program(b"\x7fELF @(#)Bash version 5"), b"sh": Link(b"bash")}}
    )
    real: Node = {b"bin": {b"real": Program(b"\x7fELF" + bytes(100))}, b"etc": {b"services": b"s"}}
    lib = store.add("lib", real)
    files: Node = {
        b"bin": {b"app": Program(WRAPPER.encode("latin-1")), b"link": Link(b"app")},
        b"etc": {b"motd": b"hello", b"sh": Link(f"{BASH}/bin/sh".encode())},
        b"share": {b"text\xff": TEXT.encode("latin-1"), b"data": b"\0" + BASH.encode()},
    }
    app = store.add("app", files, [bash.path, lib.path])
    return store.closure(app.path)


def look(closure: Closure, store: FakeStore, notes: FactCache | None) -> tuple[Any, Any]:
    found = survey(closure, store.root, notes)
    programs = [program.target for program in found.programs]
    return found, scan(closure, programs, store.root, notes)


def test_with_notes_all_is_found_as_without(closure: Closure, store: FakeStore) -> None:
    expected = look(closure, store, None)
    assert expected[1].mentions
    assert expected[1].scripts
    fact_store = Memory()
    for _ in range(2):
        notes = FactCache(fact_store)
        assert look(closure, store, notes) == expected
        notes.commit(LocalStore(store.root).is_right)
    assert len(fact_store.known) == 3


def test_with_notes_no_file_is_read(closure: Closure, store: FakeStore) -> None:
    fact_store = Memory()
    notes = FactCache(fact_store)
    expected = look(closure, store, notes)
    notes.commit(lambda _: True)
    for info in store.infos:
        store.thaw(info)
        for directory, _, files in os.walk(store.physical(info.path)):
            for name in files:
                at = os.path.join(directory, name)
                if not os.path.islink(at):
                    os.truncate(at, 0)
    assert look(closure, store, FactCache(fact_store)) == expected
    assert not LocalStore(store.root).is_right(store.infos[0])

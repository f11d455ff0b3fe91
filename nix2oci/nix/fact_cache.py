"""What was found in the files of a store path, so that it is not looked for again.

A store path never changes, so what is read in it holds as long as its NAR hash does. The hard
part is trust: files are read here before anybody checks them against that hash, so notes are kept
only of paths that were read as a whole, and found right, in the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Protocol, TypeVar

from msgspec import Meta, Struct, ValidationError, convert, field

from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.model.shell_references import ReferenceKind

FORMAT = 1
"""Goes up with every change of a question, or of what its answer means."""

T = TypeVar("T")
Facts = dict[str, Any]

_Bytes = Annotated[str, Meta(pattern=r"\A[\x00-\xff]*\Z")]
_FORMS: dict[str, Any] = {
    "bash": tuple[bool, _Bytes | None],
    "calls": list[str],
    "embeds": bool,
    "essence": _Bytes | None,
    "head": _Bytes,
    "meta": dict[str, str | list[str]],
    "packages": list[tuple[_Bytes, str, str, str, str]],
    "mentions": list[tuple[_Bytes, str, ReferenceKind, int | None, _Bytes]],
    "naming": list[_Bytes],
    "places": list[tuple[_Bytes, _Bytes]],
    "python": tuple[list[Any], list[Any], list[Any], bool, list[str], list[str]] | None,
    "python-files": tuple[list[_Bytes], list[tuple[str, str, str]]],
    "slim": dict[str, str],
    "start": tuple[_Bytes, _Bytes, bool] | None,
    "sha256": Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")],
}
"""What an answer is, by the first word of its question: a note may be forged, however it came."""


class FactStore(Protocol):
    """Where JSON objects are kept from one run to the next, by name; it may forget any of them."""

    def read(self, name: str) -> Facts | None: ...
    def write(self, name: str, document: Facts) -> None: ...


class FactCache(Struct, frozen=True):
    """The answers to questions about store paths; without memory each is found out every time."""

    fact_store: FactStore | None = None
    _known: dict[StorePath, Facts] = field(default_factory=dict)
    _new: dict[StorePath, PathInfo] = field(default_factory=dict)
    _right: set[str] = field(default_factory=set)
    """Store paths whose bytes were those that Nix recorded, when this run read them."""

    def get_or_compute(self, info: PathInfo, question: str, answer: Callable[[], T]) -> T:
        """The answer, made of JSON values, to a question about the bytes of one store path."""
        if question in self.facts(info):
            found: T = self.facts(info)[question]
            return found
        found = answer()
        self.record(info, question, found)
        return found

    def facts(self, info: PathInfo) -> Facts:
        """What is known of a store path, by question."""
        if self.fact_store is None:
            return {}
        if info.path not in self._known:
            found = self.fact_store.read(_name(info)) or {}
            self._known[info.path] = {q: a for q, a in found.items() if _is_answer(q, a)}
        return self._known[info.path]

    def record(self, info: PathInfo, question: str, answer: object) -> None:
        """Write down an answer."""
        if self.fact_store is not None:
            self.facts(info)[question] = answer
            self._new[info.path] = info

    def unkept(self) -> tuple[PathInfo, ...]:
        """Of which something is new, and whose bytes nobody has checked in this run."""
        return tuple(i for path, i in self._new.items() if str(path) not in self._right)

    def shared(self) -> FactCache:
        """The same answers for another image of a run: whose question was new has to keep it."""
        return FactCache(self.fact_store, self._known, {}, self._right)

    def commit(self, is_right: Callable[[PathInfo], bool], checked: Iterable[str] = ()) -> None:
        """Keep what is new of the paths whose bytes are those that Nix recorded.

        `checked` are store paths of which that is known; `is_right` is asked about others.
        """
        self._right.update(checked)
        if self.fact_store is not None:
            for path, info in self._new.items():
                if str(path) in self._right or is_right(info):
                    self.fact_store.write(_name(info), self._known[path])
        self._new.clear()


def _is_answer(question: str, answer: object) -> bool:
    kind, *about = question.split(" ")
    try:
        found = convert(answer, _FORMS.get(kind, Any))
    except (ValidationError, ValueError):  # also text that is no text
        return False
    return kind != "mentions" or all(shell in about for _, shell, *_ in found)


def as_text(data: bytes) -> str:
    """Any bytes as a text that JSON can have, a character for each."""
    return data.decode("latin-1")


def as_bytes(text: str) -> bytes:
    """The bytes of which a text was made by `as_text`."""
    return text.encode("latin-1")


def _name(info: PathInfo) -> str:
    text = f"facts {FORMAT}\n{info.path} {info.nar_hash.hex()}\n"
    return hashlib.sha256(text.encode()).hexdigest()

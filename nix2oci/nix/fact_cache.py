"""What was found in the files of a store path, so that it is not looked for again.

A store path never changes, so what is read in it holds as long as its NAR hash does. The hard
part is trust: files are read here before anybody checks them against that hash, so notes are kept
only of paths that were read as a whole, and found right, in the same run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from msgspec import Struct, field

from nix2oci.model.closure import PathInfo, StorePath

FORMAT = 1
"""Goes up with every change of a question, or of what its answer means."""

T = TypeVar("T")
Facts = dict[str, Any]


class FactStore(Protocol):
    """Where JSON objects are kept from one run to the next, by name; it may forget any of them."""

    def read(self, name: str) -> Facts | None: ...
    def write(self, name: str, document: Facts) -> None: ...


class FactCache(Struct, frozen=True):
    """The answers to questions about store paths; without memory each is found out every time."""

    fact_store: FactStore | None = None
    _known: dict[StorePath, Facts] = field(default_factory=dict)
    _new: dict[StorePath, PathInfo] = field(default_factory=dict)

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
            self._known[info.path] = self.fact_store.read(_name(info)) or {}
        return self._known[info.path]

    def record(self, info: PathInfo, question: str, answer: object) -> None:
        """Write down an answer."""
        if self.fact_store is not None:
            self.facts(info)[question] = answer
            self._new[info.path] = info

    def commit(self, is_right: Callable[[PathInfo], bool]) -> None:
        """Keep what is new of the paths whose bytes are those that Nix recorded."""
        if self.fact_store is not None:
            for path, info in self._new.items():
                if is_right(info):
                    self.fact_store.write(_name(info), self._known[path])
        self._new.clear()


def _name(info: PathInfo) -> str:
    text = f"facts {FORMAT}\n{info.path} {info.nar_hash.hex()}\n"
    return hashlib.sha256(text.encode()).hexdigest()

"""What the pipeline tells of its progress, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

OnProgress = Callable[[int], None]
"""Called with how much was done since the last call."""


class Progress(Protocol):
    """Told what goes on; says nothing, prints lines or draws bars."""

    def step(self, text: str) -> None:
        """A new part of the work begins."""

    def bytes(self, text: str, total: int) -> AbstractContextManager[OnProgress]:
        """A part of the work that handles about `total` bytes, told as they are done."""

    def steps(self, text: str, total: int) -> AbstractContextManager[OnProgress]:
        """A part of the work that has `total` steps, told as they are done."""


class Silent:
    """Says nothing: somebody else tells of the work as a whole."""

    def step(self, text: str) -> None:
        """Nothing is said."""

    def bytes(self, text: str, total: int) -> AbstractContextManager[OnProgress]:  # noqa: ARG002
        return nullcontext(lambda _: None)

    def steps(self, text: str, total: int) -> AbstractContextManager[OnProgress]:
        return self.bytes(text, total)


SILENT: Progress = Silent()

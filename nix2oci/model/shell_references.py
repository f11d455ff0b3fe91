"""Which files of a closure name a shell, and what its scripts start: what a scan found.

`nix.scan` finds it in the files of a closure, `plan.shell` decides by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from nix2oci.model.closure import StorePath
from nix2oci.text import display
from nix2oci.wrappers.chain import Chain
from nix2oci.wrappers.refusal import Refusal


class ReferenceKind(StrEnum):
    """How a file names a shell."""

    SHEBANG = "shebang"
    TEXT = "text"
    BINARY = "binary"
    LINK = "link"
    OTHER = "other"
    """In the file's name, or Nix recorded a reference that is in no file."""


class ShellReference(Struct, frozen=True):
    """A file of the closure that names a shell by the hash part of its store path.

    `file` is an absolute path; `line` counts from 1, `text` is that line or the link's target;
    both are for `shebang`, `text` and `link` where they apply. A file has one mention for its
    first line and one for the rest at most.
    """

    owner: StorePath
    file: bytes
    shell: StorePath
    kind: ReferenceKind
    line: int | None = None
    text: bytes = b""

    @property
    def inside(self) -> str:
        """The path within its store path: `bin/app`; empty for the store path itself."""
        return display(self.file[len(str(self.owner)) + 1 :])

    def explained(self, scripts: Mapping[bytes, Chain]) -> str:
        """`FILE:LINE: KIND`, and for a script why it is not replaced, with the line that says it.

        `scripts` has the chains of scripts by path.
        """
        chain = scripts.get(self.file) if self.kind is ReferenceKind.SHEBANG else None
        first = chain.steps[0].what if chain else None
        if isinstance(first, Refusal):
            return f"{first.where}: {self.kind}: {first.cause}"
        if chain and chain.target:
            return f"{display(self.file)}: {self.kind}: {chain.target}"
        line = f":{self.line}" if self.line else ""
        return f"{display(self.file)}{line}: {self.kind}"


class Scan(Struct, frozen=True):
    """What a closure has to do with shells; nothing here depends on an order.

    `shells` are the store paths that own a shell in bin/. `scripts` has the chain of every file
    whose first line names one of them, `programs` that of every program in bin/ of the roots.
    `calls` has, of the programs at the end of those chains, what they import that needs /bin/sh.
    """

    shells: tuple[StorePath, ...] = ()
    mentions: tuple[ShellReference, ...] = ()
    scripts: Mapping[bytes, Chain] = field(default_factory=dict)
    programs: Mapping[bytes, Chain] = field(default_factory=dict)
    calls: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)

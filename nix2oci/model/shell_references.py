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


class Discounted(Struct, frozen=True):
    """A mention that does not count, and why: `rule` of `dead_mentions` or of `nix.shell_evidence`.

    A proof holds for every program that may run in the image; evidence is what was looked for and
    not found.
    """

    mention: ShellReference
    rule: str
    reason: str
    is_proof: bool
    is_only_purpose: bool = False
    """Whether the file is nothing without the shell: a script of it, or a link to it."""


class CallSite(Struct, frozen=True):
    """A call in a Python module that starts a shell, and that a program of the image reaches.

    `certain` is false where it depends on a value that is not written there. `function` is the
    dotted name of where it is, `feature` what that is for, as far as names tell.
    """

    file: bytes
    line: int
    what: str
    certain: bool
    function: str = ""
    feature: str = ""

    @property
    def where(self) -> str:
        """`FILE:LINE`, the file without hash part: `app-1.0/lib/app.py:7`."""
        store_path, *inside = self.file.split(b"/", 4)[3:]
        _, _, name = display(store_path).partition("-")
        place = "/".join([name, *map(display, inside)])
        return f"{place}:{self.line}" if self.line else place

    def __str__(self) -> str:
        if not self.line:
            return f"{self.where} runs {self.what}"
        judged = "" if self.certain else ", which is not judged"
        about = f" ({self.feature})" if self.feature else ""
        return f"{self.where} calls {self.what}{judged}{about}"


class Evidence(Struct, frozen=True):
    """What says that a shell is not needed, and the calls that say that one is.

    `modules` is the number of Python modules that the image's programs reach. `links` are links
    to files that are hidden with their only purpose, by those files. `doubts` say why Python's
    own mentions count though no call was found.
    """

    discounted: tuple[Discounted, ...] = ()
    calls: tuple[CallSite, ...] = ()
    modules: int = 0
    links: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    doubts: tuple[CallSite, ...] = ()


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

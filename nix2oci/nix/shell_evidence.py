"""Which mentions of a shell start none, and which Python programs call one: what was looked for.

Asked from the cheap to the dear, and no further than it can change what is decided: the list of
`dead_mentions`, what is at the place that is named, who can lead to a file, who names it, and what
Python programs call. The hard part is to be wrong on one side only: what is not clear counts.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property

from msgspec import Struct

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.closure_contents import PROGRAM_DIRECTORIES
from nix2oci.model.dead_mentions import Place, place_of, starts_nothing
from nix2oci.model.shell_references import (
    Discounted,
    Evidence,
    ReferenceKind,
    Scan,
    ShellReference,
)
from nix2oci.nix.fact_cache import as_bytes
from nix2oci.nix.file_search import END, entries, is_full, naming, places
from nix2oci.nix.python.index import is_standard
from nix2oci.nix.python.verdict import PythonEvidence, python_evidence
from nix2oci.nix.store_files import StoreFiles, unreadable

_MOST_SEARCHED = 60
"""Files whose names are looked for; more than that are a program made of scripts."""

_MODULE = re.compile(rb"(.+)\.(py|pyc|pm|pl|rb|js|mjs|cjs|lua|tcl|so)")
_TELLING = 4
_INIT = (b"bin/init", b"sbin/init", b"lib/systemd/systemd")

ABSENT = "absent-place"
NOT_EXECUTABLE = "not-executable"
NO_WAY = "no-way"
UNNAMED = "unnamed"
PYTHON = "python-calls"
REASONS = {
    ABSENT: "what it names of the shell's store path is not there",
    NOT_EXECUTABLE: "it is no program: whoever reads it as a script names a shell itself",
    NO_WAY: "no file of the closure names a place that leads to it",
    UNNAMED: "no other file of the closure names it",
    PYTHON: "no module that the image's programs reach calls a shell",
}
"""What was found beside `dead_mentions.PLACES`, by rule."""

_STAYS = frozenset({ABSENT, NOT_EXECUTABLE})
"""Files that are read for something else."""

_PROOFS = frozenset({ABSENT, NOT_EXECUTABLE, NO_WAY})


def gather(
    closure: Closure,
    scan: Scan,
    files: StoreFiles,
    *,
    replaced: Collection[bytes],
    wanted: Collection[StorePath],
    texts: str,
    evident: bool,
) -> Evidence:
    """Look for what says that the shells of a closure are not needed.

    `replaced` are wrappers that become launchers, `wanted` shells that stay in any case, `texts`
    what the configuration says. Without `evident` only what is a proof is looked for, and calls.
    Raises `StoreError` where a file cannot be read.
    """
    search = _Search(closure, scan, files, texts, evident)
    live = [
        m
        for m in scan.mentions
        if m.shell not in wanted and not (m.kind is ReferenceKind.SHEBANG and m.file in replaced)
    ]
    try:
        found = [each for shell in scan.shells for each in search.discounted(live, shell)]
        dead = {id(each.mention) for each in found}
        may_go = {s for s in scan.shells if s not in wanted} - {
            m.shell for m in live if id(m) not in dead
        }
        if not may_go:
            asked = search.asked
            return Evidence(tuple(found), asked.calls, asked.modules, doubts=asked.doubts)
        python = search.python
        return Evidence(tuple(found), python.calls, python.modules, search.links(found))
    except OSError as err:
        raise unreadable(err) from err


class _Search(Struct, frozen=True, dict=True):
    closure: Closure
    scan: Scan
    files: StoreFiles
    texts: str
    evident: bool

    @cached_property
    def python(self) -> PythonEvidence:
        return python_evidence(self.closure, self.files, self.scan.programs.items(), self.texts)

    @property
    def asked(self) -> PythonEvidence:
        """What was found of Python, as far as that was looked for."""
        return self.python if "python" in self.__dict__ else PythonEvidence()

    @cached_property
    def has_init(self) -> bool:
        return any(
            self.files.follow(f"{path}/".encode(), name)[1]
            for path in self.closure
            for name in _INIT
        )

    @cached_property
    def started(self) -> frozenset[bytes]:
        """What programs run, and scripts that are replaced or stay: their chains' files."""
        chains = [*self.scan.programs.values()]
        chains += [chain for path, chain in self.scan.scripts.items()]
        return frozenset(step.path for chain in chains for step in chain.steps[1:]) | frozenset(
            self.scan.programs
        )

    @cached_property
    def referrers(self) -> Mapping[StorePath, tuple[StorePath, ...]]:
        found: dict[StorePath, list[StorePath]] = {path: [path] for path in self.closure}
        for path in self.closure:
            for other in self.closure.references(path):
                if other != path:
                    found[other].append(path)
        return {path: tuple(others) for path, others in found.items()}

    def discounted(self, live: Iterable[ShellReference], shell: StorePath) -> list[Discounted]:
        """The mentions of one shell that do not count."""
        found: list[Discounted] = []
        rest: list[ShellReference] = []
        for mention in (each for each in live if each.shell == shell):
            answer = self._at_once(mention)
            found += [answer] if answer else []
            rest += [] if answer else [mention]
        if len({m.file for m in rest}) > _MOST_SEARCHED or any(map(self._is_hopeless, rest)):
            return found
        return [*found, *self._by_search(rest)]

    def _at_once(self, mention: ShellReference) -> Discounted | None:
        """What is known without a search."""
        if mention.kind is not ReferenceKind.BINARY and self._is_absent(mention):
            return _because(mention, ABSENT)
        if mention.kind is ReferenceKind.OTHER or self._is_started(mention):
            return None
        place = place_of(mention, has_init=self.has_init)
        if place and (place.is_proof or self.evident):
            return _because(mention, place.rule, place)
        if mention.kind is ReferenceKind.SHEBANG and not self._is_executable(mention.file):
            return _because(mention, NOT_EXECUTABLE)
        return None

    def _is_absent(self, mention: ShellReference) -> bool:
        """Whether all that a file names of the shell is below it, and not there."""
        if mention.kind in (ReferenceKind.SHEBANG, ReferenceKind.OTHER):
            return False
        top = f"{mention.owner}/".encode()
        found = places(self.files, mention.owner, mention.shell, only=mention.file[len(top) :])
        own = [place for place, _ in found if not self._is_first_line(mention, place)]
        if not own or is_full(found):
            return False
        below = f"{mention.shell}".encode()
        return all(
            place.startswith("/") and not self.files.follow(b"", below + as_bytes(place))[1]
            for place in own
        )

    def _is_first_line(self, mention: ShellReference, place: str) -> bool:
        """Whether a place is that of the script's interpreter, which is a mention of its own."""
        path = as_bytes(f"{mention.shell}{place}")
        return any(
            other.text.startswith(b"#!") and path in other.text
            for other in self.scan.mentions
            if other.file == mention.file and other.kind is ReferenceKind.SHEBANG
        )

    def _is_started(self, mention: ShellReference) -> bool:
        """Whether a file is a program of the image, or is started by one, or was named."""
        in_root = mention.owner in self.closure.roots
        of_root = in_root and mention.inside.startswith(_programs())
        return of_root or mention.file in self.started or self._is_said(mention)

    def _is_said(self, mention: ShellReference) -> bool:
        """Whether the configuration names a file, or a directory above it."""
        pattern = re.escape(str(mention.owner)) + END.decode("latin-1")
        said = re.findall(pattern, self.texts)
        own = (each.removeprefix(str(mention.owner)) for each in said)
        return not mention.inside or any(_leads(p, "/" + mention.inside, "") for p in own)

    def _is_hopeless(self, mention: ShellReference) -> bool:
        """Whether no search can say that a mention does not count."""
        if self.evident and is_standard(mention.file):
            return False
        is_kind = mention.kind in (ReferenceKind.OTHER, ReferenceKind.BINARY)
        return is_kind or self._is_started(mention)

    def _is_executable(self, path: bytes) -> bool:
        _, mode = self.files.follow(b"", path)
        return not stat.S_ISREG(mode) or bool(mode & 0o111)

    # --- searching -----------------------------------------------------------------------------

    def _by_search(self, rest: Iterable[ShellReference]) -> Iterator[Discounted]:
        """What is known when all files were asked; it ends with the first mention that counts."""
        for mention in rest:
            if is_standard(mention.file) and _MODULE.fullmatch(mention.file):
                rule = PYTHON if self.evident and self._is_uncalled() else ""
            elif not self._may_lead(mention):
                rule = NO_WAY
            else:
                rule = UNNAMED if self.evident and not self._is_named(mention) else ""
            if rule:
                yield _because(mention, rule)
            else:
                return

    def _is_uncalled(self) -> bool:
        """Whether programs were followed, all that run Python, and none calls a shell."""
        return bool(self.python.programs) and not (self.python.doubts or self.python.calls)

    def _may_lead(self, mention: ShellReference) -> bool:
        """Whether a place that is named may lead to a file: it, or a directory above it.

        Of an output all places are the root's. In its own store path a name is enough.
        """
        if mention.owner in self.closure.roots:
            return True
        inside = "/" + mention.inside
        for other in self.referrers[mention.owner]:
            found = places(self.files, other, mention.owner)
            if is_full(found) or any(_leads(place, inside, file) for place, file in found):
                return True
        directory, _, name = mention.file.rpartition(b"/")
        words = {*_names(name), directory.rpartition(b"/")[2]}
        own = naming(self.files, mention.owner, words)
        return any(self._names(mention, mention.owner, found) for found in own.values())

    def _is_named(self, mention: ShellReference) -> bool:
        """Whether any file of the closure names a file, or lists the directory that it is in."""
        directory, _, name = mention.file.rpartition(b"/")
        above = directory.rpartition(b"/")[2]
        words = {*_names(name), *([above] if above.endswith(b".d") else [])}
        if len(name) < _TELLING:
            return True
        if directory == f"{mention.owner}/bin".encode():
            return self._is_on_a_path(mention)
        return any(
            self._names(mention, owner, found)
            for owner in self.closure
            for found in naming(self.files, owner, words).values()
        )

    def _is_on_a_path(self, mention: ShellReference) -> bool:
        """Whether a program of another store path may be found: its directory is named, or it."""
        for other in self.referrers[mention.owner]:
            found = places(self.files, other, mention.owner)
            if is_full(found) or any(_leads(p, "/" + mention.inside, f) for p, f in found):
                return True
        inside = mention.inside.encode()
        return any(
            self._names(mention, owner, found)
            for owner in self.closure
            for found in naming(self.files, owner, [inside]).values()
        )

    def _names(self, mention: ShellReference, owner: StorePath, found: Iterable[str]) -> bool:
        """Whether one of the files in which a name is may lead to what is started."""
        own = mention.inside if owner == mention.owner else ""
        return any(file != own and not starts_nothing(file) for file in found)

    # --- hiding --------------------------------------------------------------------------------

    def links(self, found: Iterable[Discounted]) -> dict[bytes, tuple[bytes, ...]]:
        """Links of other store paths that lead to the scripts that are found, by these."""
        scripts = {each.mention.file: each.mention.owner for each in found if each.is_only_purpose}
        leading: dict[bytes, list[bytes]] = {}
        for owner in set(scripts.values()):
            for other in self.referrers[owner]:
                for path, mode in entries(self.files, str(other).encode()):
                    real = self.files.follow(b"", path)[0] if stat.S_ISLNK(mode) else b""
                    if real in scripts:
                        leading.setdefault(real, []).append(path)
        return {path: tuple(sorted(links)) for path, links in leading.items()}


def _because(mention: ShellReference, rule: str, place: Place | None = None) -> Discounted:
    is_only = mention.kind in (ReferenceKind.SHEBANG, ReferenceKind.LINK) and rule not in _STAYS
    if place:
        return Discounted(mention, rule, place.reason, place.is_proof, is_only)
    return Discounted(mention, rule, REASONS[rule], rule in _PROOFS, is_only)


def _programs() -> tuple[str, ...]:
    return tuple(f"{directory.decode()}/" for directory in PROGRAM_DIRECTORIES)


def _names(name: bytes) -> set[bytes]:
    """What a file is called by: its name, and of a module what it is imported as."""
    module = _MODULE.fullmatch(name)
    return {name, module[1]} if module else {name}


def _leads(place: str, inside: str, file: str) -> bool:
    """Whether a place in a file may be another file, or a directory above it.

    A binary has no end of a text that can be told, so `/binr` may be `/bin`.
    """
    if file == inside[1:] or starts_nothing(file):
        return False
    above = [inside[:at] for at, char in enumerate(inside) if char == "/" and at]
    rests = [place[len(each) :] for each in (inside, *above) if place.startswith(each)]
    ends = (rest == "/" or "/" not in rest for rest in rests)
    return ".." in place or not place.strip("/") or any(ends)

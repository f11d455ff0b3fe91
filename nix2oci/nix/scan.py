"""Which files of a closure name a shell, and what the scripts and programs among them start.

Nix knows which store paths refer to which, so only those that refer to a shell are read. The hard
part is to miss nothing: all files are searched for the hash part of the shell's store path, as Nix
itself does, and where Nix recorded a reference that is in no file, that counts as one, too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial

from msgspec.structs import replace

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.shell_references import ReferenceKind, Scan, ShellReference
from nix2oci.nix.case_hack import CaseHack, name_of
from nix2oci.nix.dynamic_imports import imported
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.needles import find, holding
from nix2oci.nix.store_files import Fetch, StoreFiles, is_there, unreadable
from nix2oci.wrappers.chain import Chain, File, follow
from nix2oci.wrappers.script import SHELLS, HostFacts, Native, Wrapper, essence
from nix2oci.wrappers.variables import path_preset

_CALLS = (b"popen", b"system")
"""What of libc runs /bin/sh (system(3), popen(3))."""

_CHUNK = 1 << 20
_HEAD = 4096
_LINE = 1024
"""Bytes of a line that are shown on either side of what was found."""

_WHOLE = 1 << 22
"""Files larger than this are no wrappers: enough of them is read to tell what they are."""

_MAX_KEPT = 1 << 16
"""Bytes of a script that are worth a note."""

_IS_BASH = b"@(#)Bash version "
"""What the build of bash puts into it, for what(1)."""


def scan(
    closure: Closure,
    programs: Iterable[bytes],
    physical_root: str = "",
    facts_known: FactCache | None = None,
    fetch: Fetch = is_there,
    *,
    case_hack: CaseHack = False,
) -> Scan:
    """Search a closure for what has to do with shells.

    `programs` are the absolute paths of the programs that the image has in /usr/bin. Nothing is
    read to memory as a whole but small files, and nothing that `facts_known` know is read again.
    Raises `StoreError` where a file cannot be read.
    """
    files = StoreFiles.of(closure, physical_root, facts_known, fetch, case_hack=case_hack)
    try:
        shells = tuple(path for path in closure if owns_shell(files, path))
        mentions = tuple(_mentions(closure, files, shells))
        around = _host_facts(files)

        @cache
        def chain(path: bytes) -> Chain:
            return follow(path, lookup(files), around)

        scripts = {m.file: chain(m.file) for m in mentions if m.kind is ReferenceKind.SHEBANG}
        runs = {path: chain(path) for path in programs}
        replaced = [each for each in scripts.values() if isinstance(each.steps[0].what, Wrapper)]
        calls = _calls(files, [*runs.values(), *replaced])
    except OSError as err:
        raise unreadable(err) from err
    return Scan(shells, mentions, scripts, runs, calls)


def owns_shell(files: StoreFiles, path: StorePath) -> bool:
    """Whether bin/ has a shell whose bytes lie in the store path itself."""
    own = str(path).encode() + b"/"
    directory = files.real_directory(own + b"bin")
    if directory is None:
        return False
    for name in SHELLS.intersection(files.names(directory)):
        real, mode = files.follow(directory, name)
        if real.startswith(own) and stat.S_ISREG(mode) and mode & stat.S_IXUSR:
            return True
    return False


# --- searching ---------------------------------------------------------------------------------


def _mentions(
    closure: Closure, files: StoreFiles, shells: Iterable[StorePath]
) -> Iterator[ShellReference]:
    wanted = frozenset(shells)
    for owner in closure:
        named = {s.hash_part.encode(): s for s in closure.references(owner) if s in wanted}
        if named:
            found = _noted(files, owner, named)
            yield from found
            for shell in sorted(set(named.values()) - {mention.shell for mention in found}):
                yield ShellReference(owner, str(owner).encode(), shell, ReferenceKind.OTHER)


def _noted(
    files: StoreFiles, owner: StorePath, named: Mapping[bytes, StorePath]
) -> list[ShellReference]:
    """The mentions in one store path, in order: searched for once, as long as it is the same."""
    top = str(owner).encode()
    question = mentions_of(needle.decode() for needle in named)

    def search() -> list[tuple[str, str, str, int | None, str]]:
        return [
            (_text(m.file[len(top) :]), m.shell.hash_part, str(m.kind), m.line, _text(m.text))
            for m in sorted(_of_path(files, owner, named), key=_order)
        ]

    return [
        ShellReference(
            owner,
            top + _data(inside),
            named[shell.encode()],
            ReferenceKind(kind),
            line,
            _data(text),
        )
        for inside, shell, kind, line, text in files.get_or_compute(top, question, search)
    ]


def mentions_of(hash_parts: Iterable[str]) -> str:
    """The question for what names shells in a store path."""
    return f"mentions {' '.join(sorted(hash_parts))}"


def _text(data: bytes) -> str:
    """Any bytes as text for a note."""
    return data.decode("latin-1")


def _data(text: str) -> bytes:
    return text.encode("latin-1")


def _order(mention: ShellReference) -> tuple[bytes, StorePath, int]:
    return mention.file, mention.shell, mention.line or 0


def _of_path(
    files: StoreFiles, owner: StorePath, named: Mapping[bytes, StorePath]
) -> Iterator[ShellReference]:
    others: list[ShellReference] = []
    regular = _regular_files(files, owner, named, others)
    for path in holding(((files.at(path), path) for path in regular), named):
        yield from _of_file(files, owner, path, named)
    yield from others


def _regular_files(
    files: StoreFiles,
    owner: StorePath,
    named: Mapping[bytes, StorePath],
    others: list[ShellReference],
) -> Iterator[bytes]:
    """The regular files of a store path; what names and links mention is added to `others`."""
    top = str(owner).encode()
    waiting = [top] if stat.S_ISDIR(os.lstat(files.at(top)).st_mode) else []
    if not waiting:
        if os.path.islink(files.at(top)):
            others += _of_link(files, owner, top, named)
        else:
            yield top
    while waiting:
        directory = waiting.pop()
        with os.scandir(files.at(directory)) as entries:
            for entry in entries:
                name = name_of(entry.name, files.at(directory), case_hack=files.disk.case_hack)
                path = directory + b"/" + name
                for needle in filter(name.__contains__, named):
                    others.append(ShellReference(owner, path, named[needle], ReferenceKind.OTHER))
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_symlink():
                    others += _of_link(files, owner, path, named)
                elif entry.is_file(follow_symlinks=False):
                    yield path


def _of_link(
    files: StoreFiles, owner: StorePath, path: bytes, named: Mapping[bytes, StorePath]
) -> Iterator[ShellReference]:
    target = os.readlink(files.at(path))
    for needle in filter(target.__contains__, named):
        yield ShellReference(owner, path, named[needle], ReferenceKind.LINK, text=target)


def _of_file(
    files: StoreFiles, owner: StorePath, path: bytes, named: Mapping[bytes, StorePath]
) -> Iterator[ShellReference]:
    fd = os.open(files.at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for needle, at in find(fd, named).items():
            mention, first = (
                ShellReference(owner, path, named[needle], ReferenceKind.BINARY),
                _first_line(fd),
            )
            rest = at
            if at < len(first):
                yield replace(mention, kind=ReferenceKind.SHEBANG, line=1, text=first)
                rest = find(fd, [needle], len(first)).get(needle, -1)
            if rest >= 0:
                yield _located(fd, mention, rest)
    finally:
        os.close(fd)


def _first_line(fd: int) -> bytes:
    """The first line of a script, without its end; empty where the file is none."""
    head = os.pread(fd, _HEAD, 0)
    return head.partition(b"\n")[0] if head.startswith(b"#!") else b""


def _located(fd: int, mention: ShellReference, at: int) -> ShellReference:
    """The mention with the line that has it, or as it is for a file that is not text."""
    start = max(0, at - _LINE)
    around = os.pread(fd, 2 * _LINE, start)
    if b"\0" in around or b"\0" in os.pread(fd, _HEAD, 0):
        return mention
    before, after = around[: at - start], around[at - start :]
    text = before.rpartition(b"\n")[2] + after.partition(b"\n")[0]
    lines = sum(os.pread(fd, min(_CHUNK, at - i), i).count(b"\n") for i in range(0, at, _CHUNK))
    return replace(mention, kind=ReferenceKind.TEXT, line=lines + 1, text=text)


# --- following ---------------------------------------------------------------------------------


def lookup(files: StoreFiles) -> Callable[[bytes], File | None]:
    """What `plan.chain.follow` asks of the disk; nothing but the closure is there."""

    def look(path: bytes) -> File | None:
        above, _, name = path.rpartition(b"/")
        directory = files.real_directory(above)
        real, mode = (b"", 0) if directory is None else files.mode(directory, name)
        if stat.S_ISLNK(mode):
            return File(link=os.readlink(files.at(real)))
        if stat.S_ISREG(mode):
            return File(_essence(files, real), executable=bool(mode & stat.S_IXUSR))
        return File() if mode else None

    return look


def _essence(files: StoreFiles, real: bytes) -> bytes:
    """As much of a file as decides what it is: `wrappers.script.essence`."""

    def read() -> str | None:
        found = essence(_content(files.content(real)))
        return _text(found) if len(found) <= _MAX_KEPT else None

    known = files.get_or_compute(real, "essence", read)
    return _content(files.content(real)) if known is None else _data(known)


def _content(place: bytes) -> bytes:
    """A file, or of a large one so much that it cannot be taken for a whole script."""
    with open(place, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_HEAD)
        if size > _WHOLE:
            return head.rstrip(b"\n")
        if size <= _HEAD or not head.startswith((b"#!", b"\x7fELF")):
            return head
        return os.pread(file.fileno(), size, 0)


def _host_facts(files: StoreFiles) -> HostFacts:
    @cache
    def bash(path: bytes) -> tuple[bool, bytes | None]:
        """Whether the file is a bash, by what is in it, and the PATH that it presets."""
        real, mode = files.follow(b"", path)
        if not stat.S_ISREG(mode):
            return False, None

        def look() -> tuple[bool, str | None]:
            data = _content(files.content(real))
            is_bash = data.startswith(b"\x7fELF") and _IS_BASH in data
            preset = path_preset(data) if is_bash else None
            return is_bash, None if preset is None else _text(preset)

        is_bash, preset = files.get_or_compute(real, "bash", look)
        return is_bash, None if preset is None else _data(preset)

    return HostFacts(
        is_bash=lambda path: bash(path)[0],
        path_preset=lambda path: bash(path)[1],
        is_program=files.is_program,
    )


def _calls(files: StoreFiles, chains: Iterable[Chain]) -> dict[bytes, tuple[str, ...]]:
    """Of the programs that chains end in, those that import what needs /bin/sh."""
    ends = sorted({c.steps[-1].path for c in chains if c.steps[-1].what is Native.ELF})
    found: dict[bytes, tuple[str, ...]] = {}
    for path in ends:
        real, _ = files.follow(b"", path)
        if calls := files.get_or_compute(real, "calls", partial(_imported, files, real)):
            found[path] = tuple(calls)
    return found


def _imported(files: StoreFiles, real: bytes) -> list[str]:
    with open(files.content(real), "rb") as file:
        names = imported(file.fileno())
    return [name.decode() for name in _CALLS if name in names]

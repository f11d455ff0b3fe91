"""Where the shells of a closure are, and what its scripts and programs start.

The hard part is that a script may be a wrapper of a wrapper, whose interpreter is a link: each is
followed to the program that runs in the end, and no further than the closure.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from functools import cache, lru_cache, partial

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.shell_references import ReferenceKind, Scan
from nix2oci.nix.case_hack import CaseHack
from nix2oci.nix.dynamic_imports import imported
from nix2oci.nix.fact_cache import FactCache, as_bytes, as_text
from nix2oci.nix.shell_mentions import shell_mentions
from nix2oci.nix.store_files import Fetch, StoreFiles, is_there, unreadable
from nix2oci.wrappers.chain import Chain, File, follow
from nix2oci.wrappers.script import SHELLS, HostFacts, Native, Wrapper, essence, read
from nix2oci.wrappers.variables import path_preset

_CALLS = (b"popen", b"system")
"""What of libc runs /bin/sh (system(3), popen(3))."""

_HEAD = 4096

_WHOLE = 1 << 22
"""Files larger than this are no wrappers: enough of them is read to tell what they are."""

_MAX_KEPT = 1 << 16
"""Bytes of a script that are worth a note."""

_REMEMBERED = 8
"""Files whose content is at hand: many scripts have the same interpreter, which is a wrapper."""

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
        mentions = tuple(shell_mentions(closure, files, shells))
        look = lru_cache(_REMEMBERED)(lookup(files))
        reader = lru_cache(_REMEMBERED)(partial(read, host=_host_facts(files)))

        @cache
        def chain(path: bytes) -> Chain:
            return follow(path, look, reader)

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


def lookup(files: StoreFiles) -> Callable[[bytes], File | None]:
    """What `plan.chain.follow` asks of the disk; nothing but the closure is there."""
    real_directory = cache(files.real_directory)  # programs lie in few

    def look(path: bytes) -> File | None:
        above, _, name = path.rpartition(b"/")
        directory = real_directory(above)
        real, mode = (b"", 0) if directory is None else files.mode(directory, name)
        if stat.S_ISLNK(mode):
            return File(link=os.readlink(files.at(real)))
        if stat.S_ISREG(mode):
            return File(_essence(files, real), executable=bool(mode & stat.S_IXUSR))
        return File() if mode else None

    return look


def _essence(files: StoreFiles, real: bytes) -> bytes:
    """As much of a file as decides what it is: `wrappers.script.essence`."""

    def reduced() -> str | None:
        found = essence(_content(files.content(real)))
        return as_text(found) if len(found) <= _MAX_KEPT else None

    known = files.get_or_compute(real, "essence", reduced)
    return _content(files.content(real)) if known is None else as_bytes(known)


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
            return is_bash, None if preset is None else as_text(preset)

        is_bash, preset = files.get_or_compute(real, "bash", look)
        return is_bash, None if preset is None else as_bytes(preset)

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
        names = imported(file.fileno(), _CALLS)
    return [name.decode() for name in _CALLS if name in names]

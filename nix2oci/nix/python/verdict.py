"""Which calls of a shell the Python programs of an image reach: the modules of a closure, read.

The programs are those of the outputs, by what their wrappers start; modules that lie beside a
program or that its wrapper names count as the program's own. What was read of a file is kept with
its store path.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from msgspec import Struct, ValidationError, convert, to_builtins

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.dead_mentions import COMPLETES
from nix2oci.model.shell_references import CallSite
from nix2oci.nix.fact_cache import as_bytes, as_text
from nix2oci.nix.file_search import entries
from nix2oci.nix.needles import find
from nix2oci.nix.python.bindings import STANDARD
from nix2oci.nix.python.calls import read_module
from nix2oci.nix.python.index import Index, is_standard
from nix2oci.nix.python.module import Module, Site, all_sites, is_whole
from nix2oci.nix.python.reach import EntryPoint, Reached, reach
from nix2oci.nix.store_files import StoreFiles
from nix2oci.text import display
from nix2oci.wrappers.binary import BinaryWrapper
from nix2oci.wrappers.chain import Chain
from nix2oci.wrappers.script import Native, Wrapper

_PYTHON = re.compile(rb"(python|pypy)\d*(\.\d+)*")
_QUESTION = "python {}.{}".format(*sys.version_info)
"""A Python cannot read what is written for a newer one."""

_TAKES_WORD = (b"-W", b"-X", b"-Q")
_SITE = re.compile(r"(site|dist)-packages/")


class PythonEvidence(Struct, frozen=True):
    """What the programs reach.

    `doubts` say of some that it is not all: what they are given to run, or import from elsewhere,
    is not in the closure.

    `programs` is how many programs were followed, `modules` how many modules these reach.
    """

    calls: tuple[CallSite, ...] = ()
    programs: int = 0
    modules: int = 0
    doubts: tuple[CallSite, ...] = ()


class _Started(Struct, frozen=True):
    """What is started by Python: files, modules by name, and all words that were given."""

    files: tuple[bytes, ...] = ()
    modules: tuple[str, ...] = ()
    words: tuple[bytes, ...] = ()
    is_open: bool = False


def python_evidence(
    closure: Closure, files: StoreFiles, programs: Iterable[tuple[bytes, Chain]], texts: str
) -> PythonEvidence:
    """Follow the Python programs among `programs`; `texts` is what the configuration says.

    Raises `OSError` for what is there and cannot be read.
    """
    found = {path: _started(files, chain) for path, chain in programs}
    started = {path: each for path, each in found.items() if each is not None}
    if not started:
        return PythonEvidence()
    known = {path: _listed(files, path) for path in closure}
    index = Index.of(_file(path, inside) for path, (py, _) in known.items() for inside in py)
    roots = {*closure.roots, *_named(closure, started.values(), texts)}
    own = (file for root in roots for file in _loose(root, known[root][0]))
    reached = reach(
        [*own, *(file for each in started.values() for file in each.files)],
        [name for each in started.values() for name in each.modules],
        index,
        lambda path: _module(files, path),
        [point for _, points in known.values() for point in points],
    )
    return PythonEvidence(
        tuple(_calls(reached)),
        len(started),
        len(reached.modules),
        (
            *_open(started),
            *_embedding(files, (path for path in found if path not in started)),
            *_missing(reached, index, started.values()),
        ),
    )


def _embedding(files: StoreFiles, programs: Iterable[bytes]) -> Iterator[CallSite]:
    """Programs that have an interpreter in them, and may run any program with it."""
    for path in programs:
        real, mode = files.follow(b"", path)
        if mode and files.get_or_compute(real, "embeds", partial(_names_python, files, real)):
            yield CallSite(path, 0, "what it is given by an interpreter of its own", certain=False)


def _names_python(files: StoreFiles, real: bytes) -> bool:
    with open(files.content(real), "rb") as file:
        return bool(find(file.fileno(), [b"libpython"]))


def _open(started: Mapping[bytes, _Started]) -> Iterator[CallSite]:
    """Programs that take any program."""
    for path, each in started.items():
        if each.is_open:
            yield CallSite(path, 0, "whatever it is given", certain=False)


def _missing(reached: Reached, index: Index, started: Iterable[_Started]) -> Iterator[CallSite]:
    """What the programs' own files import that is in no file of the closure."""
    for path in {file for each in started for file in each.files}:
        module = reached.modules.get(path, Module())
        for each in module.imports:
            is_known = each.guarded or each.level or each.module.partition(".")[0] in STANDARD
            if not is_known and not any(index.imported(path, each)):
                what = f"{each.module}, which is not in the closure"
                yield CallSite(path, 0, what, certain=False)


def _started(files: StoreFiles, chain: Chain) -> _Started | None:
    """What Python is given to start by the end of a chain; None where no Python is started."""
    last = chain.steps[-1]
    if last.what is not Native.ELF or not _is_python(last.path):
        return None
    scripts = tuple(step.path for step in chain.steps if step.what is Native.INTERPRETED)
    if scripts:
        return _Started(scripts)
    words: list[bytes] = []
    for step in chain.steps:
        before = step.what.launch.before if isinstance(step.what, Wrapper) else ()
        before = step.what.before if isinstance(step.what, BinaryWrapper) else before
        words[:0] = before
    return _by_words(files, tuple(words))


def _is_python(path: bytes) -> bool:
    return _PYTHON.fullmatch(path.rpartition(b"/")[2]) is not None


def _by_words(files: StoreFiles, words: tuple[bytes, ...]) -> _Started:
    """The command line of python(1): `-m module`, a file, or options alone."""
    rest = [*words]
    while rest:
        word = rest.pop(0)
        if word == b"-m" and rest:
            return _Started((), (rest[0].decode("latin-1"),), words)
        if word.startswith(b"-m") and word != b"-m":
            return _Started((), (word[2:].decode("latin-1"),), words)
        if word in _TAKES_WORD:
            rest = rest[1:]
        elif not word.startswith(b"-"):
            real, mode = files.follow(b"", word)
            return _Started((real,), (), words) if mode else _Started(words=words, is_open=True)
        elif b"c" in word or b"i" in word or word == b"-":
            break
    return _Started(words=words, is_open=True)


def _named(closure: Closure, started: Iterable[_Started], texts: str) -> Iterator[StorePath]:
    """Store paths that words or the configuration name: what is in them may be the program's."""
    said = texts + " ".join(display(word) for each in started for word in each.words)
    for path in closure:
        if path.hash_part in said:
            yield path


def _loose(root: StorePath, listed: Iterable[str]) -> Iterator[bytes]:
    for inside in listed:
        path = _file(root, inside)
        if not _SITE.search(inside) and not is_standard(path):
            yield path


def _file(top: StorePath, inside: str) -> bytes:
    """A file of a store path, or the store path that is a file itself: there is nothing in it."""
    return as_bytes(f"{top}/{inside}" if inside else str(top))


def _listed(files: StoreFiles, owner: StorePath) -> tuple[list[str], list[EntryPoint]]:
    """The Python files of a store path, and what its packages register."""
    top = str(owner).encode()

    def look() -> tuple[list[str], list[EntryPoint]]:
        python: list[str] = []
        points: list[EntryPoint] = []
        for path, mode in entries(files, top):
            if path.endswith(b".py") and not (stat.S_ISLNK(mode) and _is_twice(files, path)):
                python.append(as_text(path[len(top) + 1 :]))
            elif path.endswith(b"-info/entry_points.txt"):
                with open(files.content(files.follow(b"", path)[0] or path), "rb") as file:
                    points += _points(file.read().decode("utf-8", "replace"))
        return python, points

    python, points = files.get_or_compute(top, "python-files", look)
    return python, [(group, name, target) for group, name, target in points]


def _is_twice(files: StoreFiles, path: bytes) -> bool:
    """Whether a link leads to where another store path has the module for Python to find."""
    target = os.readlink(files.at(path))
    return target.startswith(files.store_dir) and _SITE.search(target.decode("latin-1")) is not None


def _points(text: str) -> Iterator[EntryPoint]:
    """The lines of entry_points.txt (packaging.python.org, entry points)."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            name, _, target = line.partition("=")
            yield group, name.strip(), target.partition("[")[0].strip()


def _module(files: StoreFiles, path: bytes) -> Module | None:
    real, mode = files.follow(b"", path)
    if not mode:
        return read_module(b"")  # a link that leads out of the closure

    def read() -> object:
        with open(files.content(real), "rb") as file:
            return to_builtins(read_module(file.read()))

    known = files.get_or_compute(real, _QUESTION, read)
    if known is None:
        return None
    try:
        module = convert(known, Module)
    except ValidationError:
        module = Module()
    return module if is_whole(module) else convert(read(), Module | None)


def _calls(reached: Reached) -> Iterator[CallSite]:
    from nix2oci.nix.python.features import Features  # noqa: PLC0415  # few have any

    features = Features(reached)
    for path in reached.unread:
        yield CallSite(path, 1, "what cannot be read as Python", certain=False)
    asked = {path: each for path, each in reached.modules.items() if not COMPLETES.match(path)}
    for path, module in sorted(asked.items()):
        told: set[tuple[int, tuple[str, ...]]] = set()
        for site, names in all_sites(module):
            if site.scope in reached.live[path] and (site.line, names) not in told:
                told.add((site.line, names))
                yield _call(path, site, names, features.of(path, names))


def _call(path: bytes, site: Site, names: tuple[str, ...], feature: str) -> CallSite:
    return CallSite(path, site.line, site.what, site.certain, ".".join(names), feature)

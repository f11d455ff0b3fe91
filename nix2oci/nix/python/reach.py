"""What a Python program reaches of what its modules have: modules by imports, functions by names.

A function counts as reached where something that is reached uses its name, for whatever; of the
program's own files all do. That is more than is called; less is found only where a name is put
together while a program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from nix2oci.nix.python.index import Index
from nix2oci.nix.python.module import MAIN, Module

Read = Callable[[bytes], Module | None]
"""The module in a file; None for what cannot be read as one."""

EntryPoint = tuple[str, str, str]
"""Group, name and `module:object`, as an installed package registers it."""

_SCRIPTS = frozenset({"console_scripts", "gui_scripts"})


class Reached(Struct, frozen=True):
    """The modules by path, and of each the scopes that are reached. `unread` is no Python."""

    modules: Mapping[bytes, Module]
    live: Mapping[bytes, frozenset[int]]
    unread: tuple[bytes, ...] = ()


class _Search(Struct):
    index: Index
    read: Read
    modules: dict[bytes, Module] = field(default_factory=dict)
    unread: dict[bytes, None] = field(default_factory=dict)
    main: set[bytes] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    prefixes: tuple[str, ...] = ()
    live: dict[bytes, set[int]] = field(default_factory=dict)
    waiting: dict[str, list[tuple[bytes, int]]] = field(default_factory=dict)
    children: dict[bytes, dict[int, list[int]]] = field(default_factory=dict)


def reach(
    programs: Iterable[bytes],
    started: Iterable[str],
    index: Index,
    read: Read,
    registered: Iterable[EntryPoint] = (),
) -> Reached:
    """What is reached from files that are programs, and modules that are started by name (`-m`)."""
    search = _Search(index, read)
    names = {path.rpartition(b"/")[2].decode("latin-1") for path in programs}
    first = {*programs}
    for name in started:
        first |= {file for each in (name, f"{name}.__main__") for file in _found(index, each)}
    search.main = first
    _modules(search, first)
    _plugins(search, [*registered], names)
    _functions(search)
    live = {path: frozenset(scopes) for path, scopes in search.live.items()}
    return Reached(search.modules, live, tuple(search.unread))


def _plugins(search: _Search, registered: Iterable[EntryPoint], programs: Iterable[str]) -> None:
    """What packages register for groups that the program's modules name."""
    asked = {word for module in search.modules.values() for word in module.plugins}
    for group, name, target in registered if asked else ():
        if _is_named(name, programs) if group in _SCRIPTS else group in asked:
            module, _, function = target.partition(":")
            parts = function.split(".")
            search.used.update(parts, (f".{part}" for part in parts))
            _modules(search, search.index.module(module.strip()))


def _is_named(name: str, programs: Iterable[str]) -> bool:
    """Whether a program is that of an entry point, wrapped or not."""
    return any(name in (program, program[1:].split("-wrapped")[0]) for program in programs)


def _found(index: Index, name: str) -> list[bytes]:
    """A module that is started by name may lie anywhere."""
    if known := index.module(name):
        return known
    parts = name.split(".")
    ending = "/".join(("", *parts)).encode()
    endings = (ending + b".py", ending + b"/__init__.py")
    return [file for file in index.files if file.endswith(endings)]


def _modules(search: _Search, first: Iterable[bytes]) -> None:
    queue = [*first]
    while queue:
        path = queue.pop()
        if path in search.modules or path in search.unread:
            continue
        module = search.read(path)
        if module is None:
            search.unread[path] = None
            continue
        search.modules[path] = module
        for each in module.imports:
            queue += search.index.imported(path, each)
        if module.computed:
            queue += search.index.package(path)


def _functions(search: _Search) -> None:
    queue: list[tuple[bytes, int]] = []
    for path, module in search.modules.items():
        children: dict[int, list[int]] = {}
        for at, scope in enumerate(module.scopes):
            children.setdefault(scope.parent, []).append(at)
        search.children[path] = children
        queue.append((path, 0))
    while queue:
        path, at = queue.pop()
        live = search.live.setdefault(path, set())
        if at in live:
            continue
        live.add(at)
        scopes = search.modules[path].scopes
        queue += _woken(search, scopes[at].names.split())
        for child in search.children[path].get(at, ()):
            scope = scopes[child]
            if child == MAIN or path in search.main:
                is_live = path in search.main
            else:
                is_live = scope.always or scope.name in search.used
                is_live = is_live or scope.name.startswith(search.prefixes)
            if is_live:
                queue.append((path, child))
            elif child != MAIN:
                search.waiting.setdefault(scope.name, []).append((path, child))


def _woken(search: _Search, names: Iterable[str]) -> list[tuple[bytes, int]]:
    """The functions that waited for one of these names, which count as used from now on."""
    woken: list[tuple[bytes, int]] = []
    for each in names:
        stem, is_module, name = each.rpartition("::")
        if name in search.used or (is_module and stem not in search.index.stems):
            continue
        search.used.add(name)
        if name.endswith("*"):
            prefix = name[:-1]
            search.prefixes += (prefix,)
            for known in [each for each in search.waiting if each.startswith(prefix)]:
                woken += search.waiting.pop(known)
        else:
            woken += search.waiting.pop(name, [])
    return woken

"""The debug twin: what lies over an image, in one more layer, so that it can be looked into.

`/busybox` is where distroless images have their tools, so that habits carry over. The hard parts:
nothing of the other architecture is ever run, so the names of busybox's applets are read from
links or from its bytes; and a tool that is linked dynamically has to find its libraries in an
image that may have none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from nix2oci.model.closure import Closure, PathInfo, StorePath, reachable, store_path_of
from nix2oci.model.tree import Directory, Entry, File, Owned, Symlink, Tree

TOOLS = "/busybox"
"""The directory of the tools in the twin, and the last of its PATH."""

SUFFIX = "-debug"
"""What the twin's tag has more than the image's."""

BUSYBOX = b"busybox"

# busybox has its applets' names in one block, each ended by a NUL, in the order of their bytes:
# `applet_names` of include/applet_tables.h, which its build makes (applets/applet_tables.c).
_NAMES = re.compile(rb"(?:[a-z0-9_\[.+-]{1,32}\0){8,}")
_EVERYWHERE = frozenset({b"cat", b"ls", b"sh"})


def applet_names(binary: bytes) -> tuple[bytes, ...]:
    """The names of busybox's applets, from its bytes; empty where they are not found.

    They are the longest run of names in bytewise order that has those which every busybox has.
    """
    runs = (run for block in _NAMES.findall(binary) for run in _ascending(block.split(b"\0")[:-1]))
    likely = [tuple(run) for run in runs if _EVERYWHERE.issubset(run)]
    return max(likely, key=len, default=())


def _ascending(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    run: list[bytes] = []
    for name in names:
        if run and name <= run[-1]:
            yield run
            run = []
        run.append(name)
    yield run


def tools_tree(programs: Mapping[bytes, bytes], busybox: bytes, owner: str) -> Tree:
    """The directory of the tools. `programs` are absolute paths by name, `busybox` is its bytes.

    busybox is a file of its own, and a name that leads to it, or an applet that is found in it
    where no name does, a link to that. Every other program is a link into the store.
    """
    home = TOOLS[1:].encode()
    entries: list[Entry] = [Directory(home, 0o755)]
    if busybox:
        entries.append(File(home + b"/" + BUSYBOX, len(busybox), (busybox,), 0o755))
    links = dict.fromkeys(_applets(programs, busybox), BUSYBOX) | _others(programs)
    entries += [Symlink(home + b"/" + name, target) for name, target in sorted(links.items())]
    return Tree.merge(Owned(entry, owner) for entry in entries)


def _applets(programs: Mapping[bytes, bytes], busybox: bytes) -> set[bytes]:
    same = {name for name, path in programs.items() if path == programs.get(BUSYBOX)} - {BUSYBOX}
    return same or set(applet_names(busybox)) - {BUSYBOX} - programs.keys()


def _others(programs: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: path for name, path in programs.items() if path != programs.get(BUSYBOX)}


def missing_paths(
    tools: Closure, programs: Mapping[bytes, bytes], busybox: bytes, image: Closure
) -> tuple[PathInfo, ...]:
    """The store paths that the tools need and the image lacks, in the order of store paths.

    busybox needs what its own bytes name, its own store path left out: a static one nothing, a
    dynamic one its loader and libraries. Any other program needs the closure of its store path.
    """
    others = {_owner(tools, path) for path in _others(programs).values()}
    wanted = set(others)
    if busybox:
        own = _owner(tools, programs[BUSYBOX])
        wanted |= {r for r in tools.references(own) if r.hash_part.encode() in busybox}
    reached = reachable(wanted, tools.references)
    return tuple(tools.infos[path] for path in sorted(reached) if path not in image)


def _owner(closure: Closure, path: bytes) -> StorePath:
    owner = store_path_of(path.decode("utf-8", "surrogateescape"), closure.store_dir)
    if owner is None:
        raise AssertionError(f"{path!r} is in no store path")
    return owner


def with_tools_in_path(variables: tuple[str, ...]) -> tuple[str, ...]:
    """`NAME=VALUE` variables, with the tools last in PATH: what the image has comes first."""
    found = dict(variable.split("=", 1) for variable in variables)
    path = found.get("PATH")
    found["PATH"] = f"{path}:{TOOLS}" if path else TOOLS
    return tuple(f"{name}={value}" for name, value in sorted(found.items()))

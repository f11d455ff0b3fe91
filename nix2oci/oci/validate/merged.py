"""The file system that all layers make together, and what can be wrong with that alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nix2oci.model.tree import parents
from nix2oci.oci.layer.untar import DIRECTORY, FILE, SYMLINK
from nix2oci.oci.spec import Json
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.layer_contents import WHITEOUT, LayerContents, Node
from nix2oci.text import display

_OPAQUE = b".wh..wh..opq"
_MOST_LINKS = 40
"""As the kernel has it (path_resolution(7))."""

_AT_RUN_TIME = (b"/proc/", b"/dev/", b"/sys/", b"/run/", b"/var/run/")
"""What is below these is there when a container runs."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines take when the configuration has no PATH."""

FileSystem = Mapping[bytes, Node]
"""Nodes by path relative to the root."""


def merge_layers(layers: Iterable[LayerContents]) -> tuple[dict[bytes, Node], list[Finding]]:
    """Lay the layers on each other, the base layer first (layer.md, Applying Changesets)."""
    merged: dict[bytes, Node] = {}
    findings: list[Finding] = []
    for layer in layers:
        removed = set(_removed(layer, merged, findings))
        for path, node in layer.nodes.items():
            below = merged.get(path)
            if below and {below.kind, node.kind} == {DIRECTORY, SYMLINK}:
                what = (
                    ("a link", "a directory") if node.kind == SYMLINK else ("a directory", "a link")
                )
                where = f"{layer.where}: /{display(path)}"
                message = f"{what[0]} replaces {what[1]} of a lower layer"
                findings.append(Finding("replaced", where, message))
            if below and below.kind == DIRECTORY != node.kind:
                removed.add(path)
        if removed:
            merged = {p: n for p, n in merged.items() if removed.isdisjoint((p, *parents(p)))}
        for path, node in layer.nodes.items():
            merged[path] = node
            _imply_parents(merged, path)
    return merged, findings


def _removed(layer: LayerContents, merged: FileSystem, findings: list[Finding]) -> Iterator[bytes]:
    """What the layer's whiteouts take away; those that take nothing away are findings."""
    for path in layer.whiteouts:
        above, _, name = path.rpartition(b"/")
        hidden = (above + b"/" if above else b"") + name.removeprefix(WHITEOUT)
        if name == _OPAQUE:
            found = [p for p in merged if next(parents(p), b"") == above]
            if above in merged or not above:
                yield from found
                continue
        elif hidden in merged and hidden not in layer.nodes:
            yield hidden
            continue
        where = f"{layer.where}: /{display(path)}"
        message = "names that start with '.wh.' mark deletions, and there is nothing to delete"
        findings.append(Finding("whiteout", where, message))


def _imply_parents(merged: dict[bytes, Node], path: bytes) -> None:
    for parent in parents(path):
        if parent in merged:
            return
        merged[parent] = Node(DIRECTORY)


def resolve(files: FileSystem, path: bytes) -> Node | None:
    """What an absolute path leads to, all links followed; None when that is nothing."""
    waiting = [part for part in reversed(path.split(b"/")) if part]
    here: list[bytes] = []
    links = 0
    while waiting:
        part = waiting.pop()
        if part in (b".", b".."):
            here = here[: -1 if part == b".." else None]
            continue
        node = files.get(b"/".join((*here, part)))
        if node is None or (waiting and node.kind == FILE):
            return None
        if node.kind != SYMLINK:
            here.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        here = [] if node.target.startswith(b"/") else here
        waiting += [part for part in reversed(node.target.split(b"/")) if part]
    return files.get(b"/".join(here)) if here else Node(DIRECTORY)


def check_merged(layers: Sequence[LayerContents], config: Json) -> list[Finding]:
    """Findings of the whole file system, and whether the image's program is in it."""
    files, findings = merge_layers(layers)
    findings += _check_links(files)
    findings += _check_interpreters(files, layers)
    findings += _check_program(files, config.get("config") or {})
    return findings


def _check_links(files: FileSystem) -> Iterator[Finding]:
    """One finding for each missing target, however many links lead there."""
    found: dict[bytes, list[bytes]] = {}
    for path, node in files.items():
        if node.target.startswith(b"/") and not _is_there(files, node.target):
            found.setdefault(node.target, []).append(path)
    for target, paths in found.items():
        more = f", as do {len(paths) - 1} more" if paths[1:] else ""
        message = f"the link leads to '{display(target)}', which is not in the image{more}"
        yield Finding("link", f"/{display(paths[0])}", message)


def _check_interpreters(files: FileSystem, layers: Sequence[LayerContents]) -> Iterator[Finding]:
    found: dict[bytes, bytes] = {}
    above: set[bytes] = set()
    for layer in reversed(layers):
        for program, paths in layer.interpreters.items():
            seen = next((path for path in paths if path not in above), None)
            found |= {program: seen} if seen is not None else {}
        above |= layer.nodes.keys()
    for program, path in found.items():
        if not program.startswith(b"/"):
            message = f"its interpreter '{display(program)}' is no absolute path"
        elif _is_there(files, program):
            continue
        else:
            message = f"its interpreter '{display(program)}' is not in the image"
        yield Finding("interpreter", f"/{display(path)}", message)


def _is_there(files: FileSystem, path: bytes) -> bool:
    return path.startswith(_AT_RUN_TIME) or resolve(files, path) is not None


def _check_program(files: FileSystem, run: Json) -> Iterator[Finding]:
    command = [*(run.get("Entrypoint") or ()), *(run.get("Cmd") or ())]
    if not command:
        return
    name = command[0]
    tried = [resolve(files, path.encode(errors="surrogateescape")) for path in _places(name, run)]
    there = [node for node in tried if node]
    if not there:
        yield Finding("entrypoint", "config", f"'{name}' is not in the image")
    elif not any(node.kind == FILE and node.executable for node in there):
        yield Finding("entrypoint", "config", f"'{name}' is not an executable file")


def _places(name: str, run: Json) -> list[str]:
    """Where an engine looks for a program: PATH when there is no slash in its name."""
    if "/" in name:
        return [name if name.startswith("/") else f"{run.get('WorkingDir') or '/'}/{name}"]
    variables = dict(pair.partition("=")[::2] for pair in run.get("Env") or ())
    return [f"{directory}/{name}" for directory in variables.get("PATH", _PATH).split(":")]

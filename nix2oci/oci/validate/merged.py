"""The file system that all layers make together, and what can be wrong with that alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nix2oci.model import links
from nix2oci.model.links import At
from nix2oci.model.tree import parents
from nix2oci.oci.documents import RunConfig
from nix2oci.oci.layer.untar import DIRECTORY, FILE, SYMLINK
from nix2oci.oci.layer.whiteouts import lay_over, target_of
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.layer_contents import LayerContents, Node
from nix2oci.text import display

_AT_RUN_TIME = (b"/proc/", b"/dev/", b"/sys/", b"/run/", b"/var/run/")
"""What is below these is there when a container runs."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines take when the configuration has no PATH."""

_MOST_IMPLIED = 64 << 20
"""Bytes of names of directories that no layer has and that are above what one has."""

_DIRECTORY = Node(DIRECTORY)

FileSystem = Mapping[bytes, Node]
"""Nodes by path relative to the root."""


def merge_layers(layers: Iterable[LayerContents]) -> tuple[dict[bytes, Node], list[Finding]]:
    """Lay the layers on each other, the base layer first (layer.md, Applying Changesets)."""
    merged: dict[bytes, Node] = {}
    findings: list[Finding] = []
    room = _MOST_IMPLIED
    for layer in layers:
        findings += [*_needless_marks(layer, merged), *_replacements(layer, merged)]
        merged = lay_over(merged, layer.nodes, layer.whiteouts, _is_directory)
        for path in layer.nodes:
            room -= _imply_parents(merged, path, room)
    return merged, findings


def _is_directory(node: Node) -> bool:
    return node.kind == DIRECTORY


def _needless_marks(layer: LayerContents, below: FileSystem) -> Iterator[Finding]:
    """Whiteouts that take nothing away."""
    for mark in layer.whiteouts:
        path, is_opaque = target_of(mark)
        if path in below and (is_opaque or path not in layer.nodes):
            continue
        if is_opaque and not path:
            continue
        message = "names that start with '.wh.' mark deletions, and there is nothing to delete"
        yield Finding("whiteout", f"{layer.where}: /{display(mark)}", message)


def _replacements(layer: LayerContents, below: FileSystem) -> Iterator[Finding]:
    """Links where a lower layer has directories, and the other way round."""
    for path, node in layer.nodes.items():
        kinds = {node.kind, below[path].kind} if path in below else set()
        if kinds == {DIRECTORY, SYMLINK}:
            names = ("a link", "a directory")
            new, old = names if node.kind == SYMLINK else names[::-1]
            message = f"{new} replaces {old} of a lower layer"
            yield Finding("replaced", f"{layer.where}: /{display(path)}", message)


def _imply_parents(merged: dict[bytes, Node], path: bytes, most: int) -> int:
    """Add the directories above a path, as long as their names have at most so many bytes."""
    taken = 0
    for parent in parents(path):
        if parent in merged or taken + len(parent) > most:
            break
        merged[parent] = _DIRECTORY
        taken += len(parent)
    return taken


def resolve(files: FileSystem, path: bytes) -> Node | None:
    """What an absolute path leads to, all links followed; None when that is nothing."""
    found = links.resolve(path.rstrip(b"/"), lambda at: _at(files.get(at[1:])))
    if not found.exists:
        return None
    return files.get(found.path[1:]) if found.path else Node(DIRECTORY)


def _at(node: Node | None) -> bytes | At:
    if node is None:
        return At.NOTHING
    if node.kind == SYMLINK:
        return node.target
    return At.DIRECTORY if node.kind == DIRECTORY else At.FILE


def check_merged(layers: Sequence[LayerContents], run: RunConfig) -> list[Finding]:
    """Findings of the whole file system, and whether the image's program is in it."""
    files, findings = merge_layers(layers)
    findings += _check_links(files)
    findings += _check_interpreters(files, layers)
    findings += _check_program(files, run)
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


def _check_program(files: FileSystem, run: RunConfig) -> Iterator[Finding]:
    if not run.command:
        return
    name = run.command[0]
    tried = [resolve(files, path.encode(errors="surrogateescape")) for path in _places(name, run)]
    there = [node for node in tried if node]
    if not there:
        yield Finding("entrypoint", "config", f"'{name}' is not in the image")
    elif not any(node.kind == FILE and node.executable for node in there):
        yield Finding("entrypoint", "config", f"'{name}' is not an executable file")


def _places(name: str, run: RunConfig) -> list[str]:
    """Where an engine looks for a program: PATH when there is no slash in its name."""
    if "/" in name:
        return [name if name.startswith("/") else f"{run.working_dir or '/'}/{name}"]
    return [f"{directory}/{name}" for directory in run.variables.get("PATH", _PATH).split(":")]

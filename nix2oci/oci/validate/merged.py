"""The file system that all layers make together, and what can be wrong with that alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from nix2oci.model import links
from nix2oci.model.links import At
from nix2oci.model.tree import parents
from nix2oci.oci.documents import RunConfig
from nix2oci.oci.healthcheck import Healthcheck
from nix2oci.oci.layer.untar import DIRECTORY, FILE, SYMLINK
from nix2oci.oci.layer.whiteouts import lay_over, target_of
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.interpreter import Start
from nix2oci.oci.validate.layer_contents import LayerContents, Node
from nix2oci.oci.validate.program import (
    AT_RUN_TIME,
    command_of,
    interpreter_fault,
    program_fault,
)
from nix2oci.text import display

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
    found = _follow(files, path)
    if not found.exists:
        return None
    return files.get(found.path[1:]) if found.path else Node(DIRECTORY)


def _follow(files: FileSystem, path: bytes) -> links.Resolved:
    return links.resolve(path.rstrip(b"/"), lambda at: _look(files, at))


def _look(files: FileSystem, path: bytes) -> bytes | At:
    node = files.get(path[1:])
    if node is None:
        return At.NOTHING
    if node.kind == SYMLINK:
        return node.target
    return At.DIRECTORY if node.kind == DIRECTORY else At.FILE


class LayeredFiles(Struct, frozen=True):
    """What layers make together, as `program_fault` asks for it."""

    files: FileSystem
    layers: Sequence[LayerContents]

    def resolve(self, path: bytes) -> links.Resolved:
        """As `program.Files` has it; what a trailing slash asks for is not looked at."""
        return _follow(self.files, path)

    def look(self, path: bytes) -> bytes | At:
        """What is at a path, as `links.resolve` asks for it."""
        return _look(self.files, path)

    def is_executable(self, path: bytes) -> bool:
        node = self.files.get(path[1:])
        return node is not None and node.kind == FILE and node.executable

    def start(self, path: bytes) -> Start | None:
        """As the topmost layer has the file."""
        name = path[1:]
        for layer in reversed(self.layers):
            if name in layer.nodes:
                if name in layer.no_programs:
                    return None
                known = (start for start, paths in layer.starts.items() if name in paths)
                return next(known, Start())
        return Start()


class MergedLayers(Struct, frozen=True):
    """The whole file system, and what is wrong with it whatever is started."""

    files: LayeredFiles
    findings: list[Finding]

    def check_start(self, run: RunConfig) -> Iterator[Finding]:
        """Whether the programs that are started can be, unless that was told already.

        Those are the image's own, and that of its health check.
        """
        check = Healthcheck.read(run.fields["Healthcheck"].value)
        for code, argv in (
            ("entrypoint", run.command),
            ("healthcheck", check.argv if check else ()),
        ):
            command = command_of(argv, run.working_dir, run.variables)
            fault = program_fault(self.files, command, code=code)
            if fault and all(fault.message != finding.message for finding in self.findings):
                yield fault.finding


def check_merged(layers: Sequence[LayerContents]) -> MergedLayers:
    """What the layers make together, each of them once."""
    merged, findings = merge_layers(layers)
    files = LayeredFiles(merged, layers)
    return MergedLayers(files, [*findings, *_check_links(merged), *_check_interpreters(files)])


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


def _is_there(files: FileSystem, path: bytes) -> bool:
    return path.startswith(AT_RUN_TIME) or resolve(files, path) is not None


def _check_interpreters(files: LayeredFiles) -> Iterator[Finding]:
    found: dict[bytes, bytes] = {}
    above: set[bytes] = set()
    for layer in reversed(files.layers):
        first: dict[bytes, bytes] = {}
        for start, paths in layer.starts.items():
            for path in (path for path in paths if path in files.files and path not in above):
                first.setdefault(start.interpreter, path)
        found |= first
        above |= layer.nodes.keys()
    for interpreter, path in found.items():
        if fault := interpreter_fault(files, b"/" + path, interpreter):
            yield fault.finding

"""What is in one layer: every path, the store paths and their NAR hashes, and what looks wrong.

All of it comes from one pass over the tar. Content is hashed as it streams by; kept is one small
value for each path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct, field

from nix2oci.model.tree import parents
from nix2oci.oci.layer.untar import (
    DIRECTORY,
    FILE,
    HARDLINK,
    SYMLINK,
    EndMarkError,
    Member,
    TarError,
    TarReader,
    normal,
)
from nix2oci.oci.layer.whiteouts import is_whiteout
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.interpreter import HEAD, Start, start_of
from nix2oci.oci.validate.nar_hash import NarHash, NarOrderError
from nix2oci.oci.validate.tar_facts import TarFacts
from nix2oci.text import display

STORE_PATH = re.compile(
    rb"((?:[^/]+/)*?store/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]+)(?:/(.*))?", re.DOTALL
)


class Node(Struct, frozen=True):
    """What is at a path; a symbolic link has a target."""

    kind: bytes
    executable: bool = False
    target: bytes = b""


_KINDS = frozenset({FILE, HARDLINK, SYMLINK, DIRECTORY})
_SPECIAL = {b"3": "a character device", b"4": "a block device", b"6": "a FIFO"}
_DIRECTORY = Node(DIRECTORY)
_FILE, _PROGRAM = Node(FILE), Node(FILE, executable=True)


class LayerContents(Struct):
    """A layer that was read. Paths are relative to the root and normalised, in tar order."""

    where: str
    """How findings name the layer."""
    hash_store_paths: bool = True
    facts: TarFacts | None = None
    """Gets what the table of a chunked layer is held against."""
    nodes: dict[bytes, Node] = field(default_factory=dict)
    whiteouts: dict[bytes, None] = field(default_factory=dict)
    """Whole names, `.wh.` included; they are no nodes."""
    store_paths: dict[str, int] = field(default_factory=dict)
    """Bytes that the entries of each store path take in the tar."""
    nar_hashes: dict[str, bytes] = field(default_factory=dict)
    """Of the store paths whose entries are in the order of a NAR."""
    linked_hashes: dict[str, bytes] = field(default_factory=dict)
    """The like of those that have hard links, which no NAR has."""
    starts: dict[Start, list[bytes]] = field(default_factory=dict)
    """How executable files are started, where by an interpreter -> those files."""
    no_programs: set[bytes] = field(default_factory=set)
    """Executable files that the kernel takes for no program."""
    findings: list[Finding] = field(default_factory=list)
    complete: bool = False
    """Read to the end."""
    directories: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    """Mode, uid and gid of the directories outside store paths."""
    _orphans: set[bytes] = field(default_factory=set)
    """Parents that were missed already."""
    _store_path: bytes = b""
    _nar: NarHash | None = None

    def read(self, chunks: Iterable[bytes]) -> None:
        """Read the plain tar. What the chunks raise comes through; what came before it stays."""
        reader = TarReader(self.facts.noted(chunks) if self.facts else chunks)
        try:
            for member in reader:
                if self.facts:
                    self.facts.begin(member, reader.position)
                self._member(member, reader)
            self.complete = True
        except EndMarkError as err:
            self.complete = True
            self.findings.append(Finding("end-mark", self.where, str(err)))
        except TarError as err:
            self.findings.append(Finding("tar", self.where, str(err)))
        self._end_store_path()
        if self.facts:
            self.facts.end()

    def _member(self, member: Member, reader: TarReader) -> None:
        path = member.path
        if not path and member.kind == DIRECTORY:
            return
        self._check(member, path)
        if is_whiteout(path):
            self.whiteouts[path] = None
            return
        self.nodes[path] = self._node(member)
        if member.kind == DIRECTORY and not self._store_path:
            self.directories[path] = member.mode, member.uid, member.gid
        parts = self._in_store_path(member, path)
        head = b""
        for piece in reader.content():
            if self.facts:
                self.facts.content(piece)
            if parts is not None and self._nar:
                self._nar.content(piece)
            if member.mode & 0o111 and len(head) < HEAD:
                head += piece[: HEAD - len(head)]
        if parts is not None and self._nar and member.kind == FILE:
            self._nar.file_end(parts, member.size)
        if member.kind == FILE and member.mode & 0o111:
            self._start(path, start_of(head))

    def _start(self, path: bytes, start: Start | None) -> None:
        if start is None:
            self.no_programs.add(path)
        elif start.interpreter:
            self.starts.setdefault(start, []).append(path)

    def _check(self, member: Member, path: bytes) -> None:
        if member.name.startswith(b"/"):
            self._found("name", path, "the name is absolute")
        if b".." in path.split(b"/"):
            self._found("name", path, "the name leads upwards with '..'")
        if path in self.nodes or path in self.whiteouts:
            self._found("duplicate", path, "the path is there twice")
        if member.kind == HARDLINK and normal(member.link) not in self.nodes:
            target = display(member.link)
            self._found("hardlink", path, f"hard link to '{target}', which is not in the layer")
        if member.kind not in _KINDS:
            what = _SPECIAL.get(member.kind, f"of the unknown type {display(member.kind)!r}")
            self._found("special", path, f"it is {what}")
        if member.sparse:
            self._found("sparse", path, "the file is stored with holes")
        self._check_parent(path)

    def _check_parent(self, path: bytes) -> None:
        parent = path.rpartition(b"/")[0]
        if not parent or parent in self._orphans:
            return
        node = self.nodes.get(parent)
        if node is None:
            self._orphans.add(parent)
            self._found("parent", path, f"the directory '{display(parent)}' does not come before")
        elif node.kind != DIRECTORY:
            self._orphans.add(parent)
            self._found("parent", path, f"'{display(parent)}' is no directory")

    def _check_store_directory(self, directory: bytes) -> None:
        for path in (directory, *parents(directory)):
            mode = self.directories.get(path, (0o755,))[0]
            if mode != 0o755:
                self._found("store-directory", path, f"the directory has mode {mode:04o}, not 0755")

    def _found(self, code: str, path: bytes, message: str) -> None:
        self.findings.append(Finding(code, f"{self.where}: /{display(path)}", message))

    def _node(self, member: Member) -> Node:
        if member.kind == HARDLINK:
            return self.nodes.get(normal(member.link), _FILE)
        if member.kind == SYMLINK:
            return Node(SYMLINK, target=member.link)
        if member.kind == DIRECTORY:
            return _DIRECTORY
        if member.kind == FILE:
            return _PROGRAM if member.mode & 0o111 else _FILE
        return Node(member.kind)

    def _in_store_path(self, member: Member, path: bytes) -> tuple[bytes, ...] | None:
        """The path relative to its store path, after that was begun; None outside of any."""
        found = STORE_PATH.fullmatch(path)
        if not found:
            return None
        store_path, rest = found.groups()
        if store_path != self._store_path:
            self._begin_store_path(store_path)
        name = _shown(store_path)
        size = 512 + member.size + -member.size % 512
        self.store_paths[name] = self.store_paths.get(name, 0) + size
        parts = tuple(rest.split(b"/")) if rest else ()
        if self._nar:
            try:
                self._nar.add(
                    *(parts, member.kind), size=member.size, mode=member.mode, link=member.link
                )
            except NarOrderError:
                self._nar = None
        return parts

    def _begin_store_path(self, store_path: bytes) -> None:
        self._end_store_path()
        name = _shown(store_path)
        if not self.store_paths:
            self._check_store_directory(store_path.rpartition(b"/")[0])
        if name in self.store_paths:
            self.nar_hashes.pop(name, None)
            self.linked_hashes.pop(name, None)
        elif self.hash_store_paths:
            self._nar = NarHash()
        self._store_path = store_path

    def _end_store_path(self) -> None:
        if self._nar:
            hashes = self.linked_hashes if self._nar.has_hard_links else self.nar_hashes
            hashes[_shown(self._store_path)] = self._nar.end()
        self._nar, self._store_path = None, b""


def _shown(store_path: bytes) -> str:
    """Absolute, as text: what is above the store may have any bytes in its name."""
    return "/" + store_path.decode("utf-8", "backslashreplace")

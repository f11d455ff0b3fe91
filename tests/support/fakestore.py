"""A store without Nix: store objects on disk, and what Nix would record about them.

The NAR hash comes from a serialiser of its own, which knows only the node that was asked for and
never looks at the disk: whoever reads the disk is judged by other code. `nar` is the format of
Nix's manual ("Nix Archive format") and nothing more.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

from msgspec.structs import replace

from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.tree import Directory, Entry, File, Symlink

STORE_DIR = "/nix/store"
_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


@dataclass(frozen=True)
class Program:
    """An executable file."""

    content: bytes = b""


@dataclass(frozen=True)
class Link:
    target: bytes


Node = Union[bytes, Program, Link, "Mapping[bytes, Node]"]
"""A file is its content, a directory maps names to nodes."""


def store_path(name: str, store_dir: str = STORE_DIR, salt: str = "") -> StorePath:
    """The store path of a name; its hash part depends on the name and `salt` alone."""
    digest = hashlib.sha256((name + salt).encode()).digest()
    return StorePath(store_dir, "".join(_ALPHABET[byte % 32] for byte in digest), name)


def nar(node: Node) -> bytes:
    """The NAR of a node."""
    return _string(b"nix-archive-1") + _nar_node(node)


def sri(node: Node) -> str:
    """The NAR hash of a node as Nix prints it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(nar(node)).digest()).decode()


def _nar_node(node: Node) -> bytes:
    words: list[bytes]
    if isinstance(node, bytes):
        words = [b"type", b"regular", b"contents", node]
    elif isinstance(node, Program):
        words = [b"type", b"regular", b"executable", b"", b"contents", node.content]
    elif isinstance(node, Link):
        words = [b"type", b"symlink", b"target", node.target]
    else:
        inner = b"".join(
            b"".join(map(_string, [b"entry", b"(", b"name", name, b"node"]))
            + _nar_node(node[name])
            + _string(b")")
            for name in sorted(node)
        )
        return _string(b"(") + _string(b"type") + _string(b"directory") + inner + _string(b")")
    return b"".join(map(_string, [b"(", *words, b")"]))


def _string(text: bytes) -> bytes:
    padding = bytes((8 - len(text) % 8) % 8)
    return len(text).to_bytes(8, "little") + text + padding


@dataclass
class FakeStore:
    """Objects below `top`, at `top` + store path, and a record of each."""

    top: Path
    store_dir: str = STORE_DIR
    infos: list[PathInfo] = field(default_factory=list)

    @property
    def root(self) -> str:
        """What stands before a store path on disk."""
        return str(self.top)

    def add(
        self, name: str, node: Node, references: Iterable[StorePath] = (), salt: str = ""
    ) -> PathInfo:
        """Write a node as a store object, as Nix does: 0555 or 0444, one second after 1970."""
        path = store_path(name, self.store_dir, salt)
        at = self.physical(path)
        os.makedirs(os.path.dirname(at), exist_ok=True)
        write(at, node)
        data = nar(node)
        info = PathInfo(path, hashlib.sha256(data).digest(), len(data), tuple(sorted(references)))
        self.infos.append(info)
        return info

    def thaw(self, info: PathInfo) -> None:
        """Let the owner change an object: what a NAR has of it stays as it is."""
        top = self.physical(info.path)
        for directory, _, files in os.walk(top):
            os.chmod(directory, 0o755)
            for name in files:
                at = os.path.join(directory, name)
                if not os.path.islink(at):
                    os.chmod(at, os.stat(at).st_mode | 0o200)

    def physical(self, path: StorePath, inside: bytes = b"") -> bytes:
        """Where a store path, or a path inside it, is on disk."""
        return os.fsencode(self.top) + str(path).encode() + inside

    def closure(self, *roots: StorePath) -> Closure:
        """The closure of everything that was added."""
        return Closure.of(self.infos, roots)


def write(at: bytes, node: Node) -> None:
    """Put a node on disk; what is there already must not be."""
    if isinstance(node, Link):
        os.symlink(node.target, at)
        return
    if isinstance(node, Mapping):
        os.mkdir(at)
        for name, child in node.items():
            write(at + b"/" + name, child)
        os.chmod(at, 0o555)
    else:
        with open(at, "xb") as file:
            file.write(node.content if isinstance(node, Program) else node)
        os.chmod(at, 0o555 if isinstance(node, Program) else 0o444)
    os.utime(at, (1, 1))


def entries_of(info: PathInfo, node: Node) -> list[Entry]:
    """The entries that a node must become, content in one piece."""
    return list(_entries(str(info.path)[1:].encode(), node))


def _entries(path: bytes, node: Node) -> Iterator[Entry]:
    if isinstance(node, bytes):
        yield File(path, len(node), (node,), 0o444)
    elif isinstance(node, Program):
        yield File(path, len(node.content), (node.content,), 0o555)
    elif isinstance(node, Link):
        yield Symlink(path, node.target)
    else:
        yield Directory(path, 0o555)
        for name in sorted(node):
            yield from _entries(path + b"/" + name, node[name])


def whole(entries: Iterable[Entry]) -> list[Entry]:
    """Entries as they come, the chunks of each file joined before the next is asked for."""
    return [
        replace(entry, chunks=(b"".join(entry.chunks),)) if isinstance(entry, File) else entry
        for entry in entries
    ]

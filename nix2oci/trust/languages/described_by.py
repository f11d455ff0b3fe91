"""Which files say what packages there are: by their names, and programs by their first bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import chain

from nix2oci.text import display
from nix2oci.trust.languages.found import Found, Reader
from nix2oci.trust.languages.installed import gem_specification, npm_package, python_metadata
from nix2oci.trust.languages.java import SUFFIXES, archive_packages
from nix2oci.trust.languages.programs import program_packages

_PYTHON = (b".dist-info/METADATA", b".egg-info/PKG-INFO", b"EGG-INFO/PKG-INFO", b".egg-info")

_IN_MEMORY = 1 << 22
"""Bytes of a file that is kept in memory while it is looked into; what is larger is on disk."""


def streamed_packages(path: bytes, pieces: Iterator[bytes], *, executable: bool) -> list[Found]:
    """What a regular file of an image says; of its content as much is taken as that needs.

    `path` is relative to the root.
    """
    reader = reader_of(b"/" + path, executable=executable)
    first = next(pieces, b"") if reader else b""
    if reader is None or (reader is program_packages and not first.startswith(b"\x7fELF")):
        return []
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        for piece in chain([first], pieces):
            file.write(piece)
        file.seek(0)
        return sorted(set(reader(file, display(path.rpartition(b"/")[2]))))


def reader_of(path: bytes, *, executable: bool) -> Reader | None:
    """What reads a regular file that lies at a path; None for one that says nothing.

    Most programs say nothing either, but that is for their content to tell.
    """
    if path.endswith(_PYTHON):
        return python_metadata
    if path.endswith(b"/package.json"):
        return npm_package
    if path.endswith(b".gemspec") and b"/specifications/" in path:
        return gem_specification
    if path.endswith(SUFFIXES):
        return archive_packages
    return program_packages if executable else None

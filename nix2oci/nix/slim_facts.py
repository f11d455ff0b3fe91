"""What in a store path speaks against leaving something out of the image.

Evidence, found in names and bytes: a path that is put together while a program runs is not seen.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Iterator, Mapping
from functools import partial

from nix2oci.model.closure import PathInfo
from nix2oci.model.slim_rules import DOCUMENTS, PYTHON_PARTS, RULES, RuleSet
from nix2oci.nix.dynamic_imports import imported
from nix2oci.nix.file_search import entries
from nix2oci.nix.store_files import StoreFiles, unreadable
from nix2oci.text import display

_QUESTION = " ".join(["slim", *(str(RULES[name]) for name in ("docs", "dev", "gconv", "python"))])
_NOT_LOOKED_INTO = RuleSet.of(name for name in RULES if name != "gconv")
"""What is left out needs nothing itself. The conversions are libraries, which may need others."""

_COMPILER = re.compile(rb"bin/(?:.*-)?(?:cc|c\+\+|gcc|g\+\+|clang|clang\+\+|ld|as)(?:-[\d.]+)?")
_SHARE = b"/share/"
_DOCUMENT = re.compile(rb"/share/(?:%s)\b" % DOCUMENTS.encode())
_STORE_PATH = re.compile(rb"[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}\Z")
_LONGEST = 32 + 1 + 211
_PYTHON_LIBRARY = re.compile(rb"lib/python3\.\d+/(?!site-packages/|dist-packages/)")
"""It names these parts for its own tests, and in modules that are parts of them as well."""
_MODULES = (*PYTHON_PARTS, "turtle", "venv")  # which are in the library, and need one of these
_IMPORT = re.compile(
    rb"^[ \t]*(?:import|from)[ \t]+(%s)\b" % "|".join(_MODULES).encode(), re.MULTILINE
)


def against_rules(files: StoreFiles) -> Mapping[str, str]:
    """For rules that something speaks against: what, in words, the first by name of all there are.

    Kept with each store path. Raises `StoreError` where something cannot be read.
    """
    found: dict[str, str] = {}
    for info in files.owners.values():
        try:
            ask = files.facts_known.get_or_compute(info, _QUESTION, partial(_found, files, info))
        except OSError as err:
            raise unreadable(err, str(info.path)) from err
        for rule, what in ask.items():
            found.setdefault(rule, f"{info.path.name}/{what}")
    return found


def _found(files: StoreFiles, info: PathInfo) -> dict[str, str]:
    """Rule -> file and reason, of one store path."""
    found: dict[str, str] = {}
    top = str(info.path).encode()
    for path, mode in entries(files, top):
        inside = path[len(top) + 1 :]
        if _NOT_LOOKED_INTO.leaves_out(inside):
            continue
        for rule, why in _in_name_or_bytes(files, path, inside, mode):
            found.setdefault(rule, f"{display(inside)} {why}")
    return found


def _in_name_or_bytes(
    files: StoreFiles, path: bytes, inside: bytes, mode: int
) -> Iterator[tuple[str, str]]:
    if _COMPILER.fullmatch(inside):
        yield "dev", "is a compiler"
    if stat.S_ISLNK(mode):
        if _names_a_document(os.readlink(files.at(path))):
            yield "docs", "is a link to one"
        return
    fd = os.open(files.content(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not os.fstat(fd).st_size:
            return
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as data:
            if _names_a_document(data):
                yield "docs", "names one"
            is_python = inside.endswith(b".py") and not _PYTHON_LIBRARY.match(inside)
            if is_python and (part := _IMPORT.search(data)):
                yield "python", f"imports {part[1].decode()}"
            if data[:4] == b"\x7fELF" and imported(fd, (b"iconv_open",)):
                yield "gconv", "imports iconv_open"
    finally:
        os.close(fd)


def _names_a_document(data: bytes | mmap.mmap) -> bool:
    """Whether there is the path of a store path's documents in the bytes."""
    at = -1
    while (at := data.find(_SHARE, at + 1)) >= 0:
        before = data[max(0, at - _LONGEST) : at]
        if _DOCUMENT.match(data, at) and _STORE_PATH.search(before):
            return True
    return False

"""Files of YAML that `-f` names, and the one stream that several of them become.

Which files of a directory count is as `kubectl` and `ko` have it.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from nix2oci.config.reading import one_line
from nix2oci.errors import ConfigError, OutputError
from nix2oci.host.regular_files import read_file
from nix2oci.text import size

_ENDS = (".json", ".yaml", ".yml")
_MOST_BYTES = 16 << 20
"""Of one file; what a chart of all that a cluster needs renders to has some 5 MiB."""


def read_inputs(
    names: Sequence[str], stdin: BinaryIO, *, recursive: bool
) -> list[tuple[str, bytes]]:
    """The files that were named, each with its name for messages and what is in it.

    Of a directory these are its YAML and JSON files in the order of their names, and with
    `recursive` those in directories below; `-` is `stdin`. Raises `ConfigError` for a directory
    without any, and `OutputError` for what cannot be read.
    """
    if names.count("-") > 1:
        raise ConfigError("cannot read standard input twice", hint="name - once")
    return [found for name in names for found in _read(name, stdin, recursive=recursive)]


def _read(name: str, stdin: BinaryIO, *, recursive: bool) -> Iterator[tuple[str, bytes]]:
    try:
        if name == "-":
            yield "standard input", _whole(stdin, "standard input")
        elif os.path.isdir(name):
            for path in _files(name, recursive=recursive):
                yield one_line(path), read_file(path, _MOST_BYTES)
        else:  # also a pipe: the user named it
            with open(name, "rb") as file:
                yield one_line(name), _whole(file, name)
    except (OSError, ValueError) as err:
        where = getattr(err, "filename", None) or name
        cause = getattr(err, "strerror", None) or err
        raise OutputError(f"cannot read {one_line(str(where))}: {cause}") from err


def _whole(file: BinaryIO, name: str) -> bytes:
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OutputError(f"cannot read {one_line(name)}: it is larger than {size(_MOST_BYTES)}")
    return data


def _files(directory: str, *, recursive: bool) -> list[str]:
    found = list(_below(directory, recursive=recursive))
    if not found:
        below = "" if recursive else "; with -R, those in directories below it count, too"
        raise ConfigError(
            f"cannot resolve {one_line(directory)}: it has no file that ends in {', '.join(_ENDS)}",
            hint=f"name the files{below}",
        )
    return found


def _below(directory: str, *, recursive: bool) -> Iterator[str]:
    """Paths in the order of names; no link to a directory is followed, since it may lead up."""
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, recursive=True) if recursive else ()
            elif entry.name.endswith(_ENDS) and not entry.is_dir():
                yield entry.path.removeprefix("./")


def joined(streams: Sequence[bytes]) -> bytes:
    """One stream of documents: a single one as it is, several with `---` between them."""
    if len(streams) < 2:
        return b"".join(streams)
    # kubectl takes all of what begins with { for JSON.
    pieces = [b"---\n"] if streams[0].lstrip().startswith(b"{") else []
    for number, stream in enumerate(streams):
        text = stream.removeprefix(codecs.BOM_UTF8) if number else stream
        if number:  # directives may only follow the end of a document
            pieces.append(b"...\n" if _BEGINS_WITH_DIRECTIVE.match(text) else b"---\n")
        pieces.append(text)
        if text and not text.endswith((b"\n", b"\r")):
            pieces.append(b"\n")
    return b"".join(pieces)


_BEGINS_WITH_DIRECTIVE = re.compile(rb"(?:[ \t]*(?:#[^\r\n]*)?[\r\n])*%")

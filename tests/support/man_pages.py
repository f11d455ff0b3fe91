"""Man pages, made of what `--help` prints.

None has a date, so that the same help gives the same bytes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence

import click
from support.cli_page import commands, context_of
from support.paths import DOCS

from nix2oci.cli.app import program
from nix2oci.cli.help import COMMANDS
from nix2oci.config.options.group import Command

_FLAG = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")


def pages() -> dict[str, str]:
    """Every man page by the name of its file."""
    found = {"nix2oci.1": _lines(_program())}
    for name, command in commands().items():
        assert isinstance(command, Command)
        found[f"nix2oci-{name}.1"] = _lines(_command(name, command))
    return found


def _program() -> Iterator[str]:
    context = context_of(program)
    yield from _head("nix2oci", program.help or "")
    yield from (r"\fBnix2oci\fR [OPTIONS] COMMAND [ARGS]...", ".SH DESCRIPTION")
    yield from _paragraphs(program.help or "")
    yield ".SH OPTIONS"
    yield from _options(program.get_params(context), context)
    yield ".SH COMMANDS"
    for name, text in COMMANDS.items():
        yield from (".TP", rf"\fBnix2oci\-{name}\fR(1)", _text(text))
    yield ".SH EXIT STATUS"
    for code, meaning in _exit_codes().items():
        yield from (".TP", rf"\fB{code}\fR", _text(meaning))


def _command(name: str, command: Command) -> Iterator[str]:
    context = context_of(command)
    yield from _head(f"nix2oci-{name}", COMMANDS[name])
    yield rf"\fBnix2oci {name}\fR {_text(' '.join(command.collect_usage_pieces(context)))}"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    yield ".SH OPTIONS"
    for title, options in command.sections(context).items():
        if title != "Options":
            yield f".SS {title}"
        yield from _options(options, context)
    yield from (".SH SEE ALSO", r"\fBnix2oci\fR(1)")


def _head(page: str, line: str) -> Iterator[str]:
    yield r".\" Made by ./dev pages."
    yield f'.TH "{_text(page.upper())}" "1" "" "nix2oci" "nix2oci"'
    # Neither hyphens within names nor spaces that fill a line.
    yield from (".nh", ".ad l")
    yield from (".SH NAME", rf"{_text(page)} \- {_text(line.removesuffix('.'))}", ".SH SYNOPSIS")


def _exit_codes() -> Mapping[int, str]:
    """What each exit code means, as the page of errors says it."""
    table = (DOCS / "errors.md").read_text().partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", table, re.MULTILINE)
    return {int(code): text for code, text in rows}


def _options(options: Sequence[click.Parameter], context: click.Context) -> Iterator[str]:
    for option in options:
        if record := option.get_help_record(context):
            yield from (".TP", _flags(record[0]), _text(record[1]))


def _flags(spelling: str) -> str:
    bold = _FLAG.sub(lambda flag: f"\0{flag[0]}\1", spelling)
    return _text(bold).replace("\0", r"\fB").replace("\1", r"\fR")


def _paragraphs(text: str) -> Iterator[str]:
    first, *others = inspect.cleandoc(text).split("\n\n")
    yield _text(first)
    for paragraph in others:
        yield from (".PP", _text(paragraph))


def _text(text: str) -> str:
    """Text of a help in one line of roff; what is code there is bold."""
    one_line = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    bold = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", one_line)
    return rf"\&{bold}" if bold.startswith((".", "'")) else bold


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"

"""All that is printed: results on stdout; errors and progress, as lines or bars, on stderr.

What a terminal could take as an order is escaped here, since anyone may have written it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from nix2oci.cli import context
from nix2oci.config.options.output import OutputOptions
from nix2oci.text import printable, size

if TYPE_CHECKING:
    from nix2oci.report.terminal.styled import Style, Text

_REDRAWN = 0.1
"""Seconds between two drawings of a bar, each of which takes some milliseconds."""

_WARNING = "warning: "


def result(*lines: str) -> None:
    """What the command was asked for, in lines of their own, for people or for `$(...)`."""
    for each in lines:
        click.echo(printable(each))


def result_text(text: Text) -> None:
    """A result for people: on a terminal within its width, and with styles."""
    from nix2oci.report.terminal.layout import lay_out  # commands that print references have none

    lines = lay_out(text, context.width())
    colour = context.has_colour(err=False)
    styled = ("".join(_styled(s.text, s.style, colour=colour) for s in line) for line in lines)
    click.echo("\n".join(styled))


def _styled(text: str, style: Style, *, colour: bool) -> str:
    """Text that is printable already; `bold` is a weight, all others are colours."""
    if not colour or not style:
        return text
    return click.style(text, bold=True) if style == "bold" else click.style(text, fg=style)


def _prefix(text: str, style: Style) -> str:
    """What a line on stderr begins with."""
    return _styled(text, style, colour=context.has_colour(err=True))


def result_bytes(data: bytes | memoryview) -> None:
    """The same where it is a file."""
    context.standard_output().write(data)


def result_json(document: object, *, err: bool = False) -> None:
    """A result for machines: indented, keys in the order given; `err` where stdout is taken."""
    click.echo(json_text(document), nl=False, err=err)


def json_text(document: object) -> str:
    """The document as `result_json` prints it."""
    return json.dumps(document, indent=2).replace("\x7f", r"\u007f") + "\n"


def line(text: str) -> None:
    """Lines on stderr: what another program says, or a detail that was asked for."""
    click.echo(printable(text, keep="\n\t"), err=True)


def lines(text: Text) -> None:
    """A text on stderr, as wide as it is."""
    from nix2oci.report.terminal.layout import plain

    click.echo(plain(text), err=True)


def error(message: str, hint: str | None) -> None:
    """What went wrong, and how to mend it."""
    click.echo(f"{_prefix('error:', 'red')} {printable(message)}", err=True)
    if hint:
        shown = "\n  ".join(map(printable, hint.split("\n  ")))  # a list has lines of its own
        click.echo(f"{_prefix('hint:', 'yellow')} {shown}", err=True)


def traceback(err: BaseException) -> None:
    """Where it went wrong, for who looks for a bug."""
    from traceback import format_exception

    for part in format_exception(err):
        is_place = part.startswith((" ", "\n", "Traceback"))  # else it is a message
        shown = printable(part.rstrip("\n"), keep="\n" if is_place else "")
        click.echo(shown, err=True)


class Counter(Struct, frozen=True):
    """Takes bytes, or steps, as they are done, and lines that come in between."""

    advance: Callable[[int], None]
    step: Callable[[str], None]

    def __call__(self, done: int) -> None:
        self.advance(done)


class Lines(Struct, frozen=True):
    """Progress as plain lines, for logs and pipes; says nothing when quiet."""

    quiet: bool = False

    def step(self, text: str) -> None:
        if not self.quiet:
            click.echo(f"nix2oci: {printable(text)}", err=True)

    @contextmanager
    def bytes(self, text: str, total: int) -> Iterator[Counter]:
        self.step(f"{text} ({size(total)})")
        yield Counter(lambda _: None, self.step)

    @contextmanager
    def steps(self, text: str, total: int) -> Iterator[Counter]:  # noqa: ARG002
        self.step(text)
        yield Counter(lambda _: None, self.step)


class Bars(Struct, frozen=True):
    """Progress on a terminal: a line for each step, a bar for what is counted."""

    def step(self, text: str) -> None:
        shown, warns = printable(text), text.startswith(_WARNING)
        if warns:  # it is to be seen among all that needs no decision
            shown = _prefix(_WARNING, "yellow") + shown.removeprefix(_WARNING)
        click.echo(f"{_prefix('nix2oci:', 'blue')} {shown}", err=True)

    def bytes(self, text: str, total: int) -> AbstractContextManager[Counter]:
        return self._bar(text, total, in_bytes=True)

    def steps(self, text: str, total: int) -> AbstractContextManager[Counter]:
        return self._bar(text, total, in_bytes=False)

    @contextmanager
    def _bar(self, text: str, total: int, *, in_bytes: bool) -> Iterator[Counter]:
        from rich import progress as rich  # only a terminal needs it
        from rich.console import Console
        from rich.table import Column
        from rich.text import Text

        one_line = Column(no_wrap=True)
        amounts = (rich.DownloadColumn, rich.TransferSpeedColumn) if in_bytes else ()
        console = Console(stderr=True)
        bars = rich.Progress(
            rich.TextColumn("nix2oci: {task.description}", markup=False, table_column=one_line),
            rich.BarColumn(),
            *(amount(table_column=one_line) for amount in amounts),
            rich.TimeRemainingColumn(table_column=one_line),
            console=console,
            transient=True,
            auto_refresh=False,  # that would be a thread, and write_layers forks
        )
        with bars:
            task = bars.add_task(printable(text), total=total)
            drawn = monotonic()

            def advance(done: int) -> None:
                nonlocal drawn
                bars.advance(task, done)
                if monotonic() - drawn >= _REDRAWN:
                    drawn = monotonic()
                    bars.refresh()

            def step(text: str) -> None:
                warning = (_WARNING if text.startswith(_WARNING) else "", "yellow")
                rest = printable(text).removeprefix(_WARNING)
                line = Text.assemble(("nix2oci:", "blue"), " ", warning, rest)
                console.print(line, soft_wrap=True)

            yield Counter(advance, step)


def progress(output: OutputOptions) -> Lines | Bars:
    """Bars on a terminal that can draw them, else lines."""
    return Bars() if context.draws() and not output.quiet else Lines(output.quiet)

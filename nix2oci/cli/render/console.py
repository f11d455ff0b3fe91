"""All that is printed: results on stdout; errors and progress, as lines or bars, on stderr.

What a terminal could take as an order is escaped here, since anyone may have written it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from msgspec import Struct

from nix2oci.cli import context
from nix2oci.cli.options.output import OutputOptions
from nix2oci.text import printable, size

_REDRAW = 8 << 20
"""Bytes between two drawings of a bar."""


def result(text: str) -> None:
    """What the command was asked for, for people or for `$(...)`."""
    click.echo(printable(text, keep="\n"))


def result_bytes(data: bytes | memoryview) -> None:
    """The same where it is a file."""
    context.standard_output().write(data)


def result_json(document: object, *, err: bool = False) -> None:
    """A result for machines: indented, keys in the order given; `err` where stdout is taken."""
    click.echo(json_text(document), nl=False, err=err)


def json_text(document: object) -> str:
    """The document as `result_json` prints it."""
    return json.dumps(document, indent=2) + "\n"


def line(text: str) -> None:
    """Lines on stderr: what another program says, or a detail that was asked for."""
    click.echo(printable(text, keep="\n\t"), err=True)


def error(message: str, hint: str | None) -> None:
    """What went wrong, and how to mend it."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(message)}", err=True)
    if hint:
        shown = "\n  ".join(map(printable, hint.split("\n  ")))  # a list has lines of its own
        click.echo(f"{click.style('hint:', fg='yellow')} {shown}", err=True)


def traceback(err: BaseException) -> None:
    """Where it went wrong, for who looks for a bug."""
    from traceback import format_exception

    click.echo(printable("".join(format_exception(err)), keep="\n"), nl=False, err=True)


class Counter(Struct, frozen=True):
    """Takes bytes as they are done, and lines that come in between."""

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


class Bars(Struct, frozen=True):
    """Progress on a terminal: a line for each step, a bar for what is counted in bytes."""

    def step(self, text: str) -> None:
        click.echo(f"{click.style('nix2oci:', fg='blue')} {printable(text)}", err=True)

    @contextmanager
    def bytes(self, text: str, total: int) -> Iterator[Counter]:
        from rich.console import Console  # only a terminal needs it
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.text import Text

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        bars = Progress(
            TextColumn("nix2oci: {task.description}", markup=False),
            *columns,
            console=console,
            transient=True,
            auto_refresh=False,  # that would be a thread, and write_layers forks
        )
        with bars:
            task = bars.add_task(printable(text), total=total)
            drawn = 0

            def advance(done: int) -> None:
                nonlocal drawn
                drawn += done
                bars.advance(task, done)
                if drawn >= _REDRAW:
                    drawn = 0
                    bars.refresh()

            def step(text: str) -> None:
                line = Text.assemble(("nix2oci:", "blue"), " ", printable(text))
                console.print(line, soft_wrap=True)

            yield Counter(advance, step)


def progress(output: OutputOptions) -> Lines | Bars:
    """Bars on a terminal, else lines."""
    return Lines(output.quiet) if output.quiet or context.terminal() is None else Bars()

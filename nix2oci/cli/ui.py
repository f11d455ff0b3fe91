"""What people see: progress on stderr while the program works, tables on stdout at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click

from nix2oci import text

size, count = text.size, text.count

_STEP = 8 << 20
"""Bytes between two drawings of a bar."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Told of bytes as they are done; lines that come meanwhile go where they disturb nothing."""

    advance: Callable[[int], None]
    step: Callable[[str], None]

    def __call__(self, done: int) -> None:
        self.advance(done)


@dataclass(frozen=True, slots=True)
class Lines:
    """Progress as plain lines, for logs and pipes; says nothing when quiet."""

    quiet: bool = False

    def step(self, text: str) -> None:
        if not self.quiet:
            click.echo(f"nix2oci: {text}", err=True)

    @contextmanager
    def bytes(self, text: str, total: int) -> Iterator[Counter]:
        self.step(f"{text} ({size(total)})")
        yield Counter(lambda _: None, self.step)


@dataclass(frozen=True, slots=True)
class Bars:
    """Progress on a terminal: a line for each step, a bar for what is counted in bytes."""

    def step(self, text: str) -> None:
        click.echo(f"{click.style('nix2oci:', fg='blue')} {text}", err=True)

    @contextmanager
    def bytes(self, text: str, total: int) -> Iterator[Counter]:
        from rich.console import Console  # noqa: PLC0415  # only a terminal needs it
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.text import Text  # noqa: PLC0415

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        bars = Progress(
            f"nix2oci: {text}",
            *columns,
            console=console,
            transient=True,
            auto_refresh=False,  # that would be a thread, and write_layers forks
        )
        with bars:
            task = bars.add_task(text, total=total)
            drawn = 0

            def advance(done: int) -> None:
                nonlocal drawn
                drawn += done
                bars.advance(task, done)
                if drawn >= _STEP:
                    drawn = 0
                    bars.refresh()

            def step(text: str) -> None:
                line = Text.assemble(("nix2oci:", "blue"), " ", text)
                console.print(line, soft_wrap=True)

            yield Counter(advance, step)


def progress(*, quiet: bool) -> Lines | Bars:
    """Bars on a terminal, else lines."""
    return Bars() if sys.stderr.isatty() and not quiet else Lines(quiet)


def echo_line(text: str) -> None:
    """A line of what another program says."""
    click.echo(text, err=True)


def echo_json(document: object, *, err: bool = False) -> None:
    """A result for machines: indented, keys in the order given; `err` where stdout is taken."""
    click.echo(json_text(document), nl=False, err=err)


def json_text(document: object) -> str:
    """The document as `echo_json` prints it."""
    return json.dumps(document, indent=2) + "\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns two spaces apart; a column of numbers and sizes is right-aligned."""
    texts = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    right = [all(_is_quantity(cell) for cell in column[1:]) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in texts
    ]
    return "\n".join(lines)


def _is_quantity(text: str) -> bool:
    return text.lstrip("+-")[:1].isdigit() and text.rsplit(" ", maxsplit=1)[-1] in {
        text,
        "B",
        "kB",
        "MB",
        "GB",
    }

"""What pages show: commands with what they print, and files, in the order in which they stand.

What differs by machine or by release of Debian is made equal on both sides, see `normal`; a line
`…` in a page stands for any lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from support.paths import ROOT

ELISION = "…"
_FENCE = re.compile(
    r"^(?:(?P<before>[^\n]*)\n\n?)?^```(?P<kind>\S*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_NAMED = re.compile(r"`([^`]+)`:$")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page, and the lines that the page shows below it."""

    text: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    line: int
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class File:
    """A file that the reader writes: the line above it ends with its name and a colon."""

    name: str
    text: str


def steps(page: Path) -> Iterator[Block | File]:
    """What the reader of a page does. Blocks that are neither sessions nor named are only read."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start("kind")) + 1
        named = _NAMED.search(match["before"] or "")
        if match["kind"] == "console":
            yield Block(str(page.relative_to(ROOT)), line, tuple(commands(match["text"])))
        elif named:
            yield File(named[1], match["text"])


def blocks(page: Path) -> Iterator[Block]:
    return (step for step in steps(page) if isinstance(step, Block))


def commands(text: str) -> Iterator[Command]:
    """The commands of a session; one whose line ends with a backslash goes on in the next."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert parts[0] == "", "a console block begins with a command"
    for part in parts[1:]:
        command, *shown = re.sub(r" *\\\n *", " ", part).splitlines()
        yield Command(command, tuple(shown))


def matches(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether every line that is shown is printed, and between two of them only what `…` allows."""
    runs = [
        [normal(line) for line in lines]
        for is_elision, lines in groupby(shown, key=lambda line: line.strip() == ELISION)
        if not is_elision
    ]
    there, position = [normal(line) for line in printed], 0
    starts_free = bool(shown) and shown[0].strip() == ELISION
    ends_free = bool(shown) and shown[-1].strip() == ELISION
    for number, lines in enumerate(runs):
        free = starts_free if number == 0 else True
        places = range(position, len(there) - len(lines) + 1) if free else [position]
        found = next((at for at in places if there[at : at + len(lines)] == lines), None)
        if found is None:
            return False
        position = found + len(lines)
    return ends_free or position == len(there)


NORMAL = (
    (r"sha256:[0-9a-f]{64}", "DIGEST"),
    (r"/nix/store/([0-9a-z]{32}|[0-9a-z]{7}…)-", "/nix/store/"),
    (r"^([-a-z]{10} \w+:\w+) +\d+ /", r"\1 SIZE /"),
    (r"linux/(amd64|arm64)", "PLATFORM"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\d+(\.\d+)* (B|kB|MB|GB)\b", "SIZE"),
    (r"-\d[0-9a-z.]*", "-VERSION"),
    (r"(?<![\w.])\d+\.\d+(\.\d+)?(?![\w.])", "VERSION"),
    (r"\bpython3\.\d+", "python3.MINOR"),
    (r"\bcpython-3\d+", "cpython-3MINOR"),
    (r"^ *\d+ +", "NUMBER "),
    (r"\b\d+ (layers|store paths|kept|there already)", r"N \1"),
    (r" +", " "),
)


def normal(line: str) -> str:
    """A line without what differs by machine or by the release of Debian, in `NORMAL` alone.

    That is: digests, hash parts, platforms, times, sizes, versions and counts of paths and layers.
    """
    for pattern, replacement in NORMAL:
        line = re.sub(pattern, replacement, line)
    return line.strip()

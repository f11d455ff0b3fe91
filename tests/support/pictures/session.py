"""docs/pictures/session.svg: the session that README.md opens with, as a terminal shows it.

    PYTHONPATH=tests python tests/support/pictures/session.py DIRECTORY

Drawn of tests/data/pictures/session.json, which `real.recorded` writes.
"""

from __future__ import annotations

import io
import json

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from support.paths import DATA
from support.svg import write_pictures

COLUMNS = 88
"""Those of the terminal that was recorded."""

# Rich's own frame loads a font from elsewhere.
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="740" role="img">
<title>A terminal: nix2oci build, podman run, curl</title>
<style>
  .{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas,
    "DejaVu Sans Mono", monospace; font-size: {char_height}px; white-space: pre; }}
  .{unique_id}-title {{ font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 18px; }}
  {styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

_THEME = TerminalTheme(
    (22, 27, 34),
    (220, 226, 233),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (220, 226, 233),
    ],
)


def draw() -> str:
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        highlight=False,
        _environ={},
    )
    for part in json.loads((DATA / "pictures/session.json").read_text()):
        typed = Text.assemble(("$ ", "green"), (part["command"], "bold"))
        for line in typed.divide(range(COLUMNS, len(typed), COLUMNS)):
            console.print(line)
        for line in part["lines"]:
            console.print(Text.from_ansi(line))
    drawn = console.export_svg(
        title="flakes/web-python", theme=_THEME, code_format=_FRAME, unique_id="session"
    )
    return "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())


if __name__ == "__main__":
    write_pictures({"session.svg": draw()})

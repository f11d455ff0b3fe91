"""SVG for docs/pictures: paper, ink and the colours of risk as the page of a plan has them.

A picture that a page loads as an image sees neither the page's style nor its dark mode: each has
its own paper, and is dark where the reader's system is. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from xml.etree import ElementTree as ET

_STYLE = """\
  svg { --paper: #fff; --text: #1b222b; --pale: #5d6875; --line: #c3cbd4; --field: #eef1f5;
    --r0: #c9d3de; --r1: #fde0ad; --r2: #fcc888; --r3: #f59d55; --r4: #dd6a35; --r5: #9c1f1c; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #14181d; --text: #e3e8ee; --pale: #98a4b1; --line: #4a5562; --field: #232a33;
      --r0: #3d4855; --r1: #5c4b2c; --r2: #7d5724; --r3: #a8611a; --r4: #dd8433; --r5: #ffc583; }
  }
  text { fill: var(--text); font-family: system-ui, "DejaVu Sans", Verdana, sans-serif; }
  .pale { fill: var(--pale); }
  .bold { font-weight: 600; }
  .paper { fill: var(--paper); stroke: var(--line); }
"""


def picture(width: int, height: int, title: str, style: str, *parts: str) -> str:
    """A whole file: `title` is what is said to those who do not see it, `style` more of CSS."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="img" font-size="14">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}{style}</style>\n"
        f'<rect class="paper" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>\n'
        + "".join(f"{part}\n" for part in parts)
        + "</svg>\n"
    )


def text(x: float, y: float, words: str, class_: str = "", **more: object) -> str:
    return f"<text{_attributes(x=x, y=y, class_=class_, **more)}>{escape(words)}</text>"


def rect(x: float, y: float, width: float, height: float, **more: object) -> str:
    return f"<rect{_attributes(x=x, y=y, width=width, height=height, **more)}/>"


def path(steps: str, **more: object) -> str:
    return f"<path{_attributes(d=steps, **more)}/>"


def _attributes(**given: object) -> str:
    """Attributes of a tag; `font_size` is `font-size`, and what is empty is left out."""
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for name, value in given.items()
        if value != ""
    )


def _written(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def write_pictures(pictures: Mapping[str, str]) -> None:
    """Write pictures, by name, into the directory that the command line names."""
    directory = Path(sys.argv[1])
    for name, drawn in pictures.items():
        ET.fromstring(drawn)
        (directory / name).write_text(drawn)

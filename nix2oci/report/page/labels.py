"""Store paths, shares and popularity as the page writes them, and bars."""

from __future__ import annotations

from nix2oci.report.page.markup import Markup, element, joined

_STEPS = (0.005, 0.02, 0.05, 0.1, 0.25)
"""Where the colours change: a risk below the first is the palest."""

LEGEND = ("under 0.5%", "under 2%", "under 5%", "under 10%", "under 25%", "25% and more")


def colour(risk: float) -> str:
    """The class of a risk: `r0` to `r5`, as many as `LEGEND` has."""
    return f"r{sum(risk >= step for step in _STEPS)}"


def share(risk: float) -> str:
    """`12.3%`; what is something but rounds to nothing is `<0.1%`."""
    return "<0.1%" if 0 < risk < 0.0005 else f"{risk:.1%}"


def number(count: int) -> str:
    """With a comma for each thousand."""
    return f"{count:,}"


def name(path: str) -> str:
    """The name in a store path, without the hash."""
    return base(path).partition("-")[2]


def base(path: str) -> str:
    """`<hash part>-<name>`."""
    return path.rpartition("/")[2]


def whole(path: str) -> Markup:
    """A store path in full, the hash pale."""
    directory, slash, last = path.rpartition("/")
    hash_part, dash, rest = last.partition("-")
    return joined([element("span", directory, slash, hash_part, dash, class_="pale"), rest])


def file(path: str, line: int | None = None) -> Markup:
    """A file in a store path, without the store's directory and the hash; in full as its title."""
    parts = path.split("/", 4)
    short = path
    if len(parts) > 3 and parts[3][32:33] == "-":
        short = "/".join([parts[3][33:], *parts[4:]])
    at = f":{line}" if line else ""
    return element("code", short, at, title=f"{path}{at}")


def rail(*parts: tuple[str, float]) -> Markup:
    """A bar of parts, each of a class and a share of the whole length."""
    bars = (
        element("span", class_=f"bar {kind}", style=f"width:{100 * part:.1f}%")
        for kind, part in parts
    )
    return element("span", *bars, class_="rail")

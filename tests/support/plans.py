"""Plan documents as the page takes them, and pages as a browser reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from support.fakestore import store_path

Json = dict[str, Any]

HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)> \"'&amp;{{title}}"
VOID = frozenset({"meta", "link", "input", "br"})
APP, PYTHON, BASH, OPENSSL = (
    str(store_path(name)) for name in ("app-1", "python3-3.12", "bash-5.2", "openssl-3.0")
)


def plan(*layers: Sequence[int], **more: Any) -> Json:
    """A document with these layers, by the sizes of their paths: `p0`, `p1`, …; the last are roots.

    Each layer has the same risk. `more` takes the place of what is there.
    """
    sizes: dict[str, int] = {}
    documents = []
    for numbers in layers:
        paths = [str(store_path(f"p{len(sizes) + n}")) for n in range(len(numbers))]
        sizes |= dict(zip(paths, numbers, strict=True))
        documents.append(layer(paths, sum(numbers), risk=1 / len(layers)))
    document = {
        "nar_size": sum(sizes.values()),
        "roots": documents[-1]["paths"],
        "sizes": sizes,
        "popularity": None,
        "kept": None,
        "layers": documents,
        "shell": None,
        "app": documents[-1]["paths"],
        "starts": None,
        "compressed": None,
        "base_size": 0,
        "edit": change(documents[-1]["paths"][0], 1, len(documents)),
        "bumps": [],
    }
    return document | more


def change(path: str, paths: int, *layers: int) -> Json:
    """What another version of a path changes."""
    return {"path": path, "paths": paths, "layers": [*layers]}


def layer(paths: Sequence[str], nar_size: int, **more: Any) -> Json:
    """One layer of a document."""
    first: Json = {"paths": sorted(paths), "nar_size": nar_size, "popularity": 1}
    return first | {"risk": 0.5, "shared_by": None, "compression": "gzip"} | more


def web(**more: Any) -> Json:
    """A Python application: three layers, of which the base has two paths."""
    sizes = {APP: 2_000, PYTHON: 60_000_000, BASH: 7_000_000, OPENSSL: 6_000_000}
    layers = [
        layer([BASH, OPENSSL], 13_000_000, risk=0.02, popularity=40),
        layer([PYTHON], 60_000_000, risk=0.28, popularity=3),
        layer([APP], 2_000, risk=0.7),
    ]
    about = {"app": [APP], "edit": change(APP, 1, 3), "bumps": [change(PYTHON, 2, 2, 3)]}
    whole = {"nar_size": 73_002_000, "roots": [APP], "sizes": sizes, "layers": layers}
    return plan([1], **whole, **about) | more


def mention(**more: Any) -> Json:
    """A file that names a shell."""
    first: Json = {"file": f"{PYTHON}/lib/python3.12/subprocess.py", "kind": "text", "line": 1764}
    text = f"else '{BASH}/bin/sh')"
    return first | {"text": text, "shell": BASH, "loss": "subprocess with shell=True"} | more


def shells(**more: Any) -> Json:
    """The document of `plan.shell_record`: one launcher, and one shell that stays."""
    was = {
        "form": "f4",
        "target": f"{APP}/bin/.app-wrapped",
        "operations": [{"op": "set", "name": "LANG", "value": "C"}],
    }
    launcher = {"file": f"{APP}/bin/app", "became": "launcher", "refusal": None, "obstacle": None}
    staying = {"path": BASH, "nar_size": 7_000_000, "wanted": None, "files": [mention()]}
    first: Json = {
        "mode": "auto",
        "wrappers": [launcher | {"was": was}],
        "dropped": [],
        "saved": 0,
        "staying": [staying],
        "droppable": [{"path": BASH, "nar_size": 7_000_000}],
        "broken": [],
        "calls": {f"{APP}/bin/app": ["system", "popen"]},
    }
    return first | more


def fleet(*layers: tuple[Sequence[str], Mapping[str, int]]) -> Json:
    """A document of several images: who has each layer, and the sizes of its store paths.

    Images are in the order in which they are named; the last layer of each has its application.
    """
    names = dict.fromkeys(name for images, _ in layers for name in images)
    plans = []
    for name in names:
        mine = [paths for images, paths in layers if name in images]
        sizes = {path: size for paths in mine for path, size in paths.items()}
        plans.append({"image": name, "roots": [*mine[-1]], "sizes": sizes})
    counts = Counter(path for _, paths in layers for path in paths)
    every = {path: size for _, paths in layers for path, size in paths.items()}
    return {
        "nar_size": sum(len(images) * sum(paths.values()) for images, paths in layers),
        "stored": sum(sum(paths.values()) for _, paths in layers),
        "layers": [
            {"images": [*images], "nar_size": sum(paths.values()), "paths": [*paths]}
            for images, paths in layers
        ],
        "stored_again": [
            {"path": path, "nar_size": every[path], "layers": counts[path]}
            for path in sorted(counts)
            if counts[path] > 1
        ],
        "images": plans,
    }


@dataclass(slots=True)
class Node:
    """An element of a page; `parts` are its texts and elements in order."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    parts: list[str | Node] = field(default_factory=list)

    def nodes(self, tag: str = "", class_: str = "") -> Iterator[Node]:
        """It and what is in it, in order, of a tag and a class."""
        classes = (self.attributes.get("class") or "").split()
        if tag in {"", self.tag} and (not class_ or class_ in classes):
            yield self
        for part in self.parts:
            if isinstance(part, Node):
                yield from part.nodes(tag, class_)

    def named(self, id_: str) -> Node:
        (found,) = (node for node in self.nodes() if node.attributes.get("id") == id_)
        return found

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)


class Reader(HTMLParser):
    """Reads a page, and fails where an element is not closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}>: an attribute is there twice"
        node = Node(tag, dict(attrs))
        self.open[-1].parts.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read(text: str) -> Node:
    """The elements of a page."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    (root,) = reader.open
    return root


def outward(page: Node) -> list[str]:
    """By what a page would load something, run something, or lead to where nothing is."""
    names = {each.attributes.get("id") for each in page.nodes()}
    found = []
    for each in page.nodes():
        for attribute, value in each.attributes.items():
            inner = value == "data:," or (value or "")[1:] in names
            if attribute in {"src", "srcset", "action", "data", "poster"} or (
                attribute.startswith("on") or (attribute == "href" and not inner)
            ):
                found.append(f"<{each.tag} {attribute}={value}>")
    (style,) = page.nodes("style")
    return found + re.findall(r"url\(|@import|https?:", style.text)


def rules(page: Node) -> dict[str, str]:
    """What the page tells a browser that it may load and run."""
    (policy,) = (
        each.attributes["content"] or ""
        for each in page.nodes("meta")
        if each.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    return dict(rule.split(" ", 1) for rule in policy.split("; "))


def rows(table: Node) -> list[list[str]]:
    """The texts of a table's cells."""
    return [
        [cell.text for cell in row.parts if isinstance(cell, Node)] for row in table.nodes("tr")
    ]

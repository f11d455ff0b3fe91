"""What a job of GitHub Actions is told of images that were made: its outputs, and its summary.

Both are files that the runner names, to which every step appends
(docs.github.com, "Workflow commands for GitHub Actions").
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nix2oci import text

Document = Mapping[str, Any]


def job_outputs(documents: Sequence[Document]) -> str:
    """`reference` and `digest` of the first image, `references` of all, a line each.

    `documents` are what `build --json` prints of images, without those that failed.
    """
    references = [line for each in documents for line in each["references"]]
    values = {
        "reference": references[0] if references else "",
        "references": "\n".join(references),
        "digest": documents[0]["digest"] if documents else "",
    }
    return "".join(_output(name, value) for name, value in values.items())


def _output(name: str, value: str) -> str:
    """A value may have several lines; the one that ends it occurs in no value."""
    end = f"end-of-{name}-{hashlib.sha256(value.encode(errors='replace')).hexdigest()[:16]}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def job_summary(documents: Sequence[Document]) -> str:
    """Markdown: each image with its layers, which of them were sent, and the bytes of that."""
    return "".join(f"{line}\n" for each in documents for line in _image(each))


def _image(document: Document) -> Iterator[str]:
    pushed = document["pushed"]
    outcomes = {blob["digest"]: blob["outcome"] for blob in pushed["blobs"]} if pushed else {}
    yield f"### {', '.join(_code(each) for each in document['references'] or [document['name']])}"
    yield ""
    if pushed:
        yield from (f"{text.size(pushed['sent'])} sent", "")
    for image in document.get("platforms", [document]):
        layers, size = image["layers"], text.size(image["size"])
        yield f"{image['platform']}: {size} in {text.count(len(layers), 'layer')}"
        yield from ("", "<details><summary>Layers</summary>", "")
        yield from ("| layer | size | | store paths |", "|---:|---:|---|---|")
        for number, layer in enumerate(layers, 1):
            outcome = "there" if layer["reused"] else outcomes.get(layer["digest"], "")
            names = ", ".join(_name(path) for path in layer["paths"]) or "the root file system"
            yield f"| {number} | {text.size(layer['size'])} | {outcome} | {names} |"
        yield from ("", "</details>", "")


def _name(path: str) -> str:
    """A store path without its directory and hash part, which is 32 characters long."""
    return path.rpartition("/")[2][33:]


def _code(name: str) -> str:
    return f"`{text.printable(name).replace('`', '')}`"

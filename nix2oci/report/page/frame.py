"""The frame of every page: places that are filled, and what a browser may load and run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping

from nix2oci.report.page.markup import Markup, joined

_MARK = re.compile(r"\{\{(\w+)\}\}")


def fill(template: str, parts: Mapping[str, Markup]) -> str:
    """The page: each `{{name}}` of the template has its part, and `{{policy}}` the rules.

    The template's style and its script are the only ones that a browser takes, by their digests.
    """
    whole = {**parts, "policy": joined(_rules(template), "; ")}
    return _MARK.sub(lambda mark: whole[mark[1]], template)


def _rules(template: str) -> Iterator[str]:
    """What a browser may load: nothing. What it may run: this style and this script."""
    yield "default-src 'none'"
    yield "img-src data:"
    yield f"style-src {_digest(template, 'style')}"
    yield "style-src-attr 'unsafe-inline'"
    if "<script>" in template:
        yield f"script-src {_digest(template, 'script')}"
    yield "base-uri 'none'"
    yield "form-action 'none'"


def _digest(template: str, tag: str) -> str:
    text = template.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

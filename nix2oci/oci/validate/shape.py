"""What the documents of an image must look like: the rules of the image-spec's JSON schemas.

The shapes below demand all that the schemas demand, and what these leave open and every tool
needs: full SHA-256 digests, `NAME=value` in Env, times that are times, no media type of an
index or manifest that contradicts the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from nix2oci.oci.spec import LAYOUT_VERSION

Problem = tuple[str, str]
"""Where in the document, such as `config.Env[2]`, and what is wrong there."""

Shape = Callable[[Any, str], Iterator[Problem]]
"""Yields every problem of a value that is at a place in a document."""


def problems(document: Any, shape: Shape) -> tuple[Problem, ...]:
    """All problems of a document, in its order."""
    return tuple((where.lstrip(".") or "the document", what) for where, what in shape(document, ""))


def _text(pattern: str = "(?s:.*)", meaning: str = "text") -> Shape:
    compiled = re.compile(pattern)

    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            yield where, f"expected {meaning}, got {_short(value)}"

    return check


def _integer(least: int, most: int) -> Shape:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            wanted = f"{least}" if least == most else f"a whole number from {least}"
            yield where, f"expected {wanted}, got {_short(value)}"

    return check


def _boolean(value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield where, f"expected true or false, got {_short(value)}"


def _time(value: Any, where: str) -> Iterator[Problem]:
    """RFC 3339, section 5.6."""
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            datetime.fromisoformat(value[:19])
        except ValueError:
            pass
        else:
            return
    yield where, f"expected a time as in RFC 3339, got {_short(value)}"


def _list(item: Shape, least: int = 0) -> Shape:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield where, f"expected a list, got {_short(value)}"
            return
        if len(value) < least:
            yield where, "expected at least one item"
        for number, one in enumerate(value):
            yield from item(one, f"{where}[{number}]")

    return check


def _map(item: Shape) -> Shape:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield where, f"expected an object, got {_short(value)}"
            return
        for key, one in value.items():
            yield from item(one, f"{where}[{key!r}]")

    return check


def _object(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield where, f"expected an object, got {_short(value)}"
            return
        for key in [key for key in required if key not in value]:
            yield where, f"'{key}' is missing"
        for key, shape in {**required, **(optional or {})}.items():
            if key in value:
                yield from shape(value[key], f"{where}.{key}")

    return check


def _or_null(shape: Shape) -> Shape:
    def check(value: Any, where: str) -> Iterator[Problem]:
        if value is not None:
            yield from shape(value, where)

    return check


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&-^_.+]{0,126}"
_TEXT = _text()
_TEXTS = _list(_TEXT)
_NOTES = _map(_TEXT)
_NOTHINGS = _map(_object({}))
_MEDIA_TYPE = _text(f"{_NAME}/{_NAME}", "a media type")
_DIGEST = _text(r"sha256:[0-9a-f]{64}", "sha256:<64 hex digits>")
_PLATFORM = _object(
    {"architecture": _TEXT, "os": _TEXT},
    {"os.version": _TEXT, "os.features": _TEXTS, "variant": _TEXT},
)
_DESCRIPTOR = _object(
    {"mediaType": _MEDIA_TYPE, "digest": _DIGEST, "size": _integer(0, 2**63 - 1)},
    {"urls": _TEXTS, "annotations": _NOTES, "artifactType": _MEDIA_TYPE, "platform": _PLATFORM},
)

LAYOUT: Shape = _object({"imageLayoutVersion": _text(re.escape(LAYOUT_VERSION), LAYOUT_VERSION)})

INDEX: Shape = _object(
    {"schemaVersion": _integer(2, 2), "manifests": _list(_DESCRIPTOR)},
    {
        "mediaType": _text(r".*(index\.v1|manifest\.list\.v2)\+json", "the type of an index"),
        "artifactType": _MEDIA_TYPE,
        "subject": _DESCRIPTOR,
        "annotations": _NOTES,
    },
)

MANIFEST: Shape = _object(
    {"schemaVersion": _integer(2, 2), "config": _DESCRIPTOR, "layers": _list(_DESCRIPTOR, 1)},
    {
        "mediaType": _text(r".*manifest\.v[12]\+json", "the type of a manifest"),
        "artifactType": _MEDIA_TYPE,
        "subject": _DESCRIPTOR,
        "annotations": _NOTES,
    },
)

_HISTORY = _object(
    {},
    {
        "created": _time,
        "author": _TEXT,
        "created_by": _TEXT,
        "comment": _TEXT,
        "empty_layer": _boolean,
    },
)

_RUN = _object(
    {},
    {
        "User": _TEXT,
        "ExposedPorts": _NOTHINGS,
        "Env": _list(_text(r"(?s:[^=]+=.*)", "NAME=value")),
        "Entrypoint": _or_null(_TEXTS),
        "Cmd": _or_null(_TEXTS),
        "Volumes": _or_null(_NOTHINGS),
        "WorkingDir": _TEXT,
        "Labels": _or_null(_NOTES),
        "StopSignal": _TEXT,
        "ArgsEscaped": _boolean,
    },
)

CONFIG: Shape = _object(
    {
        "architecture": _text(".+", "an architecture"),
        "os": _text(".+", "an operating system"),
        "rootfs": _object({"type": _text("layers", "'layers'"), "diff_ids": _list(_DIGEST)}),
    },
    {
        "created": _time,
        "author": _TEXT,
        "variant": _TEXT,
        "os.version": _TEXT,
        "os.features": _TEXTS,
        "config": _RUN,
        "history": _list(_HISTORY),
    },
)

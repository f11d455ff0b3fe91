"""The document of a plan, as `plan --json` prints it, read once into values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

Json = Mapping[str, Any]


class Index(Struct, frozen=True):
    """The popularity index that layers were planned by."""

    closures: int
    digest: str


class Kept(Struct, frozen=True):
    """The earlier plan whose layers were kept, and what that costs more."""

    source: str
    excess: float


class Layer(Struct, frozen=True):
    """A layer that is planned."""

    paths: Sequence[str]
    nar_size: int
    popularity: int
    risk: float
    shared_by: int | None
    compression: str


class Change(Struct, frozen=True):
    """A change of a store path: how many change with it, and which layers, counted from 1."""

    path: str
    paths: int
    layers: Sequence[int]


class SizedPath(Struct, frozen=True):
    """A store path, with bytes of NAR."""

    path: str
    nar_size: int


class Mention(Struct, frozen=True):
    """A place in a file that names a shell."""

    file: str
    kind: str
    line: int | None
    text: str
    loss: str | None


class Refusal(Struct, frozen=True):
    """Why a script is no wrapper."""

    path: str
    line: int | None
    text: str
    detail: str


class Wrapper(Struct, frozen=True):
    """A script or wrapper binary; `target` and `operations` are those of a wrapper alone."""

    file: str
    became: str | None
    refusal: Refusal | None
    obstacle: str | None
    target: str
    operations: Sequence[Sequence[str]]
    """The name of each, and its operands."""


class Discounted(Struct, frozen=True):
    """A file that names a dropped shell and did not count."""

    file: str
    line: int | None
    rule: str
    reason: str
    proof: bool


class Call(Struct, frozen=True):
    """A call in a Python module that keeps a shell."""

    file: str
    line: int
    call: str
    certain: bool
    feature: str


class Staying(Struct, frozen=True):
    """A shell that stays."""

    path: str
    nar_size: int
    wanted: str | None
    files: Sequence[Mention]
    calls: Sequence[Call] = ()


class Shell(Struct, frozen=True):
    """What was done about shells."""

    mode: str
    wrappers: Sequence[Wrapper]
    dropped: Sequence[SizedPath]
    saved: int
    staying: Sequence[Staying]
    droppable: Sequence[SizedPath]
    broken: Sequence[Mention]
    calls: Mapping[str, Sequence[str]]
    discounted: Sequence[Discounted] = ()
    hidden: Sequence[str] = ()


class Plan(Struct, frozen=True):
    """All of it; `shell` is None where no file was read."""

    nar_size: int
    roots: Sequence[str]
    sizes: Mapping[str, int]
    popularity: Index | None
    kept: Kept | None
    layers: Sequence[Layer]
    shell: Shell | None
    app: Sequence[str]
    """The application's own store paths."""
    starts: Sequence[str] | None
    """Program and arguments; None where that is not known."""
    compressed: Mapping[str, int] | None
    """About how many bytes each path has in a layer."""
    base_size: int
    edit: Change | None
    bumps: Sequence[Change]
    development: Sequence[SizedPath] = ()
    """Compilers, headers and the like."""


def read_plan(document: Json) -> Plan:
    """The document of our own (`report.plan_page`), which has the form that it must have."""
    index, kept, shell = document["popularity"], document["kept"], document["shell"]
    edit = document["edit"]
    return Plan(
        document["nar_size"],
        document["roots"],
        document["sizes"],
        Index(index["closures"], index["digest"]) if index else None,
        Kept(kept["from"], kept["excess"]) if kept else None,
        [Layer(**each) for each in document["layers"]],
        _shell(shell) if shell else None,
        document["app"],
        document["starts"],
        document["compressed"],
        document["base_size"],
        Change(**edit) if edit else None,
        [Change(**each) for each in document["bumps"]],
        [SizedPath(**each) for each in document.get("development", ())],
    )


def _shell(document: Json) -> Shell:
    return Shell(
        document["mode"],
        [_wrapper(each) for each in document["wrappers"]],
        [SizedPath(**each) for each in document["dropped"]],
        document["saved"],
        [Staying(**{**each, "files": _mentions(each)}) for each in document["staying"]],
        [SizedPath(**each) for each in document["droppable"]],
        [_mention(each) for each in document["broken"]],
        document["calls"],
    )


def _mentions(staying: Json) -> list[Mention]:
    return [_mention(each) for each in staying["files"]]


def _mention(each: Json) -> Mention:
    return Mention(each["file"], each["kind"], each["line"], each["text"], each["loss"])


def _wrapper(each: Json) -> Wrapper:
    was, why = each["was"] or {}, each["refusal"]
    operations = [
        [operation["op"], *(value for key, value in operation.items() if key != "op")]
        for operation in was.get("operations", ())
    ]
    return Wrapper(
        each["file"],
        each["became"],
        Refusal(why["path"], why["line"], why["text"], why["detail"]) if why else None,
        each["obstacle"],
        was.get("target", ""),
        operations,
    )

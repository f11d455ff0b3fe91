"""The document of a plan, as `plan --json` prints it, read once into values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Index:
    """The popularity index that layers were planned by."""

    closures: int
    digest: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The earlier plan whose layers were kept, and what that costs more."""

    source: str
    excess: float


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is planned."""

    paths: Sequence[str]
    nar_size: int
    popularity: int
    risk: float
    shared_by: int | None


@dataclass(frozen=True, slots=True)
class SizedPath:
    """A store path, with bytes of NAR."""

    path: str
    nar_size: int


@dataclass(frozen=True, slots=True)
class Mention:
    """A place in a file that names a shell."""

    file: str
    kind: str
    line: int | None
    text: str
    loss: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a script is no wrapper."""

    path: str
    line: int | None
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A script or wrapper binary; `target` and `operations` are those of a wrapper alone."""

    file: str
    became: str | None
    refusal: Refusal | None
    obstacle: str | None
    target: str
    operations: Sequence[Sequence[str]]
    """The name of each, and its operands."""


@dataclass(frozen=True, slots=True)
class Staying:
    """A shell that stays."""

    path: str
    nar_size: int
    wanted: str | None
    files: Sequence[Mention]


@dataclass(frozen=True, slots=True)
class Shell:
    """What was done about shells."""

    mode: str
    wrappers: Sequence[Wrapper]
    dropped: Sequence[SizedPath]
    saved: int
    staying: Sequence[Staying]
    droppable: Sequence[SizedPath]
    broken: Sequence[Mention]
    calls: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it; `shell` is None where no file was read."""

    nar_size: int
    roots: Sequence[str]
    sizes: Mapping[str, int]
    popularity: Index | None
    kept: Kept | None
    layers: Sequence[Layer]
    shell: Shell | None


def read_plan(document: Json) -> Plan:
    """The document of our own, which has the form that it must have."""
    index, kept, shell = document["popularity"], document["kept"], document["shell"]
    return Plan(
        document["nar_size"],
        document["roots"],
        document["sizes"],
        Index(index["closures"], index["digest"]) if index else None,
        Kept(kept["from"], kept["excess"]) if kept else None,
        [Layer(**each) for each in document["layers"]],
        _shell(shell) if shell else None,
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

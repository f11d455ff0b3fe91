"""The configuration of an image on a base, by the rules of a Dockerfile.

What the user asks for wins over the base, and the base wins over what an image has only because
nothing was said. As with ENTRYPOINT in a Dockerfile, an entrypoint of our own ends the CMD of the
base. Fields that this program never sets are the base's.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from nix2oci.oci.spec import Digest, ImageConfig, Json, Platform

_KEPT = ("Healthcheck", "OnBuild", "Shell")
"""Fields of `config` that Docker adds to those of the OCI specification, and an engine reads."""

_PROGRAMS = "/usr/bin"
"""Where an image of ours has its programs."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """A part of the configuration that a base image has a say in.

    `key` is a field of config.md, with a name behind it for one variable or label, such as
    `Env PATH`. `base` and `image` are JSON: what the base has and what the image on it asks for
    or takes for granted, None where that is nothing. `both`: the two are joined.
    """

    key: str
    base: object
    image: object
    won: Literal["base", "image", "both"]


def inherit(
    below: Json, ours: ImageConfig, assumed: Container[str]
) -> tuple[ImageConfig, tuple[Inherited, ...]]:
    """The configuration of an image on a base, and what became of each part of the base's.

    `below` is the configuration document of the base, which has the form it must have; `ours` is
    that of the layers on top alone. `assumed` are the keys whose values in `ours` nobody asked
    for. Every layer of the base has its entry in the history of the result.
    """
    run: Json = below.get("config") or {}
    single = {"User": ours.user, "WorkingDir": ours.working_dir, "StopSignal": ours.stop_signal}
    sets = {"ExposedPorts": ours.exposed_ports, "Volumes": ours.volumes}
    table = [
        *_each("Env", _variables(run.get("Env")), _variables(ours.env), assumed),
        *(_one(key, run.get(key), value, assumed) for key, value in single.items()),
        *_program(run, ours),
        *_each("Labels", run.get("Labels") or {}, ours.labels, ()),
        *(_joined(key, run.get(key) or {}, value) for key, value in sets.items()),
        *(Inherited(key, run[key], None, "base") for key in _KEPT if run.get(key)),
    ]
    rows = {row.key: row for row in table if row.base}
    won = {key: _won(rows, key, value) for key, value in single.items()}
    config = replace(
        ours,
        platform=Platform(below["architecture"], below["os"], below.get("variant")),
        env=_environment(run, ours, rows),
        user=won["User"],
        working_dir=won["WorkingDir"],
        stop_signal=won["StopSignal"],
        exposed_ports=tuple(sorted({*(run.get("ExposedPorts") or ()), *ours.exposed_ports})),
        volumes=tuple(sorted({*(run.get("Volumes") or ()), *ours.volumes})),
        labels={**(run.get("Labels") or {}), **ours.labels},
        inherited={key: run[key] for key in _KEPT if run.get(key)},
        diff_ids=(*map(Digest.parse, below["rootfs"]["diff_ids"]), *ours.diff_ids),
        history_below=_history(below),
    )
    return config, tuple(rows.values())


def _won(rows: Mapping[str, Inherited], key: str, image: str) -> str:
    row = rows.get(key)
    return str(row.base) if row and row.won == "base" else image


def _one(key: str, base: object, image: object, assumed: Container[str]) -> Inherited:
    is_base = base and (not image or key in assumed)
    return Inherited(key, base, image or None, "base" if is_base else "image")


def _each(
    field: str, base: Mapping[str, str], image: Mapping[str, str], assumed: Container[str]
) -> Iterator[Inherited]:
    for name, value in base.items():
        row = _one(f"{field} {name}", value, image.get(name), assumed)
        if row.key == "Env PATH" and row.won == "base" and _path(value) != value:
            row = replace(row, won="both")
        yield row


def _program(run: Json, ours: ImageConfig) -> Iterator[Inherited]:
    for key, image in (("Entrypoint", ours.entrypoint), ("Cmd", ours.cmd)):
        yield Inherited(key, run.get(key), list(image) or None, "image")


def _joined(key: str, base: Mapping[str, object], image: tuple[str, ...]) -> Inherited:
    won: Literal["base", "both"] = "both" if set(image) - set(base) else "base"
    return Inherited(key, sorted(base), sorted(image) or None, won)


def _variables(pairs: list[str] | tuple[str, ...] | None) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs or ())}


def _environment(run: Json, ours: ImageConfig, rows: Mapping[str, Inherited]) -> tuple[str, ...]:
    """The base's variables in its order, then ours."""
    found = {**_variables(run.get("Env")), **_variables(ours.env)}
    for name in found:
        row = rows.get(f"Env {name}")
        if row and row.won != "image":
            value = str(row.base)
            found[name] = _path(value) if row.won == "both" else value
    return tuple(f"{name}={value}" for name, value in found.items())


def _path(value: str) -> str:
    """A PATH that finds our programs, too."""
    return value if _PROGRAMS in value.split(":") else f"{value}:{_PROGRAMS}"


def _history(below: Json) -> tuple[Json, ...]:
    """The base's own where it fits its layers, else a line for each of them."""
    history, layers = below.get("history") or (), len(below["rootfs"]["diff_ids"])
    if sum(not entry.get("empty_layer") for entry in history) == layers:
        return tuple(history)
    return ({"created_by": "base image"},) * layers

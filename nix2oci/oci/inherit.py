"""The configuration of an image on a base, by the rules of a Dockerfile.

What the user asks for wins over the base, and the base wins over what an image has only because
nothing was said. As with ENTRYPOINT in a Dockerfile, an entrypoint of our own ends the CMD of the
base. Fields that this program never sets are the base's.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.oci.documents import ForeignConfig, RunConfig, inherited_field
from nix2oci.oci.fields import Json
from nix2oci.oci.spec import ImageConfig

_KEPT = ("Healthcheck", "OnBuild", "Shell")
"""Fields of `config` that Docker adds to those of the OCI specification, and an engine reads."""

_PROGRAMS = "/usr/bin"
"""Where an image of ours has its programs."""


class Inherited(Struct, frozen=True):
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
    below: ForeignConfig, ours: ImageConfig, assumed: Container[str]
) -> tuple[ImageConfig, tuple[Inherited, ...]]:
    """The configuration of an image on a base, and what became of each part of the base's.

    `below` is the configuration of the base, `ours` that of the layers on top alone. `assumed` are
    the keys whose values in `ours` nobody asked for. Every layer of the base has its entry in the
    history of the result.
    """
    run = below.run
    single = {
        "User": (run.user, ours.user),
        "WorkingDir": (run.working_dir, ours.working_dir),
        "StopSignal": (run.stop_signal, ours.stop_signal),
    }
    kept = {key: found for key in _KEPT if (found := inherited_field(below, key))}
    table = [
        *_each("Env", run.variables, _variables(ours.env), assumed),
        *(_one(key, *values, assumed) for key, values in single.items()),
        *_program(run, ours),
        *_each("Labels", run.labels, ours.labels, ()),
        _joined("ExposedPorts", run.exposed_ports, ours.exposed_ports),
        _joined("Volumes", run.volumes, ours.volumes),
        *(_kept(key, value, ours) for key, value in kept.items()),
    ]
    rows = {row.key: row for row in table if row.base}
    won = {key: _won(rows, key, image) for key, (_, image) in single.items()}
    config = replace(
        ours,
        platform=below.platform,
        env=_environment(run, ours, rows),
        user=won["User"],
        working_dir=won["WorkingDir"],
        stop_signal=won["StopSignal"],
        exposed_ports=tuple(sorted({*run.exposed_ports, *ours.exposed_ports})),
        volumes=tuple(sorted({*run.volumes, *ours.volumes})),
        labels={**run.labels, **ours.labels},
        inherited=kept,
        diff_ids=(*below.diff_ids, *ours.diff_ids),
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


def _program(run: RunConfig, ours: ImageConfig) -> Iterator[Inherited]:
    yield Inherited("Entrypoint", list(run.entrypoint), list(ours.entrypoint) or None, "image")
    yield Inherited("Cmd", list(run.cmd), list(ours.cmd) or None, "image")


def _kept(key: str, base: object, ours: ImageConfig) -> Inherited:
    """A field of Docker's: of these, an image of ours has at most a health check."""
    is_ours = key == "Healthcheck" and ours.healthcheck is not None
    image = ours.healthcheck.to_json() if is_ours and ours.healthcheck else None
    return Inherited(key, base, image, "image" if image else "base")


def _joined(key: str, base: tuple[str, ...], image: tuple[str, ...]) -> Inherited:
    won: Literal["base", "both"] = "both" if set(image) - set(base) else "base"
    return Inherited(key, sorted(base), sorted(image) or None, won)


def _variables(pairs: tuple[str, ...]) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in pairs)


def _environment(
    run: RunConfig, ours: ImageConfig, rows: Mapping[str, Inherited]
) -> tuple[str, ...]:
    """The base's variables in its order, then ours."""
    found = {**run.variables, **_variables(ours.env)}
    for name in found:
        row = rows.get(f"Env {name}")
        if row and row.won != "image":
            value = str(row.base)
            found[name] = _path(value) if row.won == "both" else value
    return tuple(f"{name}={value}" for name, value in found.items())


def _path(value: str) -> str:
    """A PATH that finds our programs, too."""
    return value if _PROGRAMS in value.split(":") else f"{value}:{_PROGRAMS}"


def _history(below: ForeignConfig) -> tuple[Json, ...]:
    """The base's own where it fits its layers, else a line for each of them."""
    layers = len(below.diff_ids)
    if len(below.layer_history) == layers:
        return below.history or ()
    return ({"created_by": "base image"},) * layers

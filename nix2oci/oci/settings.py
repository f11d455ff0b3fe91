"""How an image is to be run and what it says of itself, one text for each setting.

Images of other tools are read too, so nothing is expected to be there, or to be as it should.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nix2oci.oci.layout.source import ImageSource

_OWN = "nix2oci."
"""Annotations that follow from what is in the image."""

_LISTS = {"Entrypoint": "entrypoint", "Cmd": "cmd"}
_TEXTS = {"User": "user", "WorkingDir": "workdir", "StopSignal": "stop-signal"}
_SETS = {"ExposedPorts": "port", "Volumes": "volume"}


def settings(source: ImageSource) -> dict[str, str]:
    """`entrypoint`, `env PATH`, `label x`, `annotation x` and the like, with their values.

    Lists are as JSON, the members of a set have no value, and an annotation that only repeats a
    label is left out. Raises what `ImageSource` raises.
    """
    found = dict(_of_config(source.config()))
    for name, value in sorted(_mapping(source.manifest().get("annotations")).items()):
        if not name.startswith(_OWN) and found.get(f"label {name}") != str(value):
            found[f"annotation {name}"] = str(value)
    return found


def _of_config(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    run = _mapping(config.get("config"))
    for key, name in _LISTS.items():
        if run.get(key):
            yield name, json.dumps(run[key], ensure_ascii=False)
    for variable in run.get("Env") or ():
        name, _, value = str(variable).partition("=")
        yield f"env {name}", value
    for key, name in _TEXTS.items():
        if run.get(key):
            yield name, str(run[key])
    for key, name in _SETS.items():
        yield from ((f"{name} {member}", "") for member in sorted(_mapping(run.get(key))))
    for label, value in sorted(_mapping(run.get("Labels")).items()):
        yield f"label {label}", str(value)
    platform = (str(config[key]) for key in ("os", "architecture", "variant") if config.get(key))
    yield "platform", "/".join(platform)
    yield "created", str(config.get("created") or "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

"""How an image is to be run and what it says of itself, one text for each setting.

Images of other tools are read too, so nothing is expected to be there, or to be as it should.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from nix2oci.oci.documents import ForeignConfig
from nix2oci.oci.healthcheck import Healthcheck
from nix2oci.oci.layout.source import ImageSource

_OWN = "nix2oci."
"""Annotations that follow from what is in the image."""


def settings(source: ImageSource) -> dict[str, str]:
    """`entrypoint`, `env PATH`, `label x`, `annotation x` and the like, with their values.

    Lists are as JSON, the members of a set have no value, and an annotation that only repeats a
    label is left out. Raises what `ImageSource` raises.
    """
    found = dict(_of_config(source.config()))
    for name, value in sorted(source.manifest().annotations.items()):
        if not name.startswith(_OWN) and found.get(f"label {name}") != value:
            found[f"annotation {name}"] = value
    return found


def _of_config(config: ForeignConfig) -> Iterator[tuple[str, str]]:
    run = config.run
    for key, name in (("Entrypoint", "entrypoint"), ("Cmd", "cmd")):
        if words := run.fields[key].value:
            yield name, json.dumps(words, ensure_ascii=False)
    for name, value in run.variables.items():
        yield f"env {name}", value
    texts = {"user": run.user, "workdir": run.working_dir, "stop-signal": run.stop_signal}
    texts["healthcheck"] = str(Healthcheck.read(run.fields["Healthcheck"].value) or "")
    yield from ((name, value) for name, value in texts.items() if value)
    yield from ((f"port {port}", "") for port in sorted(run.exposed_ports))
    yield from ((f"volume {volume}", "") for volume in sorted(run.volumes))
    yield from ((f"label {label}", value) for label, value in sorted(run.labels.items()))
    yield "platform", str(config.platform)
    yield "created", config.created or ""

"""What names on the command line of `plan`, `diff` and `why` stand for, opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nix2oci.cli import options
from nix2oci.errors import OutputError
from nix2oci.nix.answers import path_infos
from nix2oci.nix.closure import Closure
from nix2oci.planning import Planned, planned


def recorded_closure(path: str) -> Closure:
    """The closure of a recorded `nix path-info --json --recursive`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as err:
        raise OutputError(f"cannot read {path}: {err.strerror}") from err
    return Closure.of_all(path_infos(text))


@contextmanager
def planned_image(texts: tuple[str, ...], values: dict[str, Any]) -> Iterator[Planned]:
    """What `nix2oci build` would make of installables; `values` are left as they are."""
    values = dict(values)
    nix = options.nix(values)
    named = options.named(nix, texts, values.pop("file"))
    spec = options.image_spec(values, named[0])
    added = [nix.installable(more) for more in spec.contents]
    packages = options.evaluate(nix, (*named, *added), values)
    with planned(nix, packages, spec, options.progress(values)) as found:
        yield found

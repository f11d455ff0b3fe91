"""What the user knows of store paths, read from the files and images that `layers` names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches

from nix2oci.config.layer_keys import Layers
from nix2oci.errors import ConfigError, OutputError
from nix2oci.host.progress import Progress
from nix2oci.host.regular_files import open_file, read_file
from nix2oci.model.closure import Closure
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.validate.read_layers import read_layers
from nix2oci.plan.layers.layering import LayerHints, Plan, PreviousPlan, unmatched
from nix2oci.plan.layers.popularity import Popularity, package_of

_MAX_BYTES = 64 << 20
"""Of an index, or an earlier plan."""


def read_hints(
    given: Layers, open_image: Callable[[str], ImageSource], progress: Progress, cores: int
) -> LayerHints:
    """The hints that the key `layers` names.

    Raises `OutputError` for a file that cannot be read, `ConfigError` for one that is something
    else, and what opening an image raises.
    """

    def previous(text: str) -> PreviousPlan:
        """The plan of a document that `--json` printed, else of an image."""
        if _is_document(text):
            return PreviousPlan(text, tuple(_own_names(_of_document(text))))
        source = open_image(text)
        progress.step(f"reading the layers of {text}")
        contents = read_layers(source, source.layers(), workers=cores)
        layers = [sorted(found.store_paths) for found in contents]
        return PreviousPlan(text, tuple(_own_names(layers)))

    return LayerHints(
        _index(given.popularity) if given.popularity else None,
        previous(given.plan_from) if given.plan_from else None,
        given.stable,
        given.volatile,
    )


def hint_warnings(closure: Closure, plan: Plan, hints: LayerHints) -> Iterator[str]:
    """Lines about hints that came to nothing, and what keeping an earlier plan costs."""
    for key, names in (("stable", hints.stable), ("volatile", hints.volatile)):
        for name in unmatched(closure, names):
            yield f"warning: no store path is called '{name}' ({key}){_nearest(name, closure)}"
    if plan.kept:
        less = 100 * plan.kept.excess / (1 + plan.kept.excess)
        gain = f"move and store {less:.1f}% less" if less >= 0.05 else "save nothing"
        yield f"the plan of {plan.kept.where} is kept; a new one would be expected to {gain}"


def _nearest(name: str, closure: Closure) -> str:
    known = sorted({package_of(path.name) for path in closure})
    near = get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _index(path: str) -> Popularity:
    return Popularity.parse(_text(path, "popularity index"), path)


def _text(path: str, what: str) -> str:
    try:
        return read_file(path, _MAX_BYTES).decode("utf-8", "replace")
    except OSError as err:
        raise OutputError(f"cannot read {what} {path}: {err.strerror}") from err


def _is_document(path: str) -> bool:
    try:
        with open_file(path) as file:
            head = file.read(512)
    except OSError:
        head = b""  # whoever reads it is told why
    return path.endswith(".json") or head.lstrip().startswith(b"{")


def _of_document(path: str) -> list[list[str]]:
    try:
        layers = json.loads(_text(path, "earlier plan"))["layers"]
        return [[_path(text) for text in layer["paths"]] for layer in layers]
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise ConfigError(
            f"cannot read earlier plan {path}: it is not what --json of 'plan', 'build' or "
            "'inspect' prints"
        ) from err


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _own_names(layers: Iterable[Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """The names of the store paths of each layer that no layer below has, such as the view's."""
    below: set[str] = set()
    for paths in layers:
        own = [path for path in paths if path not in below]
        below.update(own)
        if own:
            yield tuple(path.rpartition("/")[2].partition("-")[2] for path in own)

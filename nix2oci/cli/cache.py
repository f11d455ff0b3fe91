"""`nix2oci cache`: what builds keep for the next one; and the options of build that go with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import click

from nix2oci.cache.bound import Item, clear, items, prune, size
from nix2oci.cache.directory import FACTS, Cache
from nix2oci.cli import options, ui
from nix2oci.errors import ConfigError

F = Callable[..., Any]

DEFAULT_SIZE = "10G"
VARIABLE = "NIX2OCI_CACHE_SIZE"
_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SHOWN = 3


def size_option(function: F) -> F:
    """How much may be kept."""
    return click.option(
        "--cache-size",
        metavar="SIZE",
        help=f"Keep at most so much, such as 500M or 20G; 0 is nothing. [{DEFAULT_SIZE}]",
    )(function)


def build_options(function: F) -> F:
    """What `build` is told of the cache."""
    function = click.option(
        "--no-cache", is_flag=True, help="Read and keep nothing in the cache; make all layers."
    )(function)
    return size_option(function)


def cache_for_build(values: dict[str, Any]) -> Cache | None:
    """The cache as the options of `build_options` ask for it; takes them out of `values`.

    Raises `ConfigError` for a size that has no meaning.
    """
    limit = _limit(values.pop("cache_size"))
    if values.pop("no_cache") or not limit:
        return None
    told: set[str] = set()

    def once(text: str) -> None:
        """The same disk is full for every layer: that is said only once."""
        if not told and values["verbose"] and not values["quiet"]:
            click.echo(f"nix2oci: {text}", err=True)
        told.add(text)

    def warn(text: str) -> None:
        if not values["quiet"]:
            click.echo(f"nix2oci: {text}", err=True)

    directory = _directory()
    if directory is None:
        once("nothing is kept in a cache: neither HOME nor XDG_CACHE_HOME is set")
        return None
    return Cache(directory, limit, warn, once)


@click.command("cache")
@click.argument("action", type=click.Choice(["show", "prune", "clear"]))
@size_option
@options.output_options
def command(
    action: str,
    cache_size: str | None,
    *,
    as_json: bool,
    quiet: bool,
    verbose: int,  # noqa: ARG001
) -> None:
    """Look after what builds keep for the next one.

    show lists it, the least recently used first. prune removes that until the rest is within the
    size, as every build does. clear removes all.
    """
    directory = _directory()
    if directory is None:
        raise ConfigError(
            "cannot find the cache: neither HOME nor XDG_CACHE_HOME is set",
            hint="set XDG_CACHE_HOME to the directory that it is in",
        )
    cache = Cache(directory, _limit(cache_size))
    gone = prune(cache) if action == "prune" else clear(cache) if action == "clear" else ()
    kept = items(cache)
    if as_json:
        ui.echo_json(_document(cache, kept, gone))
        return
    if action == "show" and (layers := [item for item in kept if item.blob]):
        click.echo(_table(layers))
    if not quiet:
        click.echo(_summary(cache, kept, gone, removed=action != "show"))


def _summary(cache: Cache, kept: tuple[Item, ...], gone: tuple[Item, ...], *, removed: bool) -> str:
    what = f"{ui.size(size(kept))} of {ui.size(cache.limit)} in {cache.directory}: "
    layers = sum(bool(item.blob) for item in kept)
    what += f"{ui.count(layers, 'layer')}, facts of {ui.count(_facts(kept), 'store path')}"
    return f"removed {ui.size(size(gone))}; {what}" if removed else what


def _facts(kept: tuple[Item, ...]) -> int:
    return sum(item.name.startswith(f"{FACTS}/") for item in kept)


def _table(layers: list[Item]) -> str:
    rows = [
        (_when(item), ui.size(item.blob_size), len(item.paths), _names(item)) for item in layers
    ]
    return ui.table(("used", "size", "paths", "names"), rows)


def _when(item: Item) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415  # build does without

    return datetime.fromtimestamp(item.used // 10**9, UTC).strftime("%Y-%m-%d %H:%M")


def _names(item: Item) -> str:
    if not item.paths:
        return "a layer of a base image"
    names = [os.path.basename(path).partition("-")[2] for path in item.paths]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _document(cache: Cache, kept: tuple[Item, ...], gone: tuple[Item, ...]) -> dict[str, Any]:
    return {
        "directory": cache.directory,
        "limit": cache.limit,
        "size": size(kept),
        "removed": size(gone),
        "facts": _facts(kept),
        "layers": [
            {
                "digest": f"sha256:{item.blob}",
                "size": item.blob_size,
                "used": item.used // 10**9,
                "paths": list(item.paths),
            }
            for item in kept
            if item.blob
        ],
    }


def _directory() -> str | None:
    """Where the cache is (XDG Base Directory Specification: a relative path counts for nothing)."""
    env = options.environment()
    base, home = env.get("XDG_CACHE_HOME", ""), env.get("HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(home, ".cache") if os.path.isabs(home) else ""
    return os.path.join(base, "nix2oci") if base else None


def _limit(given: str | None) -> int:
    text, where = given, "--cache-size"
    if text is None:
        text, where = options.environment().get(VARIABLE) or DEFAULT_SIZE, VARIABLE
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{where}: '{text}' is no size", hint="write it as 500M or 20G")
    return int(found[1]) * _UNITS[found[2].upper()]

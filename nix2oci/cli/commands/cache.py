"""`nix2oci cache`: what builds keep for the next one."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import click

from nix2oci import text
from nix2oci.cache.bound import Item, clear, items, prune, size
from nix2oci.cache.directory import Cache, default_directory, why_not_private
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.cache import cache_limit
from nix2oci.config.options.cache import cache_size_option
from nix2oci.config.options.group import command
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.errors import ConfigError, OutputError
from nix2oci.report.kept import answers, cache_document, facts
from nix2oci.report.terminal.styled import Table, Text

_SHOWN = 3
"""Names of store paths in a row."""


@command(
    "cache",
    click.Argument(["action"], type=click.Choice(["show", "prune", "clear"])),
    cache_size_option(),
    OUTPUT,
)
def cache(*, action: str, cache_size: str | None, output: OutputOptions) -> None:
    """Look after what builds keep for the next one.

    show lists it, the least recently used first. prune removes that until the rest is within the
    size, as every build does. clear removes all.
    """
    found = _open(cache_size)
    gone = prune(found) if action == "prune" else clear(found) if action == "clear" else ()
    kept = items(found)
    if output.as_json:
        console.result_json(cache_document(found, kept, gone))
        return
    if action == "show" and (layers := [item for item in kept if item.blob]):
        console.result_text(_table(layers))
    if not output.quiet:
        console.result(_summary(found, kept, gone, removed=action != "show"))


def _open(cache_size: str | None) -> Cache:
    directory = default_directory(context.environment())
    if directory is None:
        raise ConfigError(
            "cannot find the cache: neither HOME nor XDG_CACHE_HOME names a place",
            hint="set XDG_CACHE_HOME to the directory that it is in",
        )
    if why := why_not_private(directory):
        raise OutputError(f"the cache at {directory} is not used: {why}")
    return Cache(directory, cache_limit(cache_size))


def _summary(cache: Cache, kept: tuple[Item, ...], gone: tuple[Item, ...], *, removed: bool) -> str:
    what = f"{text.size(size(kept))} of {text.size(cache.limit)} in {cache.directory}: "
    layers = sum(bool(item.blob) for item in kept)
    what += f"{text.count(layers, 'layer')}, facts of {text.count(facts(kept), 'store path')}"
    if said := answers(kept):
        what += f", {text.count(said, 'answer')} of Nix"
    return f"removed {text.size(size(gone))}; {what}" if removed else what


def _table(layers: list[Item]) -> Text:
    rows = [
        (_when(item), text.size(item.blob_size), len(item.paths), _names(item)) for item in layers
    ]
    return [Table(("used", "size", "paths", "names"), rows)]


def _when(item: Item) -> str:
    return datetime.fromtimestamp(item.used // 10**9, UTC).strftime("%Y-%m-%d %H:%M")


def _names(item: Item) -> str:
    if not item.paths:
        return "a layer of a base image"
    names = [os.path.basename(path).partition("-")[2] for path in item.paths]
    return text.and_more(names, _SHOWN)

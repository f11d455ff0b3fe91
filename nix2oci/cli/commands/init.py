"""`nix2oci init`: a nix2oci.yaml to begin with, beside the flake."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import click

from nix2oci.cli.render import console
from nix2oci.cli.steps.evaluate import nix_client
from nix2oci.config.image_spec import FILE_NAME
from nix2oci.config.options.group import command
from nix2oci.config.options.nix import NIX, NixOptions
from nix2oci.config.options.output import BYTES_OUTPUT, OutputOptions
from nix2oci.errors import ConfigError
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_outputs import FlakeOutput, outputs_of
from nix2oci.nix.flake_place import place_of
from nix2oci.nix.host import work_tree
from nix2oci.nix.installable import Installable
from nix2oci.pipeline.templates import settings_schema
from nix2oci.publish.write_file import check_writable, write_file
from nix2oci.report.beginning import SCHEMA_NAME, example_of, installable_of, of_flake


@command(
    "init",
    click.Argument(["text"], required=False, metavar="[DIR|INSTALLABLE]"),
    NIX,
    BYTES_OUTPUT,
)
def init(*, text: str | None, nix: NixOptions, output: OutputOptions) -> None:
    """Write a nix2oci.yaml to begin with, beside the flake, and print its path.

    It lists what the flake has to make images of, and has the keys that people need next, each
    behind a #. The flake is that of DIR or INSTALLABLE, else the one here; nothing is built. A
    schema for editors lies beside the file. What is there already is never overwritten.
    """
    client = nix_client(nix, output)
    named = client.installable(_typed(text, nix.file), file=nix.file)
    directory, has_flake = _directory(client, named)
    path, schema = (os.path.normpath(os.path.join(directory, n)) for n in (FILE_NAME, SCHEMA_NAME))
    _check_new(path)
    check_writable(path)
    found: tuple[FlakeOutput, ...] | None = None
    if has_flake:
        console.progress(output).step(f"looking for packages and apps of {named.text}")
        found = outputs_of(client, named)
    first = example_of(found or (), named)
    content = of_flake(found, first, client.system() if has_flake else "").encode()
    _check_new(path)  # asking Nix takes a while
    new = [path, *([] if os.path.lexists(schema) else [schema])]
    if schema in new:
        write_file(schema, settings_schema())
    write_file(path, content)
    console.result(path)
    if work_tree(path):
        tracked = f"git add {shlex.join(new)}"
        console.progress(output).step(f"in git a flake has only what git tracks: {tracked}")
    console.progress(output).step(f"next: {_next(named, found, first, path)}")


def _typed(given: str | None, file: str | None) -> str:
    """The installable; a name that is a directory here means that, and not one in a registry."""
    if given is None:
        return "." if file is None else ""
    is_directory = given and not os.path.isabs(given) and os.path.isdir(given)
    return f"./{given}" if file is None and is_directory and given[0] != "." else given


def _directory(client: NixClient, named: Installable) -> tuple[str, bool]:
    """The directory that the file is read in, and whether there is a flake in it."""
    place = place_of(client, named)
    if place.source or place.directory is None:
        raise ConfigError(
            f"cannot write {FILE_NAME} for '{named.text}': no directory of yours is evaluated",
            hint=f"nix2oci init DIR writes it into a directory; --config {FILE_NAME} names it",
        )
    if place.directory or named.kind == "file":
        return place.directory, named.kind == "flake"
    directory = named.flake_ref.removeprefix("path:")
    if named.attr or not os.path.isdir(directory):
        raise ConfigError(
            f"cannot write {FILE_NAME} for '{named.text}': there is no flake",
            hint="nix2oci init DIR writes it into any directory",
        )
    return directory, False


def _check_new(path: str) -> None:
    if os.path.lexists(path):
        raise ConfigError(
            f"cannot write {path}: it is there already",
            hint="edit it, or move it away to begin again",
        )


def _next(
    named: Installable,
    found: Sequence[FlakeOutput] | None,
    first: FlakeOutput | None,
    path: str,
) -> str:
    """What to type next, in a line."""
    if named.kind == "file":
        return f"nix2oci build -f {shlex.join(filter(None, (named.file, named.attr)))}"
    if found is None:
        return f"nix2oci build INSTALLABLE --config {shlex.quote(path)}"
    if not found:
        return "give the flake a package, then nix2oci build"
    flake = named.flake_ref
    what = installable_of(flake, first) if first else named.text
    return "nix2oci build" + ("" if what == "." else f" {shlex.quote(what)}")

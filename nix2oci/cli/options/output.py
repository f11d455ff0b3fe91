"""How much is said on stderr, and in which form on stdout."""

from __future__ import annotations

from dataclasses import dataclass

import click

from nix2oci.cli.options.group import Group


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How much a command says."""

    quiet: bool
    verbose: int
    """How often `-v` was given."""
    as_json: bool


OUTPUT = Group(
    "output",
    OutputOptions,
    (
        click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but errors."),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            help="Say more: -v shows Nix's full log, -vv tracebacks, -vvv every request to a "
            "registry.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON on stdout."),
    ),
)

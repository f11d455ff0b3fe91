"""How much is said on stderr, and in which form on stdout."""

from __future__ import annotations

from dataclasses import dataclass

import click

from nix2oci.cli.options.group import Group, switch


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
        switch("-q", "Say nothing but errors.", "--quiet"),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            help="Say more: -v shows Nix's full log, -vv tracebacks, -vvv every request to a "
            "registry.",
        ),
        switch("--json", "Print JSON on stdout.", "as_json"),
    ),
)

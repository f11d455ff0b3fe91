"""How much is said on stderr, and in which form on stdout."""

from __future__ import annotations

import click
from msgspec import Struct

from nix2oci.config.options.group import Group, switch


class OutputOptions(Struct, frozen=True):
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
    "Output",
)

BYTES_OUTPUT = Group(
    "output", lambda **given: OutputOptions(**given, as_json=False), OUTPUT.flags[:2], OUTPUT.title
)
"""The same for commands whose result are the bytes of a file."""

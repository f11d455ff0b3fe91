"""`nix2oci completion`: the completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    For bash: eval "$(nix2oci completion bash)", in ~/.bashrc for every session.
    """
    found = get_completion_class(shell)
    assert found is not None, "click knows the shells that are offered"
    click.echo(found(ctx.find_root().command, {}, "nix2oci", "_NIX2OCI_COMPLETE").source())

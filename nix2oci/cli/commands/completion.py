"""`nix2oci completion`: the completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from nix2oci.cli.render import console
from nix2oci.config.options.group import command


@command("completion", click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"])))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    For bash: eval "$(nix2oci completion bash)", in ~/.bashrc for every session.
    """
    found = get_completion_class(shell)
    assert found is not None, "click knows the shells that are offered"
    program = click.get_current_context().find_root().command
    script = found(program, {}, "nix2oci", "_NIX2OCI_COMPLETE").source()
    console.result_bytes(f"{script}\n".encode())

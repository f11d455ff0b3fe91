"""`nix2oci help`: what `--help` prints, for those who ask like that."""

from __future__ import annotations

import click

from nix2oci.cli.render import console
from nix2oci.config.options.group import command


@command("help", click.Argument(["name"], required=False, metavar="[COMMAND]"))
def help(*, name: str | None) -> None:  # noqa: A001  # it has the name of the command
    """Show the help of COMMAND, as COMMAND --help does, or the list of commands."""
    root = click.get_current_context().find_root()
    program = root.command
    assert isinstance(program, click.Group), "what has commands is a group"
    text = program.get_help(root)
    if name is not None:
        _, found, _ = program.resolve_command(root, [name])
        assert found is not None, "what is no command is an error"
        text = found.get_help(click.Context(found, parent=root, info_name=name))
    console.result_bytes(f"{text}\n".encode())

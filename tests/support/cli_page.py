"""docs/cli.md, made from the commands themselves.

    ./dev pages

An option that several commands have in common is described once, under the heading of its group.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from nix2oci.cli.app import program
from nix2oci.config.options.group import TITLES, Command, Group
from nix2oci.config.options.image import IMAGE, LAYERS
from nix2oci.config.options.nix import NIX
from nix2oci.config.options.output import OUTPUT
from nix2oci.config.options.registry import REGISTRY

GROUPS = {
    "Options of the image": (
        IMAGE,
        "Each but `--config` is a key of [nix2oci.yaml](configuration.md), where it is explained.",
    ),
    "Options about layers": (
        LAYERS,
        "They are keys of [nix2oci.yaml](configuration.md), too; [layering](layering.md) has more.",
    ),
    "Options that go to Nix": (
        NIX,
        "They mean what they mean to `nix build`, and may be given again where that takes several.",
    ),
    "Options about registries": (
        REGISTRY,
        "[Registries](registries.md) says where credentials and certificates are looked for.",
    ),
    "Options of output": (
        OUTPUT,
        "Progress is on stderr, the result on stdout; [json.md](json.md) has what `--json` prints.",
    ),
}

HEAD = """\
# Commands and options

<!-- Made by ./dev pages. -->

`nix2oci -V` or `--version` prints the version.
`nix2oci help COMMAND`, or `--help` after any command, prints what is below.
`man nix2oci` and `man nix2oci-COMMAND` show it, too.
An option that has one value is given once; a switch may be repeated."""


def options_of(group: Group[Any]) -> dict[str, click.Option]:
    """The options of a group that are of no part of it, by name."""
    parts = {option for part in group.parts for option in part.flags}
    return {option.opts[-1]: option for option in group.flags if option not in parts}


def context_of(command: click.Command) -> click.Context:
    """One in which the command says what it does when it is called; click keeps parts of that."""
    names = program.context_settings["help_option_names"]
    command._help_option = None  # of whoever asked before, with other names
    return click.Context(command, help_option_names=names)


def commands() -> dict[str, click.Command]:
    """Every command by its name, in the order that --help has."""
    context = context_of(program)
    names = program.list_commands(context)
    found = {name: program.get_command(context, name) for name in names}
    return {name: command for name, command in found.items() if command is not None}


def page() -> str:
    """The text of docs/cli.md."""
    return "\n\n".join([HEAD, *_commands(), *_groups()]) + "\n"


def _commands() -> Iterator[str]:
    shared = {title: set(options_of(group)) for title, (group, _) in GROUPS.items()}
    for name, command in commands().items():
        options = [param for param in command.params if isinstance(param, click.Option)]
        names = {option.opts[-1] for option in options}
        common = [title for title, theirs in shared.items() if theirs <= names]
        yield f"## nix2oci {name}"
        usage = command.collect_usage_pieces(context_of(command))
        yield f"```text\nnix2oci {name} {' '.join(usage)}\n```"
        yield _prose(command.help)
        if own := [o for o in options if not any(o.opts[-1] in shared[t] for t in common)]:
            yield from _own(command, own)
        if common:
            yield f"Also: {', '.join(f'[{title}](#{_anchor(title)})' for title in common)}."


def _own(command: click.Command, options: list[click.Option]) -> Iterator[str]:
    """The options that only this command has; where its help has groups, by these."""
    assert isinstance(command, Command)
    sections = command.sections(context_of(command))
    if first := sections.get("Most used"):
        yield f"Most used: {', '.join(f'`{option.opts[-1]}`' for option in first)}."
    if not set(TITLES) & set(sections):
        yield _table(options)
        return
    for title in ("", *TITLES):
        if rows := [o for o in options if command.titles.get(str(o.name), "") == title]:
            yield _table(rows, title)


def _groups() -> Iterator[str]:
    for title, (group, text) in GROUPS.items():
        yield f"## {title}"
        yield text
        yield _table(options_of(group).values())


def _prose(text: str | None) -> str:
    return inspect.cleandoc(text or "")


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _table(options: Iterable[click.Option], title: str = "") -> str:
    rows = [f"| {_spelling(option)} | {_cell(option.help or '')} |" for option in options]
    return "\n".join([f"| {title or 'option'} | |", "|---|---|", *rows])


def _spelling(option: click.Option) -> str:
    context = click.Context(click.Command("any"))
    value = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
    names = [*option.opts[:-1], _cell(option.opts[-1] + value), *option.secondary_opts]
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(page())

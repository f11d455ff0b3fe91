"""A group of flags and the one value that they become; a command made of such groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Group:
    """Flags that several commands have, or that belong together."""

    name: str
    """What a command's function calls the value."""
    make: Callable[..., object]
    """Makes the value; takes what was given for each flag, under click's name for it."""
    flags: tuple[click.Option, ...]


BARE = ""
"""The value of an option that may have one, where it has none."""


class OptionalValue(click.Option):
    """An option that has a value only after `=`: the word behind it is another argument."""


class _Command(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = {name for p in self.params if isinstance(p, OptionalValue) for name in p.opts}
        end = args.index("--") if "--" in args else len(args)
        whole = [f"{arg}={BARE}" if arg in flags else arg for arg in args[:end]]
        return super().parse_args(ctx, whole + args[end:])


def command(
    name: str, *parts: click.Parameter | Group
) -> Callable[[Callable[..., object]], click.Command]:
    """Make a command of a function, whose docstring is the help; `parts` are in the order of that.

    The function takes arguments and single options by their names, and a value for each group.
    """
    groups = tuple(part for part in parts if isinstance(part, Group))
    parameters = [
        parameter
        for part in parts
        for parameter in (part.flags if isinstance(part, Group) else (part,))
    ]

    def decorate(function: Callable[..., object]) -> click.Command:
        def call(**given: object) -> object:
            values = {
                group.name: group.make(
                    **{str(flag.name): given.pop(str(flag.name)) for flag in group.flags}
                )
                for group in groups
            }
            return function(**given, **values)

        return _Command(name, params=parameters, callback=call, help=inspect.getdoc(function))

    return decorate

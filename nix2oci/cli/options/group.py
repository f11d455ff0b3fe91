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

        return click.Command(name, params=parameters, callback=call, help=inspect.getdoc(function))

    return decorate

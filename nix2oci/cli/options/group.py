"""A group of flags and the one value that they become; a command made of such groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Generic, TypeVar

import click
from msgspec import Struct

T_co = TypeVar("T_co", covariant=True)


class Group(Struct, Generic[T_co], frozen=True):
    """Flags that several commands have, or that belong together."""

    name: str
    """What a command's function calls the value."""
    make: Callable[..., T_co]
    """Makes the value; takes what was given for each flag, under click's name for it."""
    flags: tuple[click.Option, ...]

    def take(self, given: dict[str, object]) -> T_co:
        """The value, made of what click read; takes the flags out of `given`."""
        return self.make(**{str(flag.name): given.pop(str(flag.name)) for flag in self.flags})


class _Command(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, which takes the last of several values and forgets the others."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        options = [each for each in order if isinstance(each, click.Option)]
        single = [each for each in options if not (each.multiple or each.is_flag or each.count)]
        if not ctx.resilient_parsing and len(single) > len(set(single)):
            flag = max(single, key=single.count)
            given = f"{'/'.join(flag.opts)} is given {single.count(flag)} times"
            raise click.UsageError(f"{given}, and has one value", ctx)
        return super().parse_args(ctx, args)


BARE = ""
"""The value of an option that may have one, where it has none."""


_OPTIONAL = "[="
"""What the metavar of an option begins with that has a value only after `=`."""


def optional_value(flag: str, metavar: str, text: str) -> click.Option:
    """A flag that may be given several times, and has a value only after `=`, else `BARE`."""
    return click.Option([flag], metavar=f"{_OPTIONAL}{metavar}]", help=text, multiple=True)


def with_bare_values(command: click.Command, args: list[str]) -> list[str]:
    """Arguments of a command, in which the word behind such a flag is another argument."""
    flags = [p.opts[0] for p in command.params if (p.metavar or "").startswith(_OPTIONAL)]
    end = args.index("--") if "--" in args else len(args)
    return [f"{arg}={BARE}" if arg in flags else arg for arg in args[:end]] + args[end:]


def command(
    name: str, *parts: click.Parameter | Group[object]
) -> Callable[[Callable[..., object]], click.Command]:
    """Make a command of a function, whose docstring is the help; `parts` are in the order of that.

    The function takes arguments and single options by their names, and a value for each group.
    """
    groups = [part for part in parts if isinstance(part, Group)]
    parameters: list[click.Parameter] = []
    for part in parts:
        parameters += part.flags if isinstance(part, Group) else (part,)

    def decorate(function: Callable[..., object]) -> click.Command:
        def call(**given: object) -> object:
            values = {group.name: group.take(given) for group in groups}
            return function(**given, **values)

        return _Command(name, params=parameters, callback=call, help=inspect.getdoc(function))

    return decorate


def argument(name: str, metavar: str | None = None) -> click.Argument:
    """One word that has to be there."""
    return click.Argument([name], metavar=metavar)


def installable_arguments() -> click.Argument:
    """As many installables as there are."""
    return click.Argument(["installables"], nargs=-1, metavar="[INSTALLABLE]...")


def value(flag: str, metavar: str, text: str, *names: str) -> click.Option:
    """A flag with a value; `names` are other spellings, and what the function calls it."""
    return click.Option([flag, *names], metavar=metavar, help=text)


def repeated(flag: str, metavar: str, text: str, *names: str) -> click.Option:
    """A flag with a value that may be given several times."""
    return click.Option([flag, *names], metavar=metavar, help=text, multiple=True)


def switch(flag: str, text: str, *names: str) -> click.Option:
    """A flag without a value."""
    return click.Option([flag, *names], is_flag=True, help=text)

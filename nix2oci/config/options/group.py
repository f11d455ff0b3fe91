"""A group of flags and the one value that they become; a command made of such groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

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
    title: str = ""
    """What `--help` calls them where a command has many flags, one of `TITLES`."""
    parts: tuple[Group[Any], ...] = ()
    """Groups that some of the flags are of, too: these have their titles."""

    @property
    def titles(self) -> dict[str, str]:
        """The title of each flag, by click's name for it."""
        found = {str(flag.name): self.title for flag in self.flags}
        for part in self.parts:
            found |= part.titles
        return found

    def take(self, given: dict[str, object]) -> T_co:
        """The value, made of what click read; takes the flags out of `given`."""
        return self.make(**{str(flag.name): given.pop(str(flag.name)) for flag in self.flags})


TITLES = ("Image", "Files", "Registries", "Trust", "Engines", "Layers", "Nix", "Output")
"""Groups of flags in the order of `--help`."""


class Command(click.Command):
    """A command that takes no flag for another, and whose help has groups where flags have."""

    titles: Mapping[str, str] = {}
    first: Sequence[str] = ()
    """Flags that people need first, by click's names for them."""

    def sections(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """The flags of the command by the heading that they have in its help.

        One heading is enough where no flag is about an image that is made: there are few then.
        """
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        titles = self.titles if "Image" in self.titles.values() else {}
        last = TITLES[-1] if titles else "Options"
        found: dict[str, list[click.Option]] = {"Options": []}
        if self.first and titles:
            named = {str(option.name): option for option in options}
            found = {"Most used": [named[name] for name in self.first], **found}
            options = [option for option in options if option.name not in self.first]
        found |= {title: [] for title in TITLES}
        for option in options:
            title = last if option not in self.params else titles.get(str(option.name))
            found[title or "Options"].append(option)
        return {title: options for title, options in found.items() if options}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, under headings."""
        for title, options in self.sections(ctx).items():
            records = [each for option in options if (each := option.get_help_record(ctx))]
            with formatter.section(title):
                formatter.write_dl(records)

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
    name: str, *parts: click.Parameter | Group[object], first: Sequence[str] = ()
) -> Callable[[Callable[..., object]], Command]:
    """Make a command of a function, whose docstring is the help; `parts` are in the order of that.

    The function takes arguments and single options by their names, and a value for each group.
    `first` are flags that people need first, where there are many.
    """
    groups = [part for part in parts if isinstance(part, Group)]
    parameters: list[click.Parameter] = []
    for part in parts:
        parameters += part.flags if isinstance(part, Group) else (part,)

    def decorate(function: Callable[..., object]) -> Command:
        def call(**given: object) -> object:
            values = {group.name: group.take(given) for group in groups}
            return function(**given, **values)

        made = Command(name, params=parameters, callback=call, help=inspect.getdoc(function))
        made.titles = {name: title for group in groups for name, title in group.titles.items()}
        made.first = first
        return made

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

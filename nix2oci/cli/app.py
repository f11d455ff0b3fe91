"""The commands as one click group, and the one place where every error ends.

A command's own module is loaded when it is called. stdout carries results alone.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sized
from contextlib import suppress

import click

from nix2oci import __version__
from nix2oci.cli import context
from nix2oci.cli.help import COMMANDS, HELP
from nix2oci.cli.render import console
from nix2oci.errors import ConfigError, Nix2OCIError

_BUG = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED = 130


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            raise _no_command(args[0])
        name, command, rest = super().resolve_command(ctx, args)
        from nix2oci.config.options.group import with_bare_values  # the command has loaded it

        return name, command, with_bare_values(command, rest) if command else rest

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nix2oci.cli.commands.{cmd_name}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        return HELP


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "terminal_width": context.help_width(),
    },
)
@click.version_option(
    __version__, "-V", "--version", prog_name="nix2oci", message="%(prog)s %(version)s"
)
def program() -> None:
    """One command from a flake output to an OCI image."""


def run(interrupts: Sized = ()) -> int:
    """Run the command line; the exit code, as the docstring of `nix2oci.errors` has them.

    Once there are `interrupts`, whatever ends it is one.
    """
    sys.unraisablehook = _unraisable
    try:
        code = program.main(prog_name="nix2oci", standalone_mode=False)
        context.flush_output()
    except (KeyboardInterrupt, Exception) as ended:  # noqa: BLE001  # the one place where all ends
        err = KeyboardInterrupt() if interrupts else ended
        with suppress(*context.UNWRITABLE):  # where that cannot be said, the code says it
            _report(err)
        return _exit_code(err)
    return code if isinstance(code, int) else 0


def _exit_code(err: BaseException) -> int:
    match err:
        case KeyboardInterrupt() | click.Abort():
            return _INTERRUPTED
        case click.ClickException():
            return ConfigError.exit_code
        case Nix2OCIError():
            return err.exit_code
    return _BUG


def _report(err: BaseException) -> None:
    """Say what went wrong in a line, and how to mend it in another."""
    match err:
        case KeyboardInterrupt() | click.Abort():
            return console.line("interrupted")
        case click.exceptions.NoArgsIsHelpError():
            return console.line(err.format_message())
        case click.ClickException():
            return _usage_error(err)
        case Nix2OCIError():
            console.error(str(err), err.hint)
        case _:
            bug = f"bug in nix2oci {__version__}: {type(err).__name__}: {err}"
            console.error(bug, "please report it, with what -vv shows")
    if _is_very_verbose():
        console.traceback(err)
    return None


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """Keep to ourselves what went wrong where nobody can be told, as in a finalizer.

    One may be called while a document nests so deeply that no call is left, and its traceback
    would be all that a terminal shows of it.
    """
    if what.exc_value and _is_very_verbose():
        console.traceback(what.exc_value)


def _usage_error(err: click.ClickException) -> None:
    ctx = err.ctx if isinstance(err, click.UsageError) else None
    named = [word for word in context.arguments()[:1] if word in COMMANDS]
    where = ctx.command_path if ctx else " ".join(["nix2oci", *named])
    message = err.format_message().removesuffix(".").replace("\n", " ")
    console.error(message[:1].lower() + message[1:], f"see: {where} --help")


def _no_command(name: str) -> ConfigError:
    from difflib import get_close_matches

    nearest = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean '{nearest[0]}'?" if nearest else "see: nix2oci --help"
    return ConfigError(f"there is no command '{name}'", hint=hint)


def _is_very_verbose() -> bool:
    words = context.arguments()
    flags = [word for word in words if word[:1] == "-" and word.strip("-v") == ""]
    return "".join(flags).count("v") + words.count("--verbose") > 1

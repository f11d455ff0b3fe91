"""The commands as one click group, and the one place where every error ends.

A command's own module is loaded when it is called. stdout carries results alone.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback

import click

from nix2oci import __version__
from nix2oci.cli import COMMANDS, HELP
from nix2oci.errors import ConfigError, Nix2OCIError

_BUG = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED = 130
_BROKEN_PIPE = 8


class _NobodyReadsError(Exception):
    """Standard output was closed by the program that read it."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            raise _no_command(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as err:
            raise _NobodyReadsError from err  # click would make an exit code of its own of it

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nix2oci.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        return HELP


def _terminal_width() -> int:
    """Columns for help texts. click would import half of the standard library to find out."""
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 80
    except (OSError, ValueError):
        columns = 80
    return max(50, min(columns, 100)) - 2


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": _terminal_width()},
)
@click.version_option(__version__, prog_name="nix2oci", message="%(prog)s %(version)s")
def program() -> None:
    """One command from a flake output to an OCI image."""


def run() -> int:
    """Run the command line; the exit code, as the docstring of `nix2oci.errors` has them."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = program.main(prog_name="nix2oci", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return _INTERRUPTED
    except (BrokenPipeError, _NobodyReadsError):
        # What is still in the buffer has to go somewhere, or Python complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _BROKEN_PIPE
    except Exception as err:  # noqa: BLE001  # the one place where all that is left ends
        return _report(err)
    return code if isinstance(code, int) else 0


def _report(err: Exception) -> int:
    """Say what went wrong in a line, and how to mend it in another; the exit code."""
    match err:
        case click.exceptions.NoArgsIsHelpError():
            click.echo(err.format_message(), err=True)
            return 2
        case click.ClickException():
            return _usage_error(err)
        case Nix2OCIError():
            _say_error(str(err), err.hint)
            code = err.exit_code
        case _:
            bug = f"bug in nix2oci {__version__}: {type(err).__name__}: {err}"
            _say_error(bug, "please report it, with what -vv shows")
            code = _BUG
    if _is_very_verbose():
        traceback.print_exception(err)
    return code


def _usage_error(err: click.ClickException) -> int:
    ctx = err.ctx if isinstance(err, click.UsageError) else None
    named = [word for word in sys.argv[1:2] if word in COMMANDS]
    where = ctx.command_path if ctx else " ".join(["nix2oci", *named])
    message = err.format_message().removesuffix(".").replace("\n", " ")
    _say_error(message[:1].lower() + message[1:], f"see: {where} --help")
    return 2


def _no_command(name: str) -> ConfigError:
    from difflib import get_close_matches  # noqa: PLC0415  # start-up counts

    nearest = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean '{nearest[0]}'?" if nearest else "see: nix2oci --help"
    return ConfigError(f"there is no command '{name}'", hint=hint)


def _say_error(message: str, hint: str | None) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='yellow')} {hint}", err=True)


def _is_very_verbose() -> bool:
    flags = [word for word in sys.argv if word[:1] == "-" and word.strip("-v") == ""]
    return "".join(flags).count("v") + sys.argv.count("--verbose") > 1


def _interrupt(*_: object) -> None:
    """Let SIGTERM end the program as Ctrl-C does: children ended, nothing half-written left."""
    raise KeyboardInterrupt

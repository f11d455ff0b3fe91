"""The command line: the only room that prints, reads the environment or exits.

This file is what every start of the program loads, so it answers `--help` alone; `app` has the
rest.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit."""
    if sys.argv[1:] in (["--help"], ["-h"], ["help"]) and sys.stdout:
        from nix2oci.cli.help import HELP

        try:
            print(HELP, flush=True)  # noqa: T201  # the command line prints, here without click
        except OSError:
            pass  # said below, as everywhere
        else:
            os._exit(0)  # there is nothing to tidy up, which takes as long as all the rest

    from nix2oci.cli.app import run
    from nix2oci.cli.context import open_streams

    open_streams()
    sys.exit(run())

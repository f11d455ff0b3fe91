"""The command line: the only room that prints, reads the environment or exits.

This file is what every start of the program loads, so it answers `--help` alone; `app` has the
rest.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        from nix2oci.cli.help import HELP

        print(HELP)  # noqa: T201  # the command line prints, here without click
        return

    from nix2oci.cli.app import run

    sys.exit(run())

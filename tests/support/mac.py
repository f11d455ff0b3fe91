"""A Mac, as far as a program notices: `Mac` is a terminal of one, and `here` makes every one that.

Nothing in the program is switched for it. `like_a_mac/sitecustomize.py` changes what Python says of
the system before the program is loaded. Its temporary files lie below a link, as /var is one of
macOS, in a directory where names that differ in case alone are one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from support.paths import TESTS

SHIM = TESTS / "support" / "like_a_mac"
MODE = "LIKE_A_MAC"
"""The variable with which ./dev runs tests so: the processor, as `uname -m` has it."""


def environment(machine: str, scratch: Path) -> Mapping[str, str]:
    """What a child of the tests needs to be on a Mac with such a processor.

    `scratch` is a directory for it, in which /var is made.
    """
    temporary = scratch / "private" / "var" / "folders" / "T"
    temporary.mkdir(parents=True, exist_ok=True)
    var = scratch / "var"
    if not var.is_symlink():
        var.symlink_to("private/var")
    return {
        "PYTHONPATH": str(SHIM),
        MODE: machine,
        "FOLDS_CASE": str(var),
        "TMPDIR": str(var / "folders" / "T"),
    }


def here(scratch: Path) -> Mapping[str, str]:
    """The same where the tests are run as on a Mac, and nothing else."""
    machine = os.environ.get(MODE)  # noqa: TID251
    return environment(machine, scratch) if machine else {}

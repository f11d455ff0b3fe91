"""Real programs that a test needs."""

import os
import shutil

import pytest


def require(*names: str) -> None:
    """Skip the test when a program is not on PATH; where env CI is set, fail it."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        do_without(f"not on PATH: {', '.join(missing)}")


def require_root() -> None:
    """The same for what only root may do: start containers, give files away."""
    if os.geteuid() != 0:
        do_without("needs root")


def do_without(reason: str) -> None:
    """Skip the test, whose reason names what is missing; where env CI is set, fail it."""
    if os.environ.get("CI"):  # noqa: TID251
        pytest.fail(reason)
    pytest.skip(reason)

"""Real programs that a test needs."""

import os
import shutil

import pytest


def require(*names: str) -> None:
    """Skip the test when a program is not on PATH; where env CI is set, fail it."""
    missing = [name for name in names if shutil.which(name) is None]
    if not missing:
        return
    reason = f"not on PATH: {', '.join(missing)}"
    if os.environ.get("CI"):  # noqa: TID251
        pytest.fail(reason)
    pytest.skip(reason)

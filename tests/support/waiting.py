"""Until another process has come to a certain point."""

from __future__ import annotations

import time
from pathlib import Path


def wait_for(path: Path) -> None:
    """Until a file is there and has something in it; fails after a minute."""
    for _ in range(1200):
        if path.exists() and path.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {path} after a minute")

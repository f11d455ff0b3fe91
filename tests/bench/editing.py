"""An application on top of large programs, to be edited between builds."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import NixClock
from real.distro import MAKE
from real.editable import App

PROGRAMS = ("postgresql", "git")


@contextmanager
def edited_app() -> Iterator[tuple[App, Path, NixClock]]:
    """The application, built once, a scratch directory, and the clock of the `nix` on PATH."""
    nix = shutil.which("nix")
    assert nix is not None, "there is no nix on PATH"
    distro = Path(__file__).parents[2] / ".cache/distro"
    subprocess.run([MAKE, distro], check=True)
    with tempfile.TemporaryDirectory(prefix="nix2oci-bench-") as scratch:
        work = Path(scratch)
        app = App.make(work / "app", distro, *PROGRAMS)
        app.build()
        yield app, work, NixClock(work, nix)

"""Progress on a terminal."""

from __future__ import annotations

import threading

from nix2oci.cli.render.console import Bars


def test_bars_are_drawn_without_a_thread() -> None:
    """The processes that write layers are forked meanwhile, and a thread may hold a lock then."""
    before = set(threading.enumerate())
    with Bars().bytes("writing", 10) as counter:
        counter(5)
        assert set(threading.enumerate()) <= before

"""A few hundred single-byte changes of valid wrappers; `python -m fuzz.mutate` makes thousands."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
from support.tools import require

from fuzz.mutate import run
from fuzz.wrappers import Setup

pytestmark = pytest.mark.real
SEED = os.environ.get("FUZZ_SEED", "test")  # noqa: TID251


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("bash", id="run by bash"),
        pytest.param("sh", id="run by bash in POSIX mode"),
    ],
)
def test_a_mutant_is_refused_or_does_what_bash_does(tmp_path: Path, name: str) -> None:
    require("bash")
    setup = Setup.make(tmp_path, SEED, platform.machine())
    shell = tmp_path / name
    shell.symlink_to(os.fsdecode(setup.bash))
    setup = Setup(setup.seed, setup.machine, os.fsencode(shell), setup.scratch)
    tally = run(setup, 2, range(150))
    assert tally.findings == ()
    assert tally.verdicts["accepted"] > 20, "some must get as far as being run"
    assert len(tally.verdicts) > 5, "and others be refused, for several reasons"

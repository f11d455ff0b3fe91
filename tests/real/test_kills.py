"""However and whenever a run is ended, nobody is left of it, and the next run is right."""

import os
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from fuzz.kills import Place, alive, orphans, run
from real.engines import wait_until
from real.images import NIX2OCI
from support.started import started
from support.tools import require, require_root

pytestmark = [pytest.mark.nix, pytest.mark.slow]

CACHE = Path(__file__).parents[2] / ".cache"
FLAKE = """\
{
  outputs = _: {
    packages.x86_64-linux.default = derivation {
      name = "slow-%s";
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" "PATH=/bin:/usr/bin; sleep 64; echo > $out" ];
      TOKEN = "%s";
    };
  };
}
"""


def test_eight_kills_at_random_moments() -> None:
    """`./dev fuzz-kills` has 200; the seed is fixed, so that a failure comes back.

    Python's own start and end, when it has no handler of ours, are left to that.
    """
    require_root()
    require("nix", "docker-registry", "podman", "runc")
    with tempfile.TemporaryDirectory(prefix="n2o-") as directory, ExitStack() as stack:
        place = Place.make(stack, Path(directory), CACHE)  # podman wants short paths
        ends, findings = run(place, range(8), "eight", (0.3, 0.9))
    assert (ends.total(), findings) == (8, [])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_builders_of_nix_end_as_well(number: signal.Signals, tmp_path: Path) -> None:
    require("nix")
    token = f"{os.getpid()}-{number.name}"
    (flake := tmp_path / "flake").mkdir()
    (flake / "flake.nix").write_text(FLAKE % (token, token))
    env = {**os.environ, "HOME": str(tmp_path), "NIX2OCI_KILLS": token}  # noqa: TID251
    argv = [
        NIX2OCI,
        "build",
        f"path:{flake}",
        "--entrypoint",
        "/none",
        "-o",
        f"{tmp_path}/a.tar",
    ]
    with started(argv, env) as process:
        wait_until(lambda: any(alive(token, "TOKEN")), lambda: "no builder")
        process.send_signal(number)
        process.wait(30)
        begun = time.monotonic()
        seconds = 5.0 if number is signal.SIGKILL else 0.0
        assert orphans(token, seconds) == []
        assert orphans(token, seconds - (time.monotonic() - begun), "TOKEN") == []

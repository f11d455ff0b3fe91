"""The tutorial for those without Nix, typed from its first line on a bare Debian 13.

`.cache/tutorial-bare-debian.log` keeps each command with its seconds, the last line of all.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real.binary_cache import keys
from real.console import Block, Command, File, matches, steps
from real.distro import nix, out_path
from real.tutorials import ON_BARE_DEBIAN
from support.fakecache import FakeCache, served
from support.paths import ROOT
from support.tools import require, require_root

pytestmark = pytest.mark.slow

LOG = ROOT / ".cache/tutorial-bare-debian.log"
HYDRA = "job/nixpkgs/trunk/redis.x86_64-linux/latest-finished"
MARK = "\x1e"
TIME = f"printf '{MARK}%s\\n' \"$EPOCHREALTIME\""
# What podman needs in a chroot of a virtual machine, beside what the page installs.
SETTINGS = """\
[containers]
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
log_driver = "k8s-file"
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
HEAD = """\
set -euo pipefail
cd
export NIX2OCI=/home/nix2oci NIX_CONFIG='extra-trusted-public-keys = KEY' no_proxy=127.0.0.1
export CONTAINERS_CONF=/home/containers.conf PODMAN_IGNORE_CGROUPSV1_WARNING=1
export DEBIAN_FRONTEND=noninteractive
"""


@contextmanager
def bare_debian() -> Iterator[Path]:
    """A bare Debian with a clone of this repository and nothing else."""
    require("git", "unshare", "apt-get", "dpkg-deb")
    with tempfile.TemporaryDirectory(prefix="n2o-", dir="/var/tmp") as directory:
        root = Path(directory) / "debian"
        subprocess.run([ROOT / ".ci/bare-debian", "make", root], check=True, timeout=500)
        clone = ("git", "clone", "--quiet", ROOT, root / "home/nix2oci")
        subprocess.run(clone, check=True)
        (root / "home/containers.conf").write_text(SETTINGS)
        yield root


@contextmanager
def cache(distro: Path, directory: Path) -> Iterator[tuple[str, str]]:
    """A signed binary cache that has redis, and says where: its URL and public key."""
    output = out_path(f"path:{distro}#redis")
    secret, public = keys(directory)
    files = directory / "files"
    nix("copy", "--to", f"file://{files}?secret-key={secret}", str(output))
    nix(
        "store",
        "sign",
        "--store",
        f"file://{files}",
        "--key-file",
        str(secret),
        "--recursive",
        str(output),
    )
    answer = files / HYDRA
    answer.parent.mkdir(parents=True)
    answer.write_text(json.dumps({"buildoutputs": {"out": {"path": str(output)}}}))
    with served(FakeCache(files)) as web:
        yield web.url, public


def script(page: Iterable[Block | File], url: str, key: str) -> str:
    """The page as one session that says before each command what time it is."""
    lines = [HEAD.replace("KEY", key)]
    for step in page:
        if isinstance(step, File):
            lines += [f"cat >{step.name} <<'END'", f"{step.text}END"]
        else:
            lines += typed(step.commands, url)
    return "\n".join([*lines, TIME, "times >&2", ""])


def typed(commands: Iterable[Command], url: str) -> Iterator[str]:
    for command in commands:
        text = command.text.replace("https://cache.nixos.org", url)
        text = text.replace("https://hydra.nixos.org", url)
        if text.startswith("apt-get install"):
            text += " runc"  # crun does not know the control groups of every virtual machine
        if "redis-cli set" in text:
            yield "until podman exec redis /usr/bin/redis-cli ping; do sleep 0.2; done &>/dev/null"
        yield from (TIME, text)


def processor(said: str) -> float:
    """The seconds of user and system, of the shell's children, that `times` ends with."""
    last = said.splitlines()[-1].split()
    return sum(60 * float(m) + float(s.rstrip("s")) for m, s in (each.split("m") for each in last))


def test_the_tutorial_without_nix_makes_an_image_that_runs(distro: Path, tmp_path: Path) -> None:
    require_root()
    page = list(steps(ON_BARE_DEBIAN))
    commands = [command for step in page if isinstance(step, Block) for command in step.commands]
    with bare_debian() as root, cache(distro, tmp_path) as (url, key):
        (root / "home/page.sh").write_text(script(page, url, key))
        argv = (ROOT / ".ci/bare-debian", "run", root, "bash", "/home/page.sh")
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = [part.partition("\n") for part in done.stdout.split(MARK)[1:]]
    times = [float(time) for time, _, _ in printed]
    seconds = [after - before for before, after in itertools.pairwise(times)]
    log = [
        f"{took:7.1f} s  {command.text}" for took, command in zip(seconds, commands, strict=True)
    ]
    log.append(
        f"{sum(seconds):7.1f} s  all of it, and {processor(done.stderr):.1f} s of processors"
    )
    LOG.write_text("\n".join(log) + "\n")
    for command, (_, _, text) in zip(commands, printed, strict=False):
        assert matches(command.shown, text.splitlines()), f"{command.text}\n{text}"
    assert processor(done.stderr) < 180

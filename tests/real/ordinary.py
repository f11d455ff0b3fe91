"""An ordinary user of a machine whose Nix has a daemon and build users, as most have."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real.distro import Completed
from real.engines import wait_until
from real.images import NIX2OCI
from support.tools import do_without, require, require_root

UID = 1000
BUILDERS = 4
FEATURES = "extra-experimental-features = nix-command flakes\n"
SETTINGS = f"{FEATURES}build-users-group = nixbld\nsandbox = false\nsubstituters =\n"
"""Of the daemon; the user may not change them."""

STORAGE = """\
[storage]
driver = "vfs"
graphroot = "%s/images"
runroot = "%s/podman"
[storage.options]
ignore_chown_errors = "true"
"""
"""For a podman that has one user alone: nobody has set up more for it in /etc/subuid."""

# Become the daemon of a namespace in which the store, and who there is, are our own. What the
# user needs and may not reach, such as a Python below /root, is put there again for everybody.
_ENTER = """
set -e
state=$1
shift
mount --bind "$state/nix" /nix
mount --bind "$state/passwd" /etc/passwd
mount --bind "$state/group" /etc/group
number=0
for path; do
  number=$((number + 1))
  mkdir -p "$state/seen/$number"
  mount --rbind "$path" "$state/seen/$number"
done
sed 's/^/x/' "$state/closed" | while read -r closed; do
  mount -t tmpfs -o mode=755 tmpfs "${closed#x}"
done
number=0
for path; do
  number=$((number + 1))
  mkdir -p "$path"
  mount --rbind "$state/seen/$number" "$path"
done
exec nix daemon
"""


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """uid 1000 where the daemon is; `home` is theirs."""

    daemon: int
    home: Path

    def run(self, *argv: str | Path, **more: str) -> Completed:
        enter = ("nsenter", f"--target={self.daemon}", "--mount", f"--wdns={self.home}")
        user = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
        return subprocess.run(
            [*enter, *user, *map(str, argv)],
            env={**self.env(), **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def nix2oci(self, *argv: str | Path, **more: str) -> Completed:
        """It must succeed."""
        done = self.run(NIX2OCI, *argv, **more)
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def env(self) -> Mapping[str, str]:
        return {
            "PATH": os.environ["PATH"],  # noqa: TID251
            "HOME": str(self.home),
            "USER": "ordinary",
            "LC_ALL": "C.UTF-8",
            "NIX_CONFIG": FEATURES,
            "TMPDIR": str(self.home / "tmp"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
        }


@contextmanager
def ordinary_user(state: Path, *readable: Path) -> Iterator[OrdinaryUser]:
    """Such a user, for the length of a `with`, who can read these directories."""
    _check_machine()
    _write_accounts(state)
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix), *readable}
    closed = {top for path in needed if (top := _closed(path))}
    hidden = sorted(path for path in needed if _closed(path))
    (state / "closed").write_text("".join(f"{path}\n" for path in sorted(closed)))
    argv = ["unshare", "--mount", "--propagation=private", "sh", "-c", _ENTER, "sh"]
    env = {**os.environ, "NIX_CONFIG": SETTINGS, "NIX_REMOTE": ""}  # noqa: TID251
    with (state / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [*argv, state, *hidden], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        place = state / "nix/var/nix/daemon-socket/socket"
        wait_until(lambda: daemon.poll() is not None or _answers(place), (state / "log").read_text)
        assert daemon.poll() is None, (state / "log").read_text()
        yield OrdinaryUser(daemon.pid, state / "home")
    finally:
        daemon.terminate()
        daemon.wait(20)


def _check_machine() -> None:
    require_root()
    require("nix", "unshare", "nsenter", "setpriv", "mount")
    nix = os.path.realpath(shutil.which("nix") or "")
    if nix.startswith("/nix/"):
        do_without("the Nix of this machine is in the store that another is to be put over")
    if not Path("/nix").is_dir():
        do_without("there is no /nix to put a store on")


def _write_accounts(state: Path) -> None:
    builders = [f"nixbld{number}" for number in range(1, BUILDERS + 1)]
    passwd = ["root:x:0:0::/root:/bin/sh", f"ordinary:x:{UID}:{UID}::{state}/home:/bin/sh"]
    for uid, name in enumerate(builders, 30001):
        passwd.append(f"{name}:x:{uid}:30000::/:/bin/false")
    group = ["root:x:0:", f"ordinary:x:{UID}:", f"nixbld:x:30000:{','.join(builders)}"]
    for name, lines in (("passwd", passwd), ("group", group)):
        (state / name).write_text("".join(f"{line}\n" for line in lines))
    (state / "nix").mkdir()
    for directory in ("home", "home/run", "home/tmp", "home/.config", "home/.config/containers"):
        (state / directory).mkdir(mode=0o700)
        os.chown(state / directory, UID, UID)
    storage = STORAGE % (state / "home", state / "home/run")
    (state / "home/.config/containers/storage.conf").write_text(storage)


def _closed(path: Path) -> Path | None:
    """The first directory on the way to a path that others may not enter."""
    way = [*reversed(path.parents), path]
    return next((each for each in way if not each.stat().st_mode & 0o001), None)


def _answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(place)) == 0

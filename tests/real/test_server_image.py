"""A server with all that images of servers have, in each engine, with every kind of volume.

It is the sample `guestbook`: a user, a file in /etc, static files of the repository, a directory
that it writes to, a locale. The programs of busybox are put beside it, to look around.
"""

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from real.distro import FLAKES
from real.engines import ClientEngine, Engine, Job, Mount, output, wait_until
from real.images import Layout, nix2oci
from support.paths import DATA
from support.treedump import treedump

pytestmark = [pytest.mark.nix, pytest.mark.slow]

NAME = "nix2oci.test/guestbook"
DATA_DIRECTORY = "/var/lib/guestbook"
ARBITRARY = "1000730000:0"
GOLDEN = DATA / "real" / "guestbook.txt"

LOOK = f"""\
cd /
ls -A /srv/guestbook
stat -c '%A %u:%g %n' /etc/guestbook.conf /srv/guestbook /srv/guestbook/* {DATA_DIRECTORY} $HOME
cat /etc/guestbook.conf /srv/guestbook/style/book.css
wget -qO- http://127.0.0.1:8080/
for name in Zoë Ada; do wget -qO- --post-data "$name" http://127.0.0.1:8080/; done
wget -qO- http://127.0.0.1:8080/names
stat -c '%U %n' {DATA_DIRECTORY}/names
"""
SEEN = """\
index.html
style
-r--r----- 1000:0 /etc/guestbook.conf
drwxr-xr-x 0:0 /srv/guestbook
-rw-r--r-- 0:0 /srv/guestbook/index.html
drwxr-xr-x 0:0 /srv/guestbook/style
drwxrwx--- 1000:0 /var/lib/guestbook
drwxrwx--- 1000:0 /home/guestbook
[server]
port = 8080
static = /srv/guestbook
data = /var/lib/guestbook
h1 { color: teal }
<link rel="stylesheet" href="style/book.css">
<h1>Grüße</h1>
Ada
Zoë
"""


def git(directory: Path, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", directory, *author, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(distro: Path, scratch: Path) -> Path:
    """The sample as a repository of git with one commit."""
    directory = scratch / "guestbook"
    output("cp", "-r", FLAKES / "guestbook", directory)
    # The C library of nixpkgs has this locale in itself, Debian's finds it here alone.
    output("cp", "-r", "/usr/lib/locale/C.utf8", directory / "locale")
    with (directory / "nix2oci.yaml").open("a") as settings:
        settings.write("  /usr/lib/locale/C.utf8: {source: ./locale}\n")
    git(directory, "init", "-q")
    git(directory, "add", ".")
    locked = ("--override-input", "nixpkgs", f"path:{distro}")
    output("nix", "flake", "lock", *locked, directory)
    git(directory, "add", ".")
    git(directory, "commit", "-qm", "a guest book")
    return directory


def build(flake: str | Path, target: Path, *flags: str, umask: int = 0o022, tag: str = "1") -> Path:
    extra = ("--contents", "nixpkgs#busybox", "--tag", f"{NAME}:{tag}", "-q")
    prefix = ("sh", "-c", f'umask {umask:03o}; exec "$@"', "sh")
    nix2oci("build", f"{flake}#default", *extra, *flags, "-o", target, prefix=prefix)
    return target


@pytest.fixture(scope="module")
def layout(repository: Path, scratch: Path) -> Layout:
    return Layout(build(repository, scratch / "guestbook.oci"))


@pytest.fixture(scope="module")
def archive(repository: Path, scratch: Path) -> Path:
    return build(repository, scratch / "guestbook.tar")


def test_the_last_layer_is_exactly_this(layout: Layout) -> None:
    listing = treedump(layout.blob(layout.layers[-1]))
    found = [
        line for line in listing if not re.search(" nix|->.*/nix/store|usr/lib/locale/C", line)
    ]
    assert found == GOLDEN.read_text().splitlines()


def looked(engine: Engine, job: Job) -> str:
    """What is seen from within, once the server answers."""
    with engine.start(job) as server:
        wait_until(
            lambda: server.exec("/bin/guestbook", "--check").returncode == 0, report=server.logs
        )
        assert server.logs() == "encoding: UTF-8\n"
        done = server.exec("/bin/busybox", "sh", "-c", LOOK)
        assert server.stop() == 0, "SIGTERM did not end it"
    return done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Case:
    """As whom, and whether anything but a volume can be written to."""

    user: str | None = None
    read_only: bool = False

    def job(self, image: str) -> Job:
        return Job(image, user=self.user, read_only=self.read_only)

    def seen(self, engine: Engine) -> str:
        """What `LOOK` shows; podman gives a name to a user id that the image lacks."""
        unknown = "1000730000" if engine.name == "podman" else "UNKNOWN"
        return f"{SEEN}{unknown if self.user else 'guestbook'} {DATA_DIRECTORY}/names\n"

    def __str__(self) -> str:
        user = "an arbitrary user" if self.user else "the image's user"
        return f"{user}, a read-only root" if self.read_only else user


CASES = [
    pytest.param(None, Case(), id="no volume"),
    pytest.param("anonymous", Case(ARBITRARY), id="an anonymous volume, an arbitrary user"),
    pytest.param("named", Case(read_only=True), id="a named volume, a read-only root"),
    pytest.param("named", Case(ARBITRARY, read_only=True), id="the same, an arbitrary user"),
]


@pytest.mark.parametrize("level", ["1", "2"])
def test_a_slim_one_is_no_other(
    level: str, repository: Path, podman_engine: ClientEngine, scratch: Path
) -> None:
    file, case = scratch / f"guestbook-slim-{level}.tar", Case()
    slim = podman_engine.load(build(repository, file, "--slim", level, tag=f"slim{level}"))
    assert looked(podman_engine, case.job(slim)) == case.seen(podman_engine)


@pytest.mark.parametrize(("volume", "case"), CASES)
@pytest.mark.parametrize("name", ["docker", "podman"])
def test_it_runs_in(
    name: str, volume: str | None, case: Case, archive: Path, request: pytest.FixtureRequest
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    job = case.job(loaded(engine, archive))
    if volume is None:
        assert looked(engine, job) == case.seen(engine)
        return
    named = f"book{os.getpid()}"
    place = DATA_DIRECTORY if volume == "anonymous" else f"{named}:{DATA_DIRECTORY}"
    with_volume = replace(engine, limits=(*engine.limits, f"--volume={place}"))
    try:
        assert looked(with_volume, job) == case.seen(engine)
    finally:
        output(*engine.client, "volume", "rm", "-f", named)


@pytest.mark.parametrize("case", [Case(), Case(ARBITRARY), Case(read_only=True)], ids=str)
def test_it_runs_in_runc(case: Case, archive: Path, runc_engine: Engine, share: Path) -> None:
    """With a read-only root what it writes to is a directory that is mounted."""
    os.chown(share, 1000, 0)
    share.chmod(0o770)
    mounts = (Mount(share, DATA_DIRECTORY, read_only=False),) if case.read_only else ()
    job = replace(case.job(loaded(runc_engine, archive)), mounts=mounts)
    assert looked(runc_engine, job) == case.seen(runc_engine)


_loaded: dict[str, str] = {}


def loaded(engine: Engine, archive: Path) -> str:
    if engine.name not in _loaded:
        _loaded[engine.name] = engine.load(archive)
    return _loaded[engine.name]


# --- the same bytes ---------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_umasks_of_clone_and_build_change_no_byte(
    umask: int, layout: Layout, repository: Path, tmp_path: Path
) -> None:
    old = os.umask(umask)
    try:
        git(tmp_path, "clone", "-q", str(repository), "clone")
    finally:
        os.umask(old)
    again = Layout(build(tmp_path / "clone", tmp_path / "x.oci", umask=umask))
    assert again.contents() == layout.contents()


def test_of_a_tarball_only_what_git_alone_knows_is_missing(
    layout: Layout, repository: Path, tmp_path: Path
) -> None:
    """The revision, and the time, which is its commit's: see Reproducibility."""
    tarball = tmp_path / "guestbook.tar.gz"
    git(repository, "archive", "--prefix=guestbook/", "-o", str(tarball), "HEAD")
    found = Layout(build(f"file://{tarball}", tmp_path / "x.oci"))
    assert found.layers == layout.layers
    one, other = without_commit(layout.config), without_commit(found.config)
    assert one == other
    created = layout.config["created"]
    revision = layout.config["config"]["Labels"]["org.opencontainers.image.revision"]
    assert revision == output("git", "-C", repository, "rev-parse", "HEAD").strip()
    said = (f"--created={created}", f"--labels=org.opencontainers.image.revision={revision}")
    told = Layout(build(f"file://{tarball}", tmp_path / "y.oci", *said))
    assert told.manifest["config"] == layout.manifest["config"]


def without_commit(config: Any) -> Any:
    run = config["config"]
    labels = {
        key: value
        for key, value in run["Labels"].items()
        if not key.endswith((".created", ".revision"))
    }
    history = [{**each, "created": ""} for each in config["history"]]
    return {**config, "created": "", "history": history, "config": {**run, "Labels": labels}}

"""`files`, `env-file` and paths in values, with a real Nix, in Docker, podman and runc."""

import os
import subprocess
from pathlib import Path

import pytest
from real.engines import Engine, Job
from real.images import Layout, nix2oci

FLAKE = """\
{
  inputs.distro.url = "path:DISTRO";
  outputs = { self, distro }: {
    packages = builtins.mapAttrs (system: pkgs: { default = pkgs.busybox-static; })
      distro.legacyPackages;
  };
}
"""
SETTINGS = """\
name: nix2oci.test/files
entrypoint: busybox
user: shop
users: [{name: shop, uid: 1000, gid: 100}]
env-file: app.env
env:
  TOOL: "{distro#busybox-static}/bin/busybox"
files:
  /data: {directory: true, owner: shop, mode: "0750"}
  /etc/app/app.conf: {text: "port = 80\\n", owner: "0:2000", mode: "0640"}
  /srv/www: {source: ./public}
  /opt/tool: {source: "distro#busybox-static", path: bin}
  /opt/busybox: {source: "distro#busybox-static", path: bin/busybox, copy: true, owner: shop}
  /usr/local/bin/true: {link: /usr/bin/busybox}
  /etc/nsswitch.conf: {absent: true}
"""
SCRIPT = """\
stat -c '%n %a %u:%g' /data /etc/app/app.conf /srv/www /srv/www/index.html /srv/www/run /opt/busybox
cat /srv/www/index.html
touch /data/x && echo written
test -x "$TOOL" && test -x /opt/tool/busybox && echo "$GREETING"
ls /srv/www
ls /etc/nsswitch.conf 2>/dev/null
/usr/local/bin/true && /opt/busybox echo copied
"""
SAID = """\
/data 750 1000:100
/etc/app/app.conf 640 0:2000
/srv/www 755 0:0
/srv/www/index.html 644 0:0
/srv/www/run 755 0:0
/opt/busybox 755 1000:100
hello
written
good day
index.html
run
copied
"""


def repository(directory: Path, distro: Path) -> Path:
    """A flake in git, with a file that git does not track."""
    (directory / "public").mkdir(parents=True)
    (directory / "flake.nix").write_text(FLAKE.replace("DISTRO", str(distro)))
    (directory / "nix2oci.yaml").write_text(SETTINGS)
    (directory / "app.env").write_text("# for the program\nGREETING=good day\n")
    (directory / "public/index.html").write_text("hello\n")
    (directory / "public/run").write_text("#!\n")
    (directory / "public/run").chmod(0o755)
    subprocess.run(["git", "init", "-q", directory], check=True)
    subprocess.run(["git", "-C", directory, "add", "."], check=True)
    (directory / "public/untracked").write_text("secret")
    return directory


@pytest.fixture(scope="module")
def archive(distro: Path, scratch: Path) -> Path:
    path = scratch / "files.tar"
    flake = repository(scratch / "files", distro)
    nix2oci("build", flake, "--tag", "1", "-o", path)
    return path


def test_files_are_what_was_declared(engine: Engine, archive: Path) -> None:
    done = engine.run(Job(engine.load(archive), ("sh", "-c", SCRIPT)))
    assert done.stdout == SAID, done.stderr


def test_git_and_a_copy_of_what_it_tracks_are_the_same_image(distro: Path, scratch: Path) -> None:
    flake, copy = repository(scratch / "one", distro), scratch / "two"
    copy.mkdir()
    tracked = subprocess.run(
        ["git", "-C", flake, "ls-files"], capture_output=True, text=True, check=True
    ).stdout.split()
    for name in tracked:
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_bytes((flake / name).read_bytes())
        (copy / name).chmod((flake / name).stat().st_mode)
    old = os.umask(0o077)
    try:
        for each in (flake, copy):
            nix2oci("build", f"path:{each}" if each == copy else each, "-o", f"{each}.oci")
    finally:
        os.umask(old)
    layers = [Layout(Path(f"{each}.oci")).layers for each in (flake, copy)]
    assert layers[0] == layers[1]

"""What packages have for the root, locales, fakeNss and marks of deletion, in real engines."""

import subprocess
from pathlib import Path

import pytest
from real.engines import Engine, Job
from real.images import NIX2OCI, nix2oci
from support.tools import require

FLAKE = """\
{
  inputs.distro.url = "path:DISTRO";
  outputs = { self, distro }: {
    packages = builtins.mapAttrs (system: pkgs: let
      run = name: pkgs.runCommand name { };
      prio = priority: drv: drv // { meta = (drv.meta or { }) // { inherit priority; }; };
    in {
      default = pkgs.python3;
      busybox = prio 10 pkgs.busybox-static;
      site = run "site" "mkdir -p $out/srv/www $out/var/lib/site $out/share/site
        echo hello > $out/srv/www/index.html; echo 1 > $out/var/lib/site/db";
      uploads = run "uploads" "mkdir -p $out/srv/www/old $out/bin
        echo loses > $out/bin/tool; chmod +x $out/bin/tool; echo old > $out/srv/www/old/x";
      env = prio 1 (run "env" "mkdir -p $out/usr/bin $out/bin
        echo wins > $out/bin/tool; chmod +x $out/bin/tool
        ln -s ${pkgs.busybox-static}/bin/busybox $out/usr/bin/env");
      locales = run "locales" "mkdir -p $out/usr/lib/locale
        localedef --prefix=$out -i de_DE -f UTF-8 de_DE.UTF-8
        mv $out/usr/lib $out/lib; rmdir $out/usr";
      fakeNss = run "fake-nss" "mkdir -p $out/etc $out/var/empty
        echo root:x:0:0:root:/var/empty:/bin/sh > $out/etc/passwd
        echo shop:x:9001:9001:shop:/var/empty:/bin/sh >> $out/etc/passwd
        echo root:x:0: > $out/etc/group; echo shop:x:9001: >> $out/etc/group
        echo hosts: files dns > $out/etc/nsswitch.conf";
    }) distro.legacyPackages;
  };
}
"""
SETTINGS = """\
name: nix2oci.test/places
entrypoint: python3
user: shop
contents: [".#busybox", ".#site", ".#uploads", ".#env", ".#locales", ".#fakeNss"]
env: {LANG: de_DE.UTF-8}
files: {/srv/www/uploads: {directory: true, owner: shop}}
"""
SCRIPT = """\
import grp, locale, os, pwd, subprocess
for path in ("/srv/www/index.html", "/srv/www/old/x", "/var/lib/site/db"):
    print(open(path).read().strip())
print(os.path.islink("/srv/www"), os.path.islink("/srv/www/old"), os.path.exists("/share"))
open("/srv/www/uploads/mine", "w").close()
locale.setlocale(locale.LC_ALL, "")
print(locale.localeconv()["decimal_point"], os.environ["LOCALE_ARCHIVE"])
print(pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(65532).gr_name, pwd.getpwnam("root").pw_dir)
print(open("/usr/bin/tool").read().strip(), os.path.islink("/var/lib/site"))
print(os.readlink("/usr/bin/env").rpartition("/usr/")[2])
"""
SAID = """\
hello
old
1
False True False
, /usr/lib/locale/locale-archive
shop nonroot /var/empty
wins False
bin/env
"""


@pytest.fixture(scope="module")
def archive(distro: Path, scratch: Path) -> Path:
    require("localedef")
    if not Path("/usr/share/i18n/charmaps").exists():
        require("charmaps of locales")
    flake = scratch / "places"
    flake.mkdir()
    (flake / "flake.nix").write_text(FLAKE.replace("DISTRO", str(distro)))
    (flake / "nix2oci.yaml").write_text(SETTINGS)
    nix2oci("build", f"path:{flake}", "--tag", "1", "-o", scratch / "places.tar")
    return scratch / "places.tar"


def test_contents_are_at_their_places(engine: Engine, archive: Path) -> None:
    done = engine.run(Job(engine.load(archive), ("-c", SCRIPT)))
    assert done.stdout == SAID, done.stderr


@pytest.fixture(scope="module")
def without(archive: Path, scratch: Path) -> Path:
    """An image on that one, without some of what it has."""
    flake = scratch / "places"
    (flake / "nix2oci.yaml").write_text(
        f"name: nix2oci.test/without\nbase: oci-archive:{archive}\nentrypoint: python3\n"
        "files:\n  /etc/nsswitch.conf: {absent: true}\n  /srv: {absent: true}\n"
        "  /srv/new: {text: x}\n"
    )
    nix2oci("build", f"path:{flake}", "--tag", "1", "-o", scratch / "without.tar")
    return scratch / "without.tar"


def test_what_a_base_has_is_absent(engine: Engine, without: Path) -> None:
    script = "import os; print(os.listdir('/srv'), os.path.lexists('/etc/nsswitch.conf'))"
    done = engine.run(Job(engine.load(without), ("-c", script)))
    assert done.stdout == "['new'] False\n", done.stderr


def test_a_tie_of_two_packages_is_an_error(distro: Path, scratch: Path, archive: Path) -> None:
    flake = scratch / "places"
    del archive
    installables = (f"path:{distro}#busybox-static", f"path:{distro}#coreutils")
    argv = [NIX2OCI, "plan", installables[0], "--contents", installables[1]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=flake)
    assert done.returncode == 5
    assert "lower meta.priority" in done.stderr

"""docs/recipes.md: all blocks of it are one image, and a container looks at it from inside."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from real.distro import FLAKES, nix, run
from real.engines import Engine, Job
from real.images import NIX2OCI, nix2oci

pytestmark = pytest.mark.nix

PAGE = (FLAKES.parent / "docs/recipes.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
RECIPES = {
    heading: block[1]
    for heading, text in SECTIONS.items()
    if (block := re.search(r"```yaml\n(.*?)```", text, re.DOTALL))
}

# What a shell in the container is asked about each recipe, and what it answers.
ASKED = {
    "A user with a name": (
        'id; tail -n1 /etc/passwd; stat -c "%a %U %n" ~; touch ~/x; head -n1 /etc/nsswitch.conf',
        """\
uid=1000(shop) gid=1000(shop) groups=1000(shop),2000(audit)
shop:x:1000:1000:shop:/home/shop:/sbin/nologin
700 shop /home/shop
passwd:    files
""",
    ),
    "Certificates and time zones": (
        "head -c 27 $SSL_CERT_FILE; echo; echo $SSL_CERT_FILE; date -d @0 +%Z",
        "-----BEGIN CERTIFICATE-----\n/etc/ssl/certs/ca-certificates.crt\nCET\n",
    ),
    "A shell, and /usr/bin/env": (
        "echo $0; /usr/bin/env -i A=1 /usr/bin/env",
        "/bin/sh\nA=1\n",
    ),
    "A directory that the program writes to": (
        'touch /data/x /var/lib/shop/x; stat -c "%a %U:%G %n" /data /var/lib/shop',
        "750 shop:shop /data\n755 shop:shop /var/lib/shop\n",
    ),
    "A working directory": (
        'pwd; touch x; stat -c "%a %U:%G" .',
        "/srv/shop\n755 shop:shop\n",
    ),
    "A configuration file": (
        'stat -c "%a %U:%G" /etc/shop/shop.conf; cat /etc/shop/shop.conf',
        "640 shop:audit\nport = 8080\n",
    ),
    "Files of the repository": (
        'stat -c "%a %U %n" /srv/www/* /opt/shop/hooks/*; /opt/shop/hooks/start',
        "644 root /srv/www/index.html\n755 shop /opt/shop/hooks/start\nstarted\n",
    ),
    "Files of a package at their places": ("cat /srv/templates/page", "a page\n"),
    "Files of a package at a place of your own": (
        """cat /usr/share/site/index.html
echo new > /var/cache/site/index.html
stat -c "%a %U %F" /usr/share/site /var/cache/site/index.html""",
        "the site\n777 root symbolic link\n644 shop regular file\n",
    ),
    "Links": (
        "readlink /usr/local/bin/serve /etc/localtime; TZ= date -r /etc/localtime +%Y",
        "/usr/bin/shop\n/usr/share/zoneinfo/Europe/Berlin\n1970\n",
    ),
    "Leave out what a package brings": (
        "ls -d /usr/bin/chown /usr/bin/chroot 2> /dev/null",
        "/usr/bin/chown\n",
    ),
    "Variables from a file": ("echo $GREETING $LOG_LEVEL", "good day info\n"),
    "Locales": ('echo $LANG; cat "$LOCALE_ARCHIVE"', "de_DE.UTF-8\nlocales\n"),
    "Fonts": ('cat "$FONTCONFIG_FILE" /usr/share/fonts/truetype/DejaVuSans.ttf', "conf\nfont\n"),
}

# What the recipes take from nixpkgs and the stand-in does not have.
NIXPKGS = """\
{
  inputs.distro.url = "path:DISTRO";
  outputs = { self, distro }: {
    legacyPackages = builtins.mapAttrs (system: pkgs: pkgs // {
      glibcLocales = pkgs.writeTextDir "lib/locale/locale-archive" "locales\\n";
      dejavu_fonts = pkgs.writeTextDir "share/fonts/truetype/DejaVuSans.ttf" "font\\n";
      fontconfig = pkgs.writeTextDir "etc/fonts/fonts.conf" "conf\\n";
    }) distro.legacyPackages;
  };
}
"""
FLAKE = """\
{
  inputs.nixpkgs.url = "path:NIXPKGS";
  outputs = { self, nixpkgs }: {
    packages = builtins.mapAttrs (system: pkgs: rec {
      default = shop;
      shop = pkgs.runCommand "shop" { meta.mainProgram = "shop"; } ''
        install -D ${pkgs.busybox}/bin/busybox $out/bin/shop
      '';
      skeleton = pkgs.writeTextDir "srv/templates/page" "a page\\n";
      site = pkgs.writeTextDir "share/site/index.html" "the site\\n";
    }) nixpkgs.legacyPackages;
  };
}
"""


def joined(blocks: Iterator[str] | list[str]) -> dict[str, Any]:
    """The settings that all blocks together say; none says what another one says."""
    found: dict[str, Any] = {}
    for block in blocks:
        for key, value in yaml.safe_load(block).items():
            if isinstance(value, dict):
                below = found.setdefault(key, {})
                assert not below.keys() & value.keys(), key
                below.update(value)
            elif isinstance(value, list):
                found.setdefault(key, []).extend(value)
            else:
                assert found.setdefault(key, value) == value, key
    return found


@pytest.fixture(scope="module")
def repository(distro: Path, scratch: Path) -> Path:
    """A flake in git, without settings, and the nixpkgs of it."""
    nixpkgs, top = scratch / "nixpkgs", scratch / "recipes"
    for directory in (nixpkgs, top / "public", top / "hooks"):
        directory.mkdir(parents=True)
    (nixpkgs / "flake.nix").write_text(NIXPKGS.replace("DISTRO", str(distro)))
    nix("flake", "lock", f"path:{nixpkgs}")  # else a recent Nix does, and it is another flake then
    (top / "flake.nix").write_text(FLAKE.replace("NIXPKGS", str(nixpkgs)))
    (top / "public/index.html").write_text("<h1>shop</h1>\n")
    (top / "hooks/start").write_text("#!/usr/bin/env sh\necho started\n")
    (top / "hooks/start").chmod(0o755)
    (top / "app.env").write_text("# shop\nGREETING=good day\nLOG_LEVEL=debug\n")
    subprocess.run(["git", "init", "-q", top], check=True)
    subprocess.run(["git", "-C", top, "add", "."], check=True)
    return top


@pytest.fixture(scope="module")
def archive(repository: Path, scratch: Path) -> Path:
    """The image of all recipes."""
    path = scratch / "recipes.tar"
    settings = repository / "nix2oci.yaml"
    settings.write_text(json.dumps(joined(list(RECIPES.values()))))
    name = ("--tag", "nix2oci.test/recipes:1")
    nix2oci("build", repository, *name, "-o", path)
    settings.unlink()
    return path


@pytest.fixture(scope="module")
def answers(archive: Path, podman_engine: Engine) -> dict[str, str]:
    """What the container says about each recipe, all asked at once."""
    script = "".join(f"echo '## {heading}'\n{asked}\n" for heading, (asked, _) in ASKED.items())
    done = podman_engine.run(Job(podman_engine.load(archive), ("-c", script), entrypoint="/bin/sh"))
    assert not done.stderr
    return dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", done.stdout, re.DOTALL | re.MULTILINE))


def test_each_recipe_is_asked_about() -> None:
    assert [heading for heading in RECIPES if heading != "A health check"] == list(ASKED)


def test_docker_is_told_how_to_ask_whether_it_is_healthy(archive: Path) -> None:
    config = json.loads(nix2oci("inspect", "--json", archive))["config"]["config"]
    asks, program, *_, address = config["Healthcheck"]["Test"]
    assert (asks, address) == ("CMD", "http://localhost:8080/health")
    assert re.fullmatch(r"/nix/store/\w+-curl-[^/]+/bin/curl", program)


@pytest.mark.parametrize("heading", ASKED)
def test_a_recipe_does_what_it_says(heading: str, answers: dict[str, str]) -> None:
    assert answers[heading] == ASKED[heading][1]


def test_the_files_are_seen_without_an_engine(archive: Path) -> None:
    listed = nix2oci("ls", archive, "/srv/www").splitlines()
    assert [re.split(r" +", line)[0] for line in listed] == ["-rw-r--r--"]
    assert nix2oci("cat", archive, "/etc/shop/shop.conf") == "port = 8080"


def test_a_program_that_is_nowhere_ends_the_build_as_the_page_shows(repository: Path) -> None:
    shown = re.search(r"```text\n\$ nix2oci (.*)\n((?:.+\n)*)```", PAGE)
    assert shown
    done = run(NIX2OCI, *shown[1].split(), "-q", repository)
    assert (done.returncode, done.stdout) == (2, "")
    assert shown[2] in done.stderr


def test_init_lists_what_the_flake_has(repository: Path, scratch: Path) -> None:
    """The expression that asks is Nix's own to judge."""
    copy = scratch / "begun"
    copy.mkdir()
    (copy / "flake.nix").write_text((repository / "flake.nix").read_text())
    assert nix2oci("init", copy) == str(copy / "nix2oci.yaml")
    text = (copy / "nix2oci.yaml").read_text()
    assert re.findall(r"^#   (.*)$", text, re.MULTILINE) == [
        ".           shop",
        ".#shop      shop",
        ".#site      index.html",
        ".#skeleton  page",
    ]
    nix2oci("plan", "-q", f"path:{copy}")

"""Real closures that overlap as the images of one fleet do: servers of the stand-in for nixpkgs.

    PYTHONPATH=tests python -m bench.layering.realfleet

Prints what the fleet is. Making it downloads 0.6 GB of Debian packages and takes a few
minutes; what Nix answers is kept in `.cache/fleet`, and is all that is read from then on.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from real.distro import MAKE, nix

from nix2oci.model.closure import Closure
from nix2oci.nix.json_output import path_infos

# Debian 12's names. Each is the root of one image.
FLEET = (
    *("apache2", "bind9", "borgbackup", "certbot", "coturn", "curl", "dnsmasq-base"),
    *("dovecot-core", "exim4-daemon-light", "ffmpeg", "gdal-bin", "ghostscript", "git"),
    *("graphviz", "gunicorn", "haproxy", "icecast2", "imagemagick-6.q16", "lighttpd"),
    *("mariadb-server", "memcached", "mercurial", "minidlna", "mosquitto", "mpd", "nginx"),
    *("nmap", "openjdk-17-jre-headless", "openssh-server", "openvpn", "php8.2-cli", "php8.2-fpm"),
    *("poppler-utils", "postgresql-15", "prometheus", "python3-flask", "rabbitmq-server"),
    *("redis-server", "rsync", "samba", "slapd", "spamassassin", "sqlite3", "squid", "stunnel4"),
    *("tesseract-ocr", "tor", "unbound", "uwsgi-core", "varnish", "wget"),
)


def real_fleet(cache: Path) -> Mapping[str, Closure]:
    """The closure of each package of `FLEET`, by name; recorded under `cache/fleet`.

    Where one is missing all are recorded anew, so that they are of one package set. That needs
    what `flakes/distro/make` needs, and settings of Nix with `sandbox = false`, as ./dev has them.
    """
    records = {name: cache / "fleet" / f"{name}.json" for name in FLEET}
    if not all(record.exists() for record in records.values()):
        _record(records, cache)
    return {
        name: Closure.of_all(path_infos(record.read_text(encoding="utf-8")))
        for name, record in records.items()
    }


def _record(records: Mapping[str, Path], cache: Path) -> None:
    flake = cache / "fleet-distro"
    cache.mkdir(exist_ok=True)
    _say(f"making {flake}")
    subprocess.run([MAKE, flake, *records], check=True)
    for number, (name, record) in enumerate(records.items(), start=1):
        _say(f"{number} of {len(records)}: {name}")
        installable = f'path:{flake}#"{name}"'
        nix("build", "--no-link", installable)
        answer = nix("path-info", "--json", "--recursive", installable)
        record.parent.mkdir(exist_ok=True)
        unfinished = record.with_suffix(".new")
        unfinished.write_text(answer, encoding="utf-8")
        unfinished.rename(record)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def describe(fleet: Mapping[str, Closure]) -> str:
    """How large a fleet is, in a line."""
    sizes = {
        path: info.nar_size for closure in fleet.values() for path, info in closure.infos.items()
    }
    paths = statistics.median(len(closure) for closure in fleet.values())
    size = statistics.median(closure.nar_size for closure in fleet.values())
    return (
        f"{len(fleet)} images; {len(sizes)} distinct paths, {sum(sizes.values()) / 1e6:.0f} MB; "
        f"an image has {paths:.0f} paths, {size / 1e6:.0f} MB (median)"
    )


def main() -> None:
    before = time.monotonic()
    fleet = real_fleet(Path(".cache"))
    print(describe(fleet))
    _say(f"{time.monotonic() - before:.1f} s")


if __name__ == "__main__":
    main()

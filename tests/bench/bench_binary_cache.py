"""`./dev bench-binary-cache`: an image from a cache on the web without Nix, against Nix.

    PYTHONPATH=tests python tests/bench/bench_binary_cache.py [RUNS]

The application is a wrapped script on top of programs of flakes/distro, about 460 MB, in a binary
cache that a web server of this machine has. What counts is that the build without Nix is no slower
than `nix copy` into an empty store and the build from that, how much memory it takes, that after an
edit it fetches only what is new, and that a line which loses requests is survived.
docs/performance.md has the figures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.editing import edited_app
from bench.measure import Run, median, run
from real.binary_cache import keys
from real.distro import nix, out_path
from real.editable import App
from support.fakecache import CacheServer, FakeCache, lost, served

NIX2OCI = str(Path(sys.executable).with_name("nix2oci"))
BOUND_RATIO, BOUND_MB = 1.0, 200
LOST = 1 / 3
OPTIONS = ("build", "-q", "--json", "--compression", "zstd")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with edited_app() as (app, work, _):
        secret, public = keys(work)
        cache = FakeCache(work / "files")
        for compression in ("zstd", "xz"):
            put(app, cache, secret, compression)
            with served(cache) as web:
                bench = Bench(work, web, public, str(built(app)))
                compare(bench, compression, runs)
                again(bench, app, secret)
            shutil.rmtree(cache.directory)
            cache = FakeCache(work / "files")
        put(app, cache, secret, "zstd")
        with served(cache, lost(LOST)) as web:
            bad_line(Bench(work, web, public, str(built(app))))


class Bench:
    """The three commands, each from nothing."""

    def __init__(self, work: Path, web: CacheServer, key: str, path: str) -> None:
        self.work, self.web, self.path = work, web, path
        self.image, self.store = work / "image", work / "store"
        self.key = key

    def build(self, *options: str, path: str = "") -> Run:
        """Without Nix."""
        shutil.rmtree(self.image, ignore_errors=True)
        where = ("--from", self.web.url, "--trusted-public-keys", self.key, "-o", str(self.image))
        env = {
            "PATH": "/nowhere",
            "HOME": str(self.work),
            "XDG_CACHE_HOME": str(self.work / "kept"),
        }
        return run([NIX2OCI, *OPTIONS, *options, path or self.path, *where], env)

    def copy(self) -> Run:
        subprocess.run(["chmod", "-R", "u+w", self.store], check=False, capture_output=True)
        shutil.rmtree(self.store, ignore_errors=True)
        trusted = ("--option", "trusted-public-keys", self.key, "--refresh")
        where = ("--from", self.web.url, "--to", str(self.store))
        return run(["nix", "copy", *trusted, *where, self.path])

    def build_here(self) -> Run:
        shutil.rmtree(self.image, ignore_errors=True)
        where = ("--store", str(self.store), "--no-cache", "-o", str(self.image))
        return run([NIX2OCI, *OPTIONS, self.path, *where])

    @property
    def digest(self) -> str:
        return str(json.loads((self.image / "index.json").read_text())["manifests"][0]["digest"])


def compare(bench: Bench, compression: str, runs: int) -> None:
    without: list[float] = []
    with_nix: list[float] = []
    peak = 0.0
    for number in range(runs + 1):
        whole = bench.build("--no-cache")
        digest = bench.digest
        seconds = bench.copy().seconds + bench.build_here().seconds
        assert bench.digest == digest, "the images differ"
        if number:  # the first one warms the caches of the machine
            without.append(whole.seconds)
            with_nix.append(seconds)
            peak = max(peak, whole.megabytes)
    print(
        f"{compression}: {median(without) / median(with_nix):.2f} of `nix copy` and a build, "
        f"{min(without) / min(with_nix):.2f} at best (bound {BOUND_RATIO}); "
        f"peak {peak:.0f} MB (bound {BOUND_MB})"
    )


def again(bench: Bench, app: App, secret: Path) -> None:
    """A first build that keeps what it makes, and one after an edit."""
    bench.build()
    bench.web.asked.clear()
    app.edit(f"edit {os.urandom(4).hex()}")
    path = str(built(app))
    put(app, bench.web.cache, secret, "zstd")
    seconds = bench.build(path=path).seconds
    print(f"after an edit: {len(bench.web.nars)} NARs fetched, {seconds:.2f} s")
    shutil.rmtree(bench.work / "kept")


def bad_line(bench: Bench) -> None:
    whole = bench.build("--no-cache")
    asked = len(bench.web.asked)
    digest = bench.digest
    bench.web.faults.clear()
    plain = bench.build("--no-cache")
    assert bench.digest == digest, "the images differ"
    print(
        f"a line that loses {LOST:.0%} of requests: {whole.seconds / plain.seconds:.1f} times "
        f"the seconds, {asked} requests instead of {len(bench.web.asked) - asked}"
    )


def built(app: App) -> Path:
    return out_path(app.installable)


def put(app: App, cache: FakeCache, secret: Path, compression: str) -> None:
    """The application with all that it refers to, signed."""
    path, url = str(built(app)), f"file://{cache.directory}"
    sign = ("store", "sign", "--recursive", "--key-file", str(secret), "--store", url)
    nix("copy", "--to", f"{url}?compression={compression}", path)
    nix(*sign, path)


if __name__ == "__main__":
    main()

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.editing import edited_app
from bench.measure import Run, median, run
from real.binary_cache import keys
from real.distro import nix, out_path
from real.editable import App
from support.fakecache import FakeCache, lost, served

NIX2OCI = str(Path(sys.executable).with_name("nix2oci"))
BOUND_RATIO, BOUND_MB = 1.0, 200
LOST = 1 / 3
OPTIONS = ("build", "-q", "--json", "--compression", "zstd")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with edited_app() as (app, work, _):
        secret, public = keys(work)
        files = work
        for compression in ("zstd", "xz"):
            files = work / compression
            put(app, files, secret, compression)
            with serving(files) as web:
                bench = Bench(work, web, public, str(built(app)))
                compare(bench, compression, runs)
                again(bench, app, files, secret)
        with serving(files) as web, serving(files, LOST) as bad:
            bad_line(*(Bench(work, each, public, str(built(app))) for each in (web, bad)))


class Web:
    """A server in a process of its own: what it has in memory would count as ours."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._line()

    def asked(self) -> list[str]:
        """What it was asked for since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: list[str] = json.loads(self._line())
        return found

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def serving(directory: Path, share: float = 0) -> Iterator[Web]:
    argv = [sys.executable, __file__, "serve", str(directory), str(share)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Web(process)
        finally:
            process.terminate()


def serve(directory: str, share: str) -> None:
    """The server's life; it loses a share of requests."""
    with served(FakeCache(Path(directory)), lost(float(share))) as web:
        print(web.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps(web.asked), flush=True)
            web.asked.clear()


class Bench:
    """The three commands, each from nothing."""

    def __init__(self, work: Path, web: Web, key: str, path: str) -> None:
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
    own: list[float] = []
    theirs: list[float] = []
    peak = 0.0
    for number in range(runs + 1):
        whole = bench.build("--no-cache")
        digest = bench.digest
        copied, here = bench.copy(), bench.build_here()
        assert bench.digest == digest, "the images differ"
        if number:  # the first one warms the caches of the machine
            without.append(whole.seconds)
            with_nix.append(copied.seconds + here.seconds)
            own.append(whole.processor)
            theirs.append(copied.processor + here.processor)
            peak = max(peak, whole.megabytes)
    print(
        f"{compression}: {median(without) / median(with_nix):.2f} of `nix copy` and a build, "
        f"{min(without) / min(with_nix):.2f} at best (bound {BOUND_RATIO}); "
        f"processor {median(own) / median(theirs):.2f}; peak {peak:.0f} MB (bound {BOUND_MB})",
        flush=True,
    )


def again(bench: Bench, app: App, files: Path, secret: Path) -> None:
    """A first build that keeps what it makes, and one after an edit."""
    bench.build()
    bench.web.asked()
    app.edit(f"edit {os.urandom(4).hex()}")
    put(app, files, secret, "zstd")
    seconds = bench.build(path=str(built(app))).seconds
    nars = [path for path in bench.web.asked() if path.startswith("/nar/")]
    print(f"after an edit: {len(nars)} NARs fetched, {seconds:.2f} s", flush=True)
    shutil.rmtree(bench.work / "kept")


def bad_line(good: Bench, bad: Bench) -> None:
    plain = good.build("--no-cache")
    digest = good.digest
    whole = bad.build("--no-cache")
    assert bad.digest == digest, "the images differ"
    print(
        f"a line that loses {LOST:.0%} of requests: {whole.seconds / plain.seconds:.1f} times "
        f"the seconds, {len(bad.web.asked())} requests instead of {len(good.web.asked())}"
    )


def built(app: App) -> Path:
    return out_path(app.installable)


def put(app: App, directory: Path, secret: Path, compression: str) -> None:
    """The application with all that it refers to, signed."""
    path, url = str(built(app)), f"file://{directory}"
    sign = ("store", "sign", "--recursive", "--key-file", str(secret), "--store", url)
    quickly = "&compression-level=1" if compression == "xz" else ""
    copy = ("nix", "copy", "--to", f"{url}?compression={compression}{quickly}", path)
    subprocess.run(copy, check=True, capture_output=True)
    nix(*sign, path)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
    else:
        main()

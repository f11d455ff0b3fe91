"""Speed of pushing to a registry on this machine: `./dev bench`, or this file with a count of runs.

An image of an application on top of programs of flakes/distro, about 460 MB of NAR, goes to a
registry that is empty each time. `nix2oci push` is compared with `skopeo copy` of the same layout;
`build --push`, on a machine whose cache is empty, is compared with making the layout alone, and is
timed after a change of the application alone.
Nix's own time is taken off. docs/performance.md has the figures and what each of them means.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.editing import edited_app
from bench.measure import NixClock, median, run
from real.editable import App
from real.registries import serving

BOUND_RATIO = 1.0
BOUND_OF_BOTH = 1.3
"""Making and pushing at once, by making alone."""


@dataclass
class Bench:
    """Commands, each against a registry that has nothing."""

    app: App
    work: Path
    clock: NixClock
    read: dict[str, int] = field(default_factory=dict)
    """Of the last build after a change: files and bytes of NAR that were read, bytes sent."""

    def timed(self, *argv: str) -> float:
        """Seconds of a command that pushes to REF."""
        with self.registry() as name:
            return self.run(argv, name)

    def built(self, argv: Sequence[str], text: str) -> tuple[float, float]:
        """Seconds of a build that pushes all there is, and of one after a change."""
        with self.registry() as name:
            first = self.run(argv, name) - self.clock.take()
            self.app.edit(text)
            self.app.build()
            meta = self.work / "meta"
            small = self.run([*argv, "--metadata", str(meta)], name) - self.clock.take()
        document = json.loads(meta.read_text())
        self.read = document["read"] | {"sent": document["pushed"]["sent"]}
        return first, small

    def made(self, argv: Sequence[str]) -> float:
        """Seconds of a build that writes a layout."""
        layout = self.work / "made.oci"
        try:
            return self.run([*argv, "-o", str(layout)], "") - self.clock.take()
        finally:
            shutil.rmtree(layout)

    def run(self, argv: Sequence[str], name: str) -> float:
        return run([text.replace("REF", name) for text in argv], self.clock.env).seconds

    @contextmanager
    def registry(self) -> Iterator[str]:
        """The name of an image in a fresh registry, which is gone after the block."""
        state = self.work / "registry"
        try:
            with serving(state) as registry:
                yield f"{registry.host}/team/app:1"
        finally:
            shutil.rmtree(state)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with edited_app() as (app, work, clock):
        compare(Bench(app, work, clock), runs)


def compare(bench: Bench, runs: int) -> None:
    layout, app = bench.work / "app.oci", bench.app
    build = ("nix2oci", "build", "-q", "--no-cache", app.installable, "--tag", "app:1")
    copy = ("skopeo", "copy", "--quiet", "--insecure-policy", "--preserve-digests")
    run([*build, "-o", str(layout)], bench.clock.env)
    bench.clock.take()
    size = sum(path.stat().st_size for path in (layout / "blobs/sha256").iterdir())
    source = f"oci:{layout}:1"
    rows: list[tuple[float, ...]] = []
    for number in range(runs + 1):
        app.edit("the first one")
        app.build()
        theirs = bench.timed(*copy, "--dest-tls-verify=false", source, "docker://REF")
        ours = bench.timed("nix2oci", "push", "-q", source, "REF")
        made = bench.made(build)
        both = bench.built([*build, "--push", "REF"], f"edit {number}")
        if number:  # the first one warms the caches of the machine
            rows.append((theirs, ours, *both, made))
    ratios = [first / made for _, _, first, _, made in rows]
    theirs, ours, first, small, _ = map(median, zip(*rows, strict=True))
    print(f"gzip, {size / 1e6:.0f} MB; medians of {runs} runs")
    print(f"push: {ours / theirs:.2f} x skopeo copy, {theirs:.2f} s (bound {BOUND_RATIO})")
    print(f"build --push to an empty repository: {first / theirs:.2f} x that")
    pairs = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
    print(
        f"build --push to an empty repository: {median(ratios):.2f} x making the layout alone "
        f"(bound {BOUND_OF_BOTH}); pairs {pairs}"
    )
    print(
        f"build --push after a change: {small:.2f} s, {small / first:.3f} x the first time; "
        f"read {bench.read['files']} files, {bench.read['bytes']} bytes of NAR, "
        f"sent {bench.read['sent']} bytes"
    )


main()

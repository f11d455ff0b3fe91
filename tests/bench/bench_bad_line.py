"""Pushing over a line that is cut, or that loses requests: `./dev bench-bad-line`.

A layer of 2 GB goes over a line that is cut every 200 MB: to a registry that can say how much it
has, and to docker-registry, which cannot. What counts is that it arrives, and how much is sent for
it. An image of 40 layers goes over a line that loses one
request in three by chance, 20 times. docs/registries.md has the figures.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from real.registries import serving
from support.badline import BadLine, bad_line
from support.fakeregistry import Exchange, FakeRegistry
from support.fakeserver import running
from support.smallimage import VIEW_LAYER, Layer, SmallImage, entry, tar

NIX2OCI = str(Path(sys.executable).with_name("nix2oci"))
LARGE = 2_000_000_000
CUT_EVERY = 200_000_000
BOUND_SENT = 1.2
MANY = 40
LOST = 1 / 3
RUNS = 20
BOUND_SECONDS = 300
_BLOCK = 1 << 20


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bad-line-") as directory:
        work = Path(directory)
        held = [large(work), many(work)]
    sys.exit(0 if all(held) else "a bound does not hold")


@contextmanager
def registry(work: Path) -> Iterator[str]:
    """Where an empty registry is."""
    try:
        with serving(work / "registry") as made:
            yield made.host
    finally:
        shutil.rmtree(work / "registry")


def push(layout: Path, line: BadLine) -> tuple[float, int]:
    """Seconds, and the exit code."""
    begun = datetime.now(UTC)
    argv = (NIX2OCI, "push", "-q", str(layout), f"{line.address}/team/app:1")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip())
    return (datetime.now(UTC) - begun).total_seconds(), done.returncode


def large(work: Path) -> bool:
    layout = SmallImage().write(work / "large")
    size = with_large_layer(layout)
    with registry(work) as host:
        held = [sent_once(layout, size, BadLine(host, CUT_EVERY, each=True), "docker-registry")]
    with running(FakeRegistry()) as fake:
        fake.script(".*", ".*", forgetful, always=True)
        held += [sent_once(layout, size, BadLine(fake.registry, CUT_EVERY), "one that continues")]
    shutil.rmtree(layout)
    return all(held)


def forgetful(exchange: Exchange) -> None:
    """Keep no record of bodies: these are large."""
    exchange.proceed()
    exchange.registry.seen.clear()


def sent_once(layout: Path, size: int, line: BadLine, name: str) -> bool:
    with bad_line(line):
        seconds, code = push(layout, line)
    ratio = line.sent / size
    counted = "each connection" if line.each else "the line"
    print(
        f"{name}: {size / 1e9:.1f} GB, {counted} cut every {CUT_EVERY / 1e6:.0f} MB, "
        f"{line.cuts} times: exit code {code}, {ratio:.3f} times its bytes sent "
        f"(bound {BOUND_SENT}), {seconds:.0f} s",
        flush=True,
    )
    return code == 0 and ratio < BOUND_SENT


def with_large_layer(layout: Path) -> int:
    """Replace the first layer by one of `LARGE` bytes, whose content nobody looks at; its size."""
    blobs = layout / "blobs/sha256"
    digest, part = hashlib.sha256(), os.urandom(_BLOCK)
    path = blobs / "large"
    with path.open("wb") as file:
        for number in range(LARGE // _BLOCK):
            block = number.to_bytes(8, "big") + part[8:]
            digest.update(block)
            file.write(block)
    size = path.stat().st_size
    path.rename(blobs / digest.hexdigest())
    index = json.loads((layout / "index.json").read_text())
    (described,) = index["manifests"]
    manifest = json.loads((blobs / described["digest"][7:]).read_text())
    manifest["layers"][0] |= {"digest": f"sha256:{digest.hexdigest()}", "size": size}
    data = json.dumps(manifest).encode()
    described |= {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
    (blobs / described["digest"][7:]).write_bytes(data)
    (layout / "index.json").write_text(json.dumps(index))
    return size


def many(work: Path) -> bool:
    layers = [Layer(tar(entry(f"file-{n}", os.urandom(100_000)))) for n in range(MANY - 1)]
    layout = SmallImage(layers=(*layers, VIEW_LAYER)).write(work / "many")
    codes, times, requests, lost = [], [], 0, 0
    for seed in range(RUNS):
        with registry(work) as host, bad_line(BadLine(host, lost=LOST, seed=seed)) as line:
            seconds, code = push(layout, line)
        codes.append(code)
        times.append(seconds)
        requests, lost = requests + line.requests, lost + line.cuts
    print(
        f"{MANY} layers, {lost} of {requests} requests lost: {codes.count(0)} of {RUNS} arrived, "
        f"{min(times):.0f} to {max(times):.0f} s (bound {BOUND_SECONDS} s)"
    )
    return not any(codes) and max(times) < BOUND_SECONDS


if __name__ == "__main__":
    main()

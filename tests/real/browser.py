"""A headless Chromium: what it makes of a page, what it says, and what it looks like."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # What the browser wants for itself is not looked for.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    # Files are of one origin, so that a page can click in another.
    *("--enable-logging=stderr", "--virtual-time-budget=5000", "--allow-file-access-from-files"),
)
_ITSELF = "not an origin"
"""Whom the browser's net log names as the initiator of what no page asked for."""

CONSOLE = re.compile(r"CONSOLE[^\]]*\] (.*)")


@dataclass(frozen=True, slots=True)
class Seen:
    """A page after its scripts: its DOM, its console, the addresses that it asked for."""

    dom: str
    console: tuple[str, ...]
    requests: frozenset[str]


@dataclass(frozen=True, slots=True)
class Picture:
    """The pixels of a screenshot, each three bytes."""

    width: int
    height: int
    pixels: tuple[bytes, ...]

    @property
    def brightness(self) -> float:
        """The mean, 0 is black and 255 white."""
        return sum(map(sum, self.pixels)) / (3 * len(self.pixels))


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser with a directory of its own, which is fresh."""

    home: Path

    def see(self, file: Path, fragment: str = "") -> Seen:
        log = self.home / "net.json"
        done = self._run(file, fragment, "--dump-dom", f"--log-net-log={log}")
        found = tuple(CONSOLE.findall(done.stderr))
        return Seen(done.stdout, found, _requests(json.loads(log.read_bytes())))

    def picture(self, file: Path, size: tuple[int, int], *, dark: bool) -> Picture:
        """A screenshot, which stays as `shot.png` in the directory."""
        shot = self.home / "shot.png"
        theme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        window = f"--window-size={size[0]},{size[1]}"
        self._run(file, "", f"--screenshot={shot}", theme, window)
        return read_png(shot.read_bytes())

    def _run(self, file: Path, fragment: str, *flags: str) -> subprocess.CompletedProcess[str]:
        profile = f"--user-data-dir={self.home / 'profile'}"
        argv = ["chromium", *FLAGS, profile, *flags, file.as_uri() + fragment]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done


def _requests(log: Any) -> frozenset[str]:
    """The addresses of a net log that a page had asked for, not the browser itself."""
    params = (event.get("params", {}) for event in log["events"])
    return frozenset(
        each["url"]
        for each in params
        if "url" in each and each.get("initiator", _ITSELF) != _ITSELF
    )


def read_png(data: bytes) -> Picture:
    """A PNG of 8 bits in each of three or four channels, not interlaced, as browsers write it."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + data[at + 8 : at + 8 + length]
        at += length + 12
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, interlace) == (8, 0)
    channels = {2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(chunks[b"IDAT"]), width * channels
    pixels: list[bytes] = []
    above = bytearray(stride)
    for number in range(height):
        start = number * (stride + 1)
        above = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], above, channels)
        pixels += (bytes(above[x : x + 3]) for x in range(0, stride, channels))
    return Picture(width, height, tuple(pixels))


def _unfiltered(kind: int, line: bytes, above: bytearray, channels: int) -> bytearray:
    """A line of pixels: PNG specification, 9.2."""
    out = bytearray(line)
    for x in range(len(out)):
        left = out[x - channels] if x >= channels else 0
        up, corner = above[x], above[x - channels] if x >= channels else 0
        match kind:
            case 1:
                out[x] = (out[x] + left) & 255
            case 2:
                out[x] = (out[x] + up) & 255
            case 3:
                out[x] = (out[x] + (left + up) // 2) & 255
            case 4:
                out[x] = (out[x] + _paeth(left, up, corner)) & 255
    return out


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min(
        (abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner)
    )[2]

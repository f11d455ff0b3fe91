"""In what machines differ, as one value: the only module that asks which machine this is.

Images are of Linux, and so are most machines that make them. Whatever has to be done otherwise
elsewhere has a field here and is switched by that field alone; nobody else asks for the name of
an operating system. What can be tried and fails cleanly, such as a lock or a link, needs no field.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from msgspec import Struct

_PROCESSORS: Mapping[str, str] = {
    "arm64": "aarch64",
    "amd64": "x86_64",
    "ppc64le": "powerpc64le",
    "armv8l": "armv7l",
    **dict.fromkeys(("i386", "i486", "i586"), "i686"),
}
"""What systems call processors for which Nix has another name."""


class Differences(Struct, frozen=True):
    """A machine, as far as anything depends on it. No byte of an image does."""

    processor: str
    """As Nix calls it: `x86_64`, `aarch64`."""
    cores: int
    """Processors that this process may use: those of its affinity where the system has that."""
    runs_linux: bool
    """Whether it starts Linux programs, so that Nix may build for Linux on it."""
    forks: bool
    """Whether a forked child may go on without another program: macOS ends it where one of its
    frameworks was used before, as Python itself does to look up proxies."""
    has_ficlone: bool
    """Whether there is ioctl_ficlone(2); the file system says whether it can do it."""
    case_hack: bool
    """Whether names that differ in case alone are one file to most file systems, so that Nix
    writes the second one as `NAME~nix~case~hack~1`: what `use-case-hack` is by default."""

    @classmethod
    def of(cls, system: str, machine: str, cores: int) -> Differences:
        """By the names that uname(2) has for the operating system and the processor."""
        return cls(
            processor=_PROCESSORS.get(machine, machine),
            cores=cores,
            runs_linux=system == "Linux",
            forks=system == "Linux",
            has_ficlone=system == "Linux",
            case_hack=system == "Darwin",
        )

    @property
    def linux(self) -> str:
        """The Nix system whose programs an engine on this machine runs: Linux, its processor."""
        return f"{self.processor}-linux"


@functools.cache
def here() -> Differences:
    """The machine that this runs on."""
    found = os.uname()
    return Differences.of(found.sysname, found.machine, _cores())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

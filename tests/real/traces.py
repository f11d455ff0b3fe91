"""What strace saw."""

import re
from collections.abc import Callable
from pathlib import Path


def opened(trace: Path, ours: Callable[[str], bool]) -> set[str]:
    """The files of the store that our own processes opened, directories left out."""
    found = set()
    programs: dict[str, str] = {}
    call = re.compile(r'^(\d+) +(execve|openat|open)\([^"]*"([^"]+)", ?(.*)$')
    for line in trace.read_text().splitlines():
        if match := call.match(line):
            process, name, path, rest = match.groups()
            if name == "execve":
                programs[process] = path
            elif ours(programs.get(process, "")) and rest.rstrip().rpartition("= ")[2].isdigit():
                found.add(path)
    return {p for p in found if p.startswith("/nix/store/") and not Path(p).is_dir()}

"""What strace saw."""

import re
from collections import Counter
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


def times_opened(trace: Path, ours: Callable[[str], bool]) -> Counter[str]:
    """How often our own processes opened each file of the store.

    Where the trace has `clone`, `clone3`, `fork` and `vfork`, a child is what its parent is until
    it executes something.
    """
    found: Counter[str] = Counter()
    programs: dict[str, str] = {}
    call = re.compile(r'^(\d+) +(execve|openat)\([^"]*"([^"]+)"')
    born = re.compile(r"^(\d+) +(?:<\.\.\. )?(?:clone3?|v?fork)\b.* = (\d+)$")
    lines = trace.read_text().splitlines()
    parents = {
        child: parent
        for match in map(born.match, lines)
        if match
        for parent, child in [match.groups()]
    }

    def program(process: str) -> str:
        while process not in programs and process in parents:
            process = parents[process]
        return programs.get(process, "")

    for line in lines:
        if match := call.match(line):  # a call that is interrupted has its end on another line
            process, name, path = match.groups()
            if name == "execve":
                programs[process] = path
            elif path.startswith("/nix/store/") and ours(program(process)):
                found[path] += 1
    return Counter({path: times for path, times in found.items() if Path(path).is_file()})

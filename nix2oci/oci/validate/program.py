"""Whether the program of an image can be started: what the kernel would say before it runs.

The one place for it: `validate` asks it of layers, a build of what is to become layers. What is
not known, such as the first bytes of a hard link, is nothing that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.model.links import At, Resolved
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.interpreter import Start
from nix2oci.text import display

AT_RUN_TIME = (b"/proc/", b"/dev/", b"/sys/", b"/run/", b"/var/run/")
"""What is below these is there when a container runs."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines take when the configuration has no PATH."""

_DEPTH = 5
"""As many interpreters of interpreters as Linux follows (execve(2))."""

_MOST = 16
"""Files that are looked at: more than a few are rare, and no image is to make it long."""

_MOST_DIRECTORIES = 1000
"""As many of PATH are looked into."""


class Files(Protocol):
    """The files of an image."""

    def resolve(self, path: bytes) -> Resolved:
        """Where an absolute path leads to, all links followed."""

    def is_executable(self, path: bytes) -> bool:
        """Whether a regular file, by a path without links, may be executed."""

    def start(self, path: bytes) -> Start | None:
        """How the kernel starts that file; None where it takes it for no program."""


Behind = Callable[[bytes], bytes | None]
"""The program that a launcher or another wrapper at a path starts, where that is known."""


class Command(Struct, frozen=True):
    """What an image starts: the program first, where it is started, and where it is looked for."""

    argv: tuple[str, ...]
    working_dir: str = ""
    search_path: str = DEFAULT_PATH


def command_of(argv: tuple[str, ...], working_dir: str, variables: Mapping[str, str]) -> Command:
    """What a configuration starts."""
    return Command(argv, working_dir, variables.get("PATH", DEFAULT_PATH))


class Fault(Struct, frozen=True):
    """What keeps a program from being started."""

    code: str
    """Of `finding.RULES`."""
    where: str
    """The file that cannot be started; `config` for the program that it names."""
    message: str
    missing: bytes = b""
    """What the image would have to have."""
    is_nowhere: bool = False
    """Whether nothing is at that path, so that a volume may bring it."""

    @property
    def finding(self) -> Finding:
        return Finding(self.code, self.where, self.message)


def program_fault(
    files: Files,
    command: Command,
    behind: Behind = lambda _: None,
    *,
    code: str = "entrypoint",
) -> Fault | None:
    """What keeps the program of an image, or what that starts first, from being started.

    `code` is the rule for one that is not there; another rule is for its interpreter.
    """
    if not command.argv:
        return None
    name = command.argv[0]
    found = [files.resolve(path) for path in _places(name, command)]
    there = [each for each in found if each.exists]
    programs = [each.path for each in there if _is_program(files, each)]
    if not there:
        return Fault(code, "config", f"'{name}' is not in the image")
    if not programs:
        return Fault(code, "config", f"'{name}' is not an executable file")
    if files.start(programs[0]) is None:
        message = f"'{name}' is no program: neither ELF nor a script that begins with '#!'"
        return Fault(code, "config", message)
    return _fault(files, programs[0], command.search_path, behind)


def program_of(files: Files, command: Command) -> bytes | None:
    """The file that an engine starts, all links followed; None where there is none."""
    found = (files.resolve(path) for path in _places(command.argv[0], command))
    return next((each.path for each in found if _is_program(files, each)), None)


def interpreter_fault(files: Files, program: bytes, interpreter: bytes) -> Fault | None:
    """What is wrong with the interpreter of a file alone."""
    is_there = interpreter.startswith(AT_RUN_TIME) or files.resolve(interpreter).exists
    if not interpreter.startswith(b"/"):
        return _of(program, f"its interpreter '{display(interpreter)}' is no absolute path")
    what = f"its interpreter '{display(interpreter)}' is not in the image"
    return None if is_there else replace(_of(program, what, interpreter), is_nowhere=True)


def _of(program: bytes, message: str, missing: bytes = b"") -> Fault:
    return Fault("interpreter", display(program), message, missing)


def _fault(files: Files, program: bytes, path: str, behind: Behind) -> Fault | None:
    """The first file on the way that cannot be started; nobody's way is longer than `_MOST`."""
    queue, seen = [program], set[bytes]()
    while queue and len(seen) < _MOST:
        program = queue.pop(0)
        if program in seen:
            continue
        seen.add(program)
        fault, following = _started_by(files, program, path)
        if target := None if fault else behind(program):
            found = files.resolve(target)
            following.append(found.path)
            if not _is_program(files, found):
                what = f"it starts '{display(target)}', which is no executable file of the image"
                fault = _of(program, what)
        if fault:
            return fault
        queue += following
    return None


def _started_by(files: Files, program: bytes, path: str) -> tuple[Fault | None, list[bytes]]:
    """What is wrong with the interpreter of a file, and the programs that it means."""
    start = files.start(program) or Start()
    interpreter, shown = start.interpreter, display(start.interpreter)
    fault = interpreter_fault(files, program, interpreter) if interpreter else None
    if fault or not interpreter or interpreter.startswith(AT_RUN_TIME):
        return fault, []
    found = files.resolve(interpreter)
    if not _is_program(files, found):
        return _of(program, f"its interpreter '{shown}' is not an executable file"), []
    if _too_many(files, program):
        return _of(program, f"more than {_DEPTH} scripts interpret each other"), []
    following = [found.path] if start.is_script else []  # a loader has no other one
    if name := _looked_for(start):
        there = _search(files, name, path)
        if there is None:
            return _of(program, f"its interpreter '{shown}' finds no '{display(name)}'", name), []
        following.append(there)
    return None, following


def _too_many(files: Files, program: bytes) -> bool:
    """Whether the kernel gives up on the way from script to script (ELOOP)."""
    for _ in range(_DEPTH + 1):
        start = files.start(program)
        if start is None or not start.is_script:
            return False
        program = files.resolve(start.interpreter).path
    return True


def _is_program(files: Files, found: Resolved) -> bool:
    return found.at is At.FILE and files.is_executable(found.path)


def _looked_for(start: Start) -> bytes | None:
    """What `env` looks for in PATH, where that is plain: `#!/usr/bin/env bash`, `env -S A=b sh -e`.

    Without -S all that follows is one name (env(1)).
    """
    if start.interpreter.rpartition(b"/")[2] != b"env" or not start.argument:
        return None
    name, split = start.argument, start.argument.removeprefix(b"-S")
    if split != name:
        words = split.split()
        name = next((word for word in words if b"=" not in word), b"")
    is_plain = name and not name.startswith(b"-") and not any(char in name for char in b"=\\'\"$")
    return name if is_plain else None


def _search(files: Files, name: bytes, path: str) -> bytes | None:
    """The program that a name means, by execvp(3)."""
    directories = [directory.encode(errors="surrogateescape") for directory in _directories(path)]
    places = [name] if b"/" in name else [directory + b"/" + name for directory in directories]
    found = (files.resolve(place) for place in places)
    return next((each.path for each in found if _is_program(files, each)), None)


def _places(name: str, command: Command) -> list[bytes]:
    """Where an engine looks for a program: PATH when there is no slash in its name."""
    if "/" not in name:
        found = [f"{directory}/{name}" for directory in _directories(command.search_path)]
    else:
        found = [name if name.startswith("/") else f"{command.working_dir or '/'}/{name}"]
    return [path.encode(errors="surrogateescape") for path in found]


def _directories(path: str) -> list[str]:
    return path.split(":", _MOST_DIRECTORIES)[:_MOST_DIRECTORIES]

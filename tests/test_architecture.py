"""The rules of the house, read from the source: who imports whom, and who touches the outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest
from support import covered

import nix2oci

TOP = Path(nix2oci.__file__).parent

# What each room may import. `nix`, `plan` and `oci` share values, never each other's work:
# `plan.tree` has entries, `plan.view` the survey's values, `nix.closure` the graph, and
# `plan.hashparts` says what in any bytes refers to a store path. The command
# line may import everything, and nobody imports it.
ROOMS: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "plan": frozenset({"errors", "plan", "nix.closure"}),
    "nix": frozenset({"errors", "nix", "plan.shell", "plan.tree", "plan.view", "plan.wrappers"}),
    "oci": frozenset({"errors", "oci", "plan.hashparts", "plan.tree"}),
    "cache": frozenset(
        {"errors", "cache", "oci.layer", "oci.share", "oci.spec", "oci.tar", "oci.workers"}
    ),
    "config": frozenset(
        {"errors", "config", "oci.layer", "oci.reference", "oci.spec"}
        | {"plan.accounts", "plan.shell", "plan.view"}
    ),
    "describe": frozenset(
        {"errors", "config", "nix", "oci.reference", "oci.spec"}
        | {"plan.layering", "plan.tree", "plan.view"}
    ),
    "planning": frozenset(
        {"errors", "base", "cache", "config", "describe", "nix", "plan", "templates"}
    ),
    "build": frozenset(
        {"amounts", "errors", "base", "cache", "config", "describe", "nix", "oci", "plan"}
        | {"planning", "twin"}
    ),
    # What an image and its base decide together: the base is read by `oci`, laid under by `plan`.
    "base": frozenset({"errors", "config", "nix.closure", "oci", "plan"}),
    "twin": frozenset({"errors", "nix", "oci", "plan.debug", "plan.tree"}),
    "platforms": frozenset({"build", "config", "errors", "nix.cli", "plan.layering", "planning"})
    | frozenset({"oci.index", "oci.layout", "oci.reference", "oci.spec"}),
    "templates": frozenset({"errors", "plan.launcher"}),
    "amounts": frozenset(),
    "page": frozenset({"amounts", "page"}),
    "subject": frozenset({"errors", "planning", "nix", "oci", "plan"}),
    "report": frozenset(
        {"base", "build", "nix.closure", "oci.inherit", "oci.layer", "oci.spec", "plan"}
        | {"planning", "platforms", "twin"}
    ),
}

# Who may use what is not ours.
THIRD_PARTY: Mapping[str, frozenset[str]] = {
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "yaml": frozenset({"config"}),
    "deflate": frozenset({"oci.layer"}),
    "zstandard": frozenset({"oci.layer", "oci.validate.unpack"}),
    "magic": frozenset({"oci.kind"}),
    "pylibmagic": frozenset({"oci.kind"}),
    "urllib3": frozenset({"oci.registry.transport"}),
}

# What reaches the outside, or differs from one run to the next, and who may have it.
OUTSIDE: Mapping[str, frozenset[str]] = {
    # Credential helpers are programs; engines are spoken to by the commands that users set up.
    "subprocess": frozenset({"nix.cli", "nix.child", "nix.surroundings"})
    | frozenset({"oci.registry.helpers", "oci.runtimes"}),
    "secrets": frozenset({"oci.staging"}),
    **dict.fromkeys(("random", "uuid", "time", "locale", "getpass", "socket"), frozenset()),
    "multiprocessing": frozenset({"oci.workers"}),
    **dict.fromkeys(("http", "urllib.request", "asyncio"), frozenset()),
}

# The standard library that cannot read a file, a clock or the environment.
PURE = frozenset(
    {"__future__", "base64", "binascii", "collections", "dataclasses", "enum", "functools"}
    | {"graphlib", "hashlib", "heapq", "html", "itertools", "math", "operator", "posixpath", "re"}
    | {"json", "struct", "typing"}
)
PURE_MODULES = ("plan", "page", "amounts", "nix.closure", "errors")

# Only the command line has these.
FOR_THE_COMMAND_LINE = frozenset(
    {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.chdir", "os._exit", "os.abort"}
    | {"sys.exit", "sys.argv", "sys.stdin", "sys.stdout", "sys.stderr"}
    | {"print", "input", "exit", "quit", "breakpoint", "SystemExit"}
)
NOW = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today"})
STARTS_A_PROGRAM = ("os.system", "os.popen", "os.exec", "os.spawn", "os.posix_spawn", "os.fork")
NOT_IN_PURE = frozenset(
    {"open", "print", "input", "exec", "eval", "__import__", "hashlib.file_digest"}
    | {
        f"posixpath.{name}"
        for name in ("exists", "lexists", "isfile", "isdir", "islink", "ismount")
    }
    | {f"posixpath.{name}" for name in ("abspath", "realpath", "expanduser", "expandvars")}
    | {f"posixpath.{name}" for name in ("getsize", "getmtime", "samefile", "relpath")}
)

MOST_LINES_OF_A_MODULE = 350
MOST_LINES_OF_A_FUNCTION = 60


@dataclass(frozen=True)
class Module:
    """A module by its name within the package: `oci.tar`; the package itself is `""`."""

    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """The absolute name of every module that is imported, anywhere in the file."""
        return tuple(self._imports())

    def _imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: a relative import"
                assert node.module is not None
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                submodules = {name for name in inner if is_module(name)}
                yield from submodules
                if len(submodules) < len(inner):
                    yield node.module

    def ours(self) -> Iterator[str]:
        """What is imported of the package, by its name within it."""
        for name in self.imports:
            if name == "nix2oci" or name.startswith("nix2oci."):
                yield name.removeprefix("nix2oci").removeprefix(".")

    def names(self) -> Iterator[str]:
        """Every `name` and `name.attribute` that is used."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"


def is_module(name: str) -> bool:
    at = TOP.parent.joinpath(*name.split("."))
    return name.startswith("nix2oci.") and (
        at.with_suffix(".py").is_file() or at.joinpath("__init__.py").is_file()
    )


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(TOP.rglob("*.py")):
        parts = path.relative_to(TOP).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, text, ast.parse(text)))
    return tuple(found)


def within(name: str, rooms: frozenset[str] | tuple[str, ...]) -> bool:
    return any(name == room or (room and name.startswith(room + ".")) for room in rooms)


def test_the_source_is_where_it_is_looked_for() -> None:
    assert {"build", "nix.store", "oci.tar", "plan.layering"} <= {m.name for m in modules()}


def test_every_module_is_in_a_room_with_rules() -> None:
    assert {module.room for module in modules()} - {"", "cli"} <= set(ROOMS)


def test_rooms_import_only_what_they_may() -> None:
    wrong = [
        f"{module.name} imports {name or 'nix2oci'}"
        for module in modules()
        if module.room not in ("", "cli")
        for name in module.ours()
        if not within(name, ROOMS.get(module.room, frozenset()))
    ]
    assert wrong == []


def test_no_room_may_import_what_it_does_not_need() -> None:
    """The table says what is, so that a new edge is a decision."""
    unused = [
        f"{room} does not import {name or 'nix2oci'}"
        for room in sorted({module.room for module in modules()} & set(ROOMS))
        for name in ROOMS[room] - {room}
        if not any(within(used, (name,)) for m in modules() if m.room == room for used in m.ours())
    ]
    assert unused == []


def test_other_peoples_code_is_used_in_one_place() -> None:
    ours_or_python = sys.stdlib_module_names | {"nix2oci"}
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        for name in module.imports
        if (top := name.partition(".")[0]) not in ours_or_python
        and not within(module.name, THIRD_PARTY.get(top, frozenset()))
    ]
    assert wrong == []


def test_few_modules_reach_the_outside() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        for name in module.imports
        for banned, allowed in OUTSIDE.items()
        if within(name, (banned,)) and not within(module.name, allowed | {"cli"})
    ]
    assert wrong == []


def test_few_modules_start_programs() -> None:
    wrong = [
        f"{module.name} uses {name}"
        for module in modules()
        for name in module.names()
        if name.startswith(STARTS_A_PROGRAM)
        or (name.startswith("subprocess.") and not within(module.name, OUTSIDE["subprocess"]))
    ]
    assert wrong == []


def test_only_the_command_line_prints_reads_the_environment_or_exits() -> None:
    wrong = [
        f"{module.name} uses {name}"
        for module in modules()
        if module.room != "cli"
        for name in module.names()
        if name in FOR_THE_COMMAND_LINE or name in NOW
    ]
    assert wrong == []


def test_plans_are_pure() -> None:
    wrong = [
        f"{module.name} uses {name}"
        for module in modules()
        if within(module.name, PURE_MODULES)
        for name in (
            *(n for n in module.imports if n.partition(".")[0] not in PURE | {"nix2oci"}),
            *(n for n in module.names() if n in NOT_IN_PURE),
        )
    ]
    assert wrong == []


def test_a_module_is_short() -> None:
    lengths = {module.name: len(module.text.splitlines()) for module in modules()}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES_OF_A_MODULE} == {}


def test_a_function_is_short() -> None:
    functions = {
        f"{module.name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: n for name, n in functions.items() if n > MOST_LINES_OF_A_FUNCTION} == {}
    assert len(functions) > 100


def test_every_module_says_what_it_is_for() -> None:
    assert [module.name for module in modules() if not ast.get_docstring(module.tree)] == []


LOOK = """
import sys
from nix2oci.cli import main
sys.argv = ["nix2oci", *sys.argv[1:]]
try:
    main()
except SystemExit as err:
    code = err.code or 0
else:
    code = 0
print(code, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_loads_nothing_that_it_does_not_need(argument: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, argument], env=covered.unmeasured(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, *loaded = done.stderr.split()
    assert (code, done.stdout[:7]) == ("0", "Usage: " if argument == "--help" else "nix2oci")
    heavy = {"yaml", "zstandard", "deflate", "magic", "rich", "subprocess", "concurrent", "urllib3"}
    assert heavy & set(loaded) == set()
    assert ("click" in loaded) == (argument != "--help")

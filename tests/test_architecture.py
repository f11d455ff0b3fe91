"""The rules of the house, read from the source: who imports whom, and who touches the outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from support import covered
from support.paths import TESTS

import nix2oci

TOP = Path(nix2oci.__file__).parent

# A room imports rooms of the levels before its own, and itself: `nix`, `plan` and `oci` share
# values and import nothing of each other, and nobody imports the command line.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "text"}),
    frozenset({"host"}),
    frozenset({"wrappers"}),
    frozenset({"launcher", "model"}),
    frozenset({"nix", "plan", "oci"}),
    frozenset({"cache", "config", "trust"}),
    frozenset({"pipeline"}),
    frozenset({"publish", "compare"}),
    frozenset({"report"}),
    frozenset({"cli"}),
)

# The same within the command line: a command is made of steps, and these print.
CLI_LEVELS = ("context", "render", "steps", "commands")

MAX_ROOMS = 16
FILES_OF_THEIR_OWN = frozenset({"errors", "text"})
MAX_LINES_OF_A_ROOM = 3500
LARGE_ROOMS = frozenset({"nix", "oci"})
# They grow by a file for each verb, group of flags or part of a page, and are read one at a time.
ROOMS_OF_THEIR_OWN = ("cli.commands", "config.options", "report.page")

# Who may use what is not ours.
THIRD_PARTY: Mapping[str, frozenset[str]] = {
    "msgspec": frozenset[str]().union(*LEVELS),  # every room has values
    "click": frozenset({"cli", "config.options"}),
    "rich": frozenset({"cli"}),
    "yaml": frozenset({"config"}),
    "deflate": frozenset({"oci.layer.blob"}),
    "zstandard": frozenset({"oci.layer.blob", "oci.layer.unpack", "nix.binary_caches.decompress"})
    | frozenset({"oci.layer.chunk_compressor", "oci.layer.table_of_contents"}),
    "fastcrc": frozenset({"oci.layer.chunked", "oci.validate.tar_facts", "oci.layout.checksum"}),
    "cryptography": frozenset({"trust.signing_keys", "nix.binary_caches.public_keys"}),
    "magic": frozenset({"oci.file_type"}),
    "pylibmagic": frozenset({"oci.file_type"}),
    "urllib3": frozenset({"host.http.transport", "host.http.connections"}),
}

# What reaches the outside, or differs from one run to the next, and who may have it.
OUTSIDE: Mapping[str, frozenset[str]] = {
    # Credential helpers are programs; engines are spoken to by the commands that users set up.
    "subprocess": frozenset({"nix.process", "nix.host", "host.children"})
    | frozenset({"oci.registry.helpers", "oci.engines"}),
    **dict.fromkeys(("secrets", "random", "uuid", "locale", "getpass"), frozenset()),
    # How long a program may take that answers in pieces, how often a worker reports and a bar is
    # drawn; no time
    # reaches an image by that.
    "time": frozenset({"oci.registry.helpers", "host.children", "host.forked", "host.sharing"})
    | frozenset({"cli.render.console"}),
    "socket": frozenset({"host.http.addresses", "host.http.connections"})
    | frozenset({"host.http.socks", "host.http.transport"}),
    "multiprocessing": frozenset({"host.forked"}),
    "http": frozenset({"host.http.connections"}),
    **dict.fromkeys(("urllib.request", "asyncio"), frozenset()),
}

# The standard library that cannot read a file, a clock or the environment.
PURE = frozenset(
    {"__future__", "base64", "binascii", "collections", "msgspec", "enum", "functools"}
    | {"graphlib", "hashlib", "heapq", "html", "itertools", "math", "operator", "posixpath", "re"}
    | {"json", "struct", "typing"}
)
PURE_MODULES = (
    *("errors", "text", "model", "wrappers", "launcher", "plan"),
    *(
        "compare.chains",
        "compare.difference",
        "compare.shared_layers",
        "report.page",
        "report.terminal",
    ),
)

# Only the command line has these, and of it the start of the program and `context` alone.
CONTEXT = frozenset({"cli", "cli.context"})
FOR_THE_COMMAND_LINE = frozenset(
    {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.chdir", "os._exit", "os.abort"}
    | {"sys.exit", "sys.argv", "sys.stdin", "sys.stdout", "sys.stderr", "sys.__stdout__"}
    | {"os.get_terminal_size", "os.isatty"}
    | {"print", "input", "exit", "quit", "breakpoint", "SystemExit"}
)
# Which machine this is, as far as it matters, is one value.
DIFFERENCES = "host.differences"
WHICH_MACHINE = frozenset(
    {"os.uname", "os.name", "os.cpu_count", "os.sched_getaffinity", "sys.platform", "platform"}
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
    """A module by its name within the package: `oci.layer.tar`; the package itself is `""`."""

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
    expected = {"pipeline.build", "nix.store", "oci.layer.tar", "plan.layers.layering"}
    assert expected <= {module.name for module in modules()}


def test_there_are_few_rooms_and_each_has_its_level() -> None:
    rooms = {module.room for module in modules()} - {""}
    assert rooms == frozenset().union(*LEVELS)
    assert len(rooms - FILES_OF_THEIR_OWN) <= MAX_ROOMS


def test_a_room_imports_only_rooms_below_it() -> None:
    below = {
        room: frozenset({room}).union(*LEVELS[:number])
        for number, level in enumerate(LEVELS)
        for room in level
    }
    wrong = [
        f"{module.name} imports {name or 'nix2oci'}"
        for module in modules()
        if module.room not in ("", "cli")
        for name in module.ours()
        if name.partition(".")[0] not in below[module.room]
    ]
    assert wrong == []


def test_the_page_knows_nothing_but_its_document() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        if within(module.name, ("report.page",))
        for name in module.ours()
        if not within(name, ("report.page", "text"))
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    """An import that is for types alone counts, and so does one inside a function."""
    graph = {module.name: set(module.ours()) for module in modules()}
    for name, imported in graph.items():
        # Importing a.b.c runs a/__init__.py and a/b/__init__.py first.
        for other in tuple(imported):
            packages = {other[:at] for at, c in enumerate(other) if c == "."}
            imported |= {p for p in packages if not within(name, (p,))}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as err:
        pytest.fail(" -> ".join(err.args[1]))


def test_a_room_is_small_enough_to_know() -> None:
    lines = Counter[str]()
    for module in modules():
        apart = (room for room in ROOMS_OF_THEIR_OWN if within(module.name, (room,)))
        lines[next(apart, module.room)] += len(module.text.splitlines())
    assert {
        room: n for room, n in lines.items() if n > MAX_LINES_OF_A_ROOM and room not in LARGE_ROOMS
    } == {}


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
        if within(name, (banned,)) and not within(module.name, allowed | {"cli.context"})
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


def test_one_module_reads_the_environment_the_machine_and_the_streams() -> None:
    wrong = [
        f"{module.name} uses {name}"
        for module in modules()
        if module.name not in CONTEXT
        for name in module.names()
        if name in FOR_THE_COMMAND_LINE or name in NOW
    ]
    assert wrong == []


def test_one_module_asks_which_machine_this_is() -> None:
    asking = {
        module.name
        for module in modules()
        if WHICH_MACHINE & {*module.imports, *(n for n in module.names() if "." in n)}
    }
    assert asking == {DIFFERENCES}


def test_one_module_prints() -> None:
    printing = {module.name for module in modules() if {"click.echo"} & set(module.names())}
    assert printing == {"cli.render.console"}


def test_the_command_line_imports_in_one_direction() -> None:
    levels = {f"cli.{part}": level for level, part in enumerate(CLI_LEVELS)}

    def level(name: str) -> int | None:
        return next((levels[part] for part in levels if within(name, (part,))), None)

    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        for name in module.ours()
        if (mine := level(module.name)) is not None
        and name.startswith("cli")
        and ((theirs := level(name)) is None or theirs > mine)
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


START = "import sys; from nix2oci.cli import main; sys.argv[0] = 'nix2oci'; main()"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_loads_nothing_that_it_does_not_need(argument: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", START, argument], env=covered.unmeasured(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.stdout[:7] == ("Usage: " if argument == "--help" else "nix2oci")
    heavy = {"yaml", "zstandard", "deflate", "magic", "rich", "subprocess", "concurrent", "urllib3"}
    assert heavy & loaded == set()
    assert ("click" in loaded) == (argument != "--help")


# --- the tests -----------------------------------------------------------------------------------


def imported(path: Path) -> Iterator[str]:
    """The modules, and names of modules, that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_test(module: str) -> bool:
    return any(part.startswith("test_") or part == "conftest" for part in module.split(".")[:-1])


def test_what_counts_as_a_test_file() -> None:
    assert is_test("real.test_run.start")
    assert is_test("test_run.start")
    assert not is_test("support.terminal.test_name")


def test_no_file_of_the_tests_imports_a_test_file() -> None:
    """What several of them need is in `support`, or beside the real tests."""
    wrong = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported(path)
        if is_test(name) or is_test(f"{name}.")
    ]
    assert wrong == []


def test_test_files_are_in_the_folder_of_what_they_are_about() -> None:
    """Beside the rooms of the package there are few other folders, and few files above all."""
    folders = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("*/test_*.py")}
    assert folders - {module.room for module in modules()} == {"bench", "fuzz", "real", "support"}
    assert {path.name for path in TESTS.glob("test_*.py")} == {
        *("test_architecture.py", "test_docs.py", "test_errors.py", "test_text.py"),
        *("test_coverage_rooms.py", "test_pictures.py", "test_requirements.py", "test_site.py"),
    }


def test_every_test_file_has_a_name_of_its_own() -> None:
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert {name: times for name, times in names.items() if times > 1} == {}

"""What names mean in a Python module: what is imported under them, and what is made there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

STANDARD = frozenset(sys.stdlib_module_names) | frozenset(
    [
        "aifc",
        "annotationlib",
        "asynchat",
        "asyncore",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "compression",
        "crypt",
        "distutils",
        "imghdr",
        "imp",
        "lib2to3",
        "mailcap",
        "msilib",
        "nis",
        "nntplib",
        "ossaudiodev",
        "pipes",
        "smtpd",
        "sndhdr",
        "spwd",
        "sunau",
        "telnetlib",
        "uu",
        "xdrlib",
    ]
)
"""What any Python from 3.11 on has, so that all of them say the same of a closure."""

_STANDS_FOR = frozenset({"os", "subprocess", "pty", "asyncio", "posix", "commands"})
"""Modules that others are taken for by the same name: `from gevent import subprocess`."""

_STARRED = {
    "os": ("system", "popen"),
    "subprocess": (
        *("getoutput", "getstatusoutput"),
        *("Popen", "run", "call", "check_call", "check_output"),
    ),
}
"""What `import *` brings of them."""

_KEEP_NAMES = frozenset(
    {"property", "staticmethod", "classmethod", "abstractmethod", "overload", "wraps", "override"}
    | {"cached_property", "lru_cache", "cache", "setter", "getter", "deleter", "contextmanager"}
    | {"asynccontextmanager", "total_ordering", "final", "coroutine", "singledispatch"}
)
"""Decorators after which a function is called by its own name as before."""

_OF_A_TEST = ("test", "setUp", "tearDown")
"""What of a test case is called though nothing names it (unittest.TestCase)."""

_PLAIN_BASES = frozenset(
    {"object", "Generic", "Protocol", "ABC", "NamedTuple", "TypedDict", "Enum"}
)


class Names(Struct, frozen=True):
    """What a module imports, and what its names mean: `sp` is `subprocess` after an `import … as`.

    `mappings` are names that a function gets as `**kwargs`, or that are made a dictionary here.
    """

    meanings: Mapping[str, str]
    imports: tuple[tuple[int, str, tuple[str, ...], bool], ...]
    modules: frozenset[str]
    mappings: frozenset[str]

    @classmethod
    def of(cls, tree: ast.Module) -> Names:
        found = _Found(unguarded=frozenset(map(id, tree.body)))
        for node in statements(tree):
            found.add(node)
        for node in found.aliases:
            found.alias(node)
        imports = tuple((*each, guarded) for each, guarded in found.imports.items())
        modules = frozenset(found.modules)
        return cls(found.meanings, imports, modules, frozenset(found.mappings))

    def resolve(self, node: ast.AST) -> str:
        """The dotted name that an expression is by what is imported; empty for anything else."""
        return _resolve(node, self.meanings)

    def is_called_unnamed(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, of_class: ast.ClassDef | None
    ) -> bool:
        """Whether something else than its name may lead to a function."""
        if node.name.startswith("__") and node.name.endswith("__"):
            return True
        if any(_last(each) not in _KEEP_NAMES for each in node.decorator_list):
            return True
        outside = [*filter(self._is_outside, of_class.bases)] if of_class else []
        of_tests = all(_last(base).endswith("TestCase") for base in outside)
        return bool(outside) and (not of_tests or node.name.startswith(_OF_A_TEST))

    def _is_outside(self, base: ast.expr) -> bool:
        """Whether a class is of the standard library, which calls methods that it knows."""
        name = self.resolve(base)
        return name.partition(".")[0] in STANDARD and _last(base) not in _PLAIN_BASES


class _Found(Struct):
    """What the statements of a module say of its names."""

    meanings: dict[str, str] = field(default_factory=dict)
    imports: dict[tuple[int, str, tuple[str, ...]], bool] = field(default_factory=dict)
    unguarded: frozenset[int] = frozenset()
    """The identities of statements that are done whenever the module is."""
    modules: set[str] = field(default_factory=set)
    mappings: set[str] = field(default_factory=set)
    aliases: list[ast.Assign] = field(default_factory=list)

    def add(self, node: ast.stmt) -> None:
        match node:
            case ast.Import(names=names):
                for each in names:
                    self._imported(node, (0, each.name, ()))
                    whole = each.name if each.asname else each.name.partition(".")[0]
                    self.meanings[each.asname or whole] = whole
                    self.modules.add(each.name.partition(".")[0])
            case ast.ImportFrom():
                self._import_from(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.args.kwarg:
                self.mappings.add(node.args.kwarg.arg)
            case ast.Assign(targets=[ast.Name()]):
                self.aliases.append(node)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        names = tuple(each.name for each in node.names)
        self._imported(node, (node.level, module, names))
        self.modules.add("" if node.level else module.partition(".")[0])
        if names == ("*",):
            self.meanings |= {name: f"{module}.{name}" for name in _STARRED.get(module, ())}
        for each in node.names:
            known = each.name in _STANDS_FOR
            self.modules.update({each.name} if known else ())
            meaning = f"{'.' if node.level else ''}{module}.{each.name}"
            self.meanings[each.asname or each.name] = each.name if known else meaning

    def _imported(self, node: ast.stmt, found: tuple[int, str, tuple[str, ...]]) -> None:
        guarded = id(node) not in self.unguarded
        self.imports[found] = self.imports.get(found, True) and guarded

    def alias(self, node: ast.Assign) -> None:
        """A name that is given a module, or a dictionary that is made there."""
        target = node.targets[0]
        assert isinstance(target, ast.Name)
        if _makes_mapping(node.value):
            self.mappings.add(target.id)
        elif (meaning := _resolve(node.value, self.meanings)) in _STANDS_FOR:
            self.meanings.setdefault(target.id, meaning)


def _makes_mapping(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _last(node.func) in ("dict", "pop") and not node.args
    return isinstance(node, ast.Dict)


def _last(node: ast.AST) -> str:
    match node:
        case ast.Call(func=func):
            return _last(func)
        case ast.Subscript(value=value):
            return _last(value)
        case ast.Attribute(attr=attr):
            return attr
        case ast.Name(id=name):
            return name
    return ""


def _resolve(node: ast.AST, meanings: Mapping[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return meanings.get(name, name if name in ("getattr", "vars", "__import__") else "")
        case ast.Attribute(value=value, attr=attr):
            base = _resolve(value, meanings)
            return f"{base}.{attr}" if base else ""
        case ast.Call(args=[ast.Constant(value=str(module)), *_], func=func):
            by_name = _last(func) in ("__import__", "import_module")
            return module if by_name and module in _STANDS_FOR else ""
        case ast.Subscript(value=value, slice=ast.Constant(value=str(module))):
            return module if _resolve(value, meanings) == "sys.modules" else ""
    return ""


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements below a node, those of functions and classes included."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for each in getattr(node, name, ()):
            if isinstance(each, ast.stmt):
                yield each
            yield from statements(each)


def is_never_on_linux(test: ast.expr, names: Names) -> bool:
    """A condition that asks for another system by what the standard library calls it."""
    match test:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[ast.Constant(value=str(value))]):
            name = names.resolve(left.func if isinstance(left, ast.Call) else left)
            own = {"sys.platform": "linux", "os.name": "posix", "platform.system": "Linux"}.get(
                name
            )
            return own is not None and value != own
        case ast.Call(
            func=ast.Attribute(value=value, attr="startswith"), args=[ast.Constant(value=str(text))]
        ):
            return names.resolve(value) == "sys.platform" and not "linux".startswith(text)
    return False


def is_main(node: ast.AST) -> bool:
    """`if __name__ == "__main__":`."""
    match node:
        case ast.If(test=ast.BoolOp(op=ast.And(), values=tests)):
            return any(map(_asks_for_main, tests))
        case ast.If(test=test):
            return _asks_for_main(test)
    return False


def _asks_for_main(test: ast.expr) -> bool:
    if not isinstance(test, ast.Compare):
        return False
    sides = (test.left, *test.comparators)
    texts = [getattr(side, "id", None) or text_of(side) for side in sides]
    return "__name__" in texts and "__main__" in texts


def text_of(node: ast.AST | None) -> str | None:
    """A text that is written there; of a list its first."""
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        return text_of(node.elts[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

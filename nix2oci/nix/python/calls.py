"""What a Python module calls that starts a shell, what it imports, and which names its parts use.

Read from the syntax tree, of what is written: nothing is run and no value is followed. What starts
a shell is told by the standard library's names. A call with a value that is not written there is
told as well, as one that is not judged.
"""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from nix2oci.nix.python.bindings import Names, is_main, is_never_on_linux, text_of
from nix2oci.nix.python.doors import (
    BY_NAME,
    DOORS,
    MODULES,
    SHELLS,
    UNMISTAKABLE,
    WORDS,
    is_users_shell,
    starts_program,
)
from nix2oci.nix.python.module import Import, Module, Scope, Site

_IMPORTS = ("import_module", "__import__")
_PLUGINS = frozenset({"entry_points", "iter_entry_points", "load_entry_point", "get_entry_map"})
_OPTION = re.compile(rb"[\"'](--[a-z][a-z-]+)[\"']")
_GROUP = re.compile(r"[A-Za-z][\w.-]{2,60}")
_SHELL_ARGUMENT = 8
"""Where `Popen` has `shell` among its arguments by position."""


def read_module(source: bytes) -> Module | None:
    """What a module is; None for what is no Python that this Python can read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    try:
        return replace(_Reader(tree).read(), options=_options(source))
    except RecursionError:
        return None


def _options(source: bytes) -> tuple[str, ...]:
    return tuple(sorted({found.decode() for found in _OPTION.findall(source)}))


class _Reader:
    """One pass over a tree; a plain class, since it grows while it reads."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.names = Names.of(tree)
        self.sites: list[Site] = []
        self.scopes: list[tuple[str, int, bool, set[str]]] = []
        self.starts_programs = bool(self.names.modules & {"subprocess", "os", "asyncio", "pty"})
        self.computed = self.asks_for_plugins = False
        self.attributes: set[str] = set()

    def read(self) -> Module:
        module, main = self._scope("", -1, always=True), self._scope("__main__", 0, always=False)
        for node in self.tree.body:
            self._visit(node, main if is_main(node) else module, None)
        known = {name for name, *_ in self.scopes} | self.names.meanings.keys()
        scopes = (
            Scope(n, p, a, " ".join(sorted(each for each in names if self._may_lead(each, known))))
            for n, p, a, names in self.scopes
        )
        imports = tuple(Import(*found) for found in self.names.imports)
        return Module(imports, tuple(scopes), tuple(self.sites), self.computed, self._groups())

    def _may_lead(self, name: str, known: Collection[str]) -> bool:
        """Whether a name may be that of a function: here, imported, or an attribute's."""
        is_attribute = name.startswith(".") or "::" in name or name in self.attributes
        return is_attribute or name in known or "*" in self.names.meanings

    def _groups(self) -> tuple[str, ...]:
        """The texts of a module that asks for plugins: an empty one, and groups among others."""
        if not self.asks_for_plugins:
            return ()
        words = filter(None, map(text_of, ast.walk(self.tree)))
        return ("", *sorted({each for each in words if _GROUP.fullmatch(each)}))

    def _scope(self, name: str, parent: int, *, always: bool) -> int:
        self.scopes.append((name, parent, always, set()))
        return len(self.scopes) - 1

    def _visit(self, node: ast.AST, scope: int, of_class: ast.ClassDef | None) -> None:
        read = _READ.get(type(node))
        if read is not None and read(self, node, scope, of_class):
            return
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                for part in value:
                    if isinstance(part, ast.AST):
                        self._visit(part, scope, of_class)
            elif isinstance(value, ast.AST) and type(value) not in _LEAVES:
                self._visit(value, scope, of_class)

    def _all(self, nodes: Iterable[ast.AST], scope: int, of_class: ast.ClassDef | None) -> None:
        for node in nodes:
            self._visit(node, scope, of_class)

    def function_(self, node: ast.AST, scope: int, of_class: ast.ClassDef | None) -> bool:
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        inner = self._scope(
            f".{node.name}" if of_class else node.name,
            scope,
            always=self.names.is_called_unnamed(node, of_class),
        )
        self._all((*node.decorator_list, node.args), scope, None)
        self._all(node.body, inner, None)
        return True

    def class_(self, node: ast.AST, scope: int, _: ast.ClassDef | None) -> bool:
        assert isinstance(node, ast.ClassDef)
        self._all((*node.decorator_list, *node.bases, *node.keywords), scope, None)
        self._all(node.body, scope, node)
        return True

    def import_(self, node: ast.AST, scope: int, _: ast.ClassDef | None) -> bool:
        """A function that is used by another name is one that is used."""
        assert isinstance(node, ast.Import | ast.ImportFrom)
        renamed = {each.name for each in node.names if each.asname not in (None, each.name)}
        self.attributes.update(renamed)
        self.scopes[scope][3].update(renamed)
        return True

    def if_(self, node: ast.AST, scope: int, of_class: ast.ClassDef | None) -> bool:
        assert isinstance(node, ast.If)
        if is_never_on_linux(node.test, self.names):
            self._all(node.orelse, scope, of_class)
            return True
        return False

    def name_(self, node: ast.AST, scope: int, of_class: ast.ClassDef | None) -> bool:
        assert isinstance(node, ast.Name)
        if type(node.ctx) is ast.Load:
            self.scopes[scope][3].update((node.id, f".{node.id}") if of_class else (node.id,))
            if node.id in self.names.meanings:
                self._reference(node, scope)
        return True

    def attribute_(self, node: ast.AST, scope: int, _: ast.ClassDef | None) -> bool:
        assert isinstance(node, ast.Attribute)
        used = self.scopes[scope][3]
        used.add(f".{node.attr}")
        base = self.names.resolve(node.value)
        is_local = isinstance(node.value, ast.Name) and node.value.id not in ("self", "cls")
        if self.computed and is_local and not base:
            used.add(node.attr)
            self.attributes.add(node.attr)
        elif base:
            used.add(f"{base.rpartition('.')[2]}::{node.attr}")
        self._reference(node, scope)
        return False

    def compare_(self, node: ast.AST, scope: int, of_class: ast.ClassDef | None) -> bool:
        """A function that is compared is not called."""
        assert isinstance(node, ast.Compare)
        sides = (node.left, *node.comparators)
        self._all((s for s in sides if self.names.resolve(s) not in DOORS), scope, of_class)
        return True

    def mapping_(self, node: ast.AST, scope: int, _: ast.ClassDef | None) -> bool:
        if isinstance(node, ast.Dict):
            self._shell_of(node.keys, node.values, node, scope)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            self._shell_of([node.targets[0].slice], [node.value], node, scope)
        return False

    def _found(self, node: ast.AST, what: str, scope: int, *, certain: bool) -> None:
        self.sites.append(Site(getattr(node, "lineno", 0), what, certain, scope))

    def _reference(self, node: ast.Name | ast.Attribute, scope: int) -> None:
        """A function that starts a shell, named: called here, or handed on."""
        name = self.names.resolve(node)
        by_name = isinstance(node, ast.Attribute) and node.attr in BY_NAME
        if self._is_of_unknown_module(node):
            self._found(node, f"….{_last(node)}", scope, certain=False)
        elif name in DOORS or by_name:
            self._found(node, name if name in DOORS else _last(node), scope, certain=True)
        elif name.rpartition(".")[0] in MODULES and name.endswith(".__dict__"):
            self._found(node, name, scope, certain=False)

    def call_(self, node: ast.AST, scope: int, _: ast.ClassDef | None) -> bool:
        assert isinstance(node, ast.Call)
        self._called(node, scope)
        return False

    def _is_of_unknown_module(self, node: ast.AST) -> bool:
        """`.system` of what may be a module that was imported by a computed name."""
        if not (isinstance(node, ast.Attribute) and node.attr in UNMISTAKABLE):
            return False
        match node.value:
            case ast.Call(func=func, args=[first, *_]):
                is_import = _last(func) in _IMPORTS
                return is_import and not isinstance(first, ast.Constant)
            case ast.Name(id=name):
                is_known = name in ("self", "cls") or name in self.names.meanings
                return self.computed and not is_known
        return False

    def _called(self, node: ast.Call, scope: int) -> None:
        name = self.names.resolve(node.func)
        last = name.rpartition(".")[2] or _last(node.func)
        first = node.args[0] if node.args else None
        self._text(node, last, text_of(first) or "", scope)
        if last in ("getattr", "vars", "attrgetter", "methodcaller", "hasattr"):
            self._by_name(node, last, scope)
        if last in _IMPORTS:
            self.computed |= not isinstance(first, ast.Constant)
        self.asks_for_plugins |= last in _PLUGINS
        starts = starts_program(name)
        for keyword in node.keywords:
            if keyword.arg == "shell":
                self._shell(keyword.value, node, scope, known=starts)
            elif keyword.arg is None and starts:
                self._unpacked(keyword.value, node, scope)
        if starts:
            self._program(node, name, first, scope)

    def _program(self, node: ast.Call, name: str, first: ast.expr | None, scope: int) -> None:
        """What a function of the standard library is given to start."""
        if not name.startswith("os.") and len(node.args) > _SHELL_ARGUMENT:
            self._shell(node.args[_SHELL_ARGUMENT], node, scope, known=True)
        if (word := text_of(first)) and posixpath.basename(word) in SHELLS:
            self._found(node, f"{name}({word!r}, …)", scope, certain=True)
        elif first is not None and is_users_shell(first):
            self._found(node, "$SHELL", scope, certain=False)
        elif name == "pty.spawn" and not isinstance(first, ast.List | ast.Tuple):
            self._found(node, name, scope, certain=False)

    def _text(self, node: ast.Call, last: str, text: str, scope: int) -> None:
        """Code in a text."""
        if last in ("exec", "eval") and WORDS.search(text):
            self._found(node, f"{last}(…)", scope, certain=False)

    def _by_name(self, node: ast.Call, last: str, scope: int) -> None:
        """`getattr(os, …)`; what is written there counts as a name that is used."""
        words = [word for arg in node.args[last == "getattr" :] if (word := text_of(arg))]
        begun = _beginning(node.args[1]) if len(node.args) > 1 else ""
        named = words or ([f"{begun}*"] if len(begun) > 2 else [])
        self.attributes.update(named)
        self.scopes[scope][3].update(named, (f".{name}" for name in named))
        of = self.names.resolve(node.args[0]) if node.args else ""
        if of not in MODULES or last not in ("getattr", "vars"):
            return
        if last == "getattr" and words:
            if f"{of}.{words[0]}" in DOORS:
                self._found(node, f"{of}.{words[0]}", scope, certain=True)
        elif last == "vars" or any(door.startswith(f"{of}.{begun}") for door in DOORS):
            self._found(node, f"{last}({of}, …)", scope, certain=False)

    def _shell(self, value: ast.AST | None, node: ast.AST, scope: int, *, known: bool) -> None:
        """`shell=` of a call; of one that is not known only where it is switched on."""
        if isinstance(value, ast.Constant):
            if value.value is True or (known and value.value):
                self._found(node, "shell=True", scope, certain=True)
        elif known or self._hands_on(value):
            self._found(node, "shell=…", scope, certain=False)

    def _hands_on(self, value: ast.AST | None) -> bool:
        """Whether a function that is not known may hand `shell` on to one that starts programs."""
        return "subprocess" in self.names.modules and not isinstance(value, ast.Attribute)

    def _shell_of(
        self, keys: Iterable[ast.AST | None], values: Iterable[ast.AST], node: ast.AST, scope: int
    ) -> None:
        """`{"shell": True}`, as it is given on with `**`."""
        if "subprocess" in self.names.modules:
            for key, value in zip(keys, values, strict=True):
                if text_of(key) == "shell" and not (
                    isinstance(value, ast.Constant) and not value.value
                ):
                    self._found(node, "'shell': …", scope, certain=_is_true(value))

    def _unpacked(self, value: ast.AST, node: ast.AST, scope: int) -> None:
        """`**` of anything but what the function was given, or what is made in this file."""
        if isinstance(value, ast.Dict) or (
            isinstance(value, ast.Name) and value.id in self.names.mappings
        ):
            return
        self._found(node, "**…", scope, certain=False)

    def words_(self, node: ast.AST, scope: int, _: ast.ClassDef | None) -> bool:
        """`["sh", "-c", …]`, where programs are started in the file."""
        assert isinstance(node, ast.List | ast.Tuple)
        if node.elts and self.starts_programs and is_users_shell(node.elts[0]):
            self._found(node, "$SHELL", scope, certain=False)
        words = [text_of(each) or "" for each in node.elts[:2]]
        is_shell = len(words) > 1 and posixpath.basename(words[0]) in SHELLS
        if is_shell and words[1].startswith("-") and "c" in words[1] and self.starts_programs:
            self._found(node, f"[{words[0]!r}, {words[1]!r}, …]", scope, certain=True)
        return False


_Read = Callable[[_Reader, ast.AST, int, ast.ClassDef | None], bool]
_READ: dict[type[ast.AST], _Read] = {
    ast.FunctionDef: _Reader.function_,
    ast.AsyncFunctionDef: _Reader.function_,
    ast.ClassDef: _Reader.class_,
    ast.Import: _Reader.import_,
    ast.ImportFrom: _Reader.import_,
    ast.If: _Reader.if_,
    ast.Name: _Reader.name_,
    ast.Attribute: _Reader.attribute_,
    ast.Call: _Reader.call_,
    ast.Compare: _Reader.compare_,
    ast.Dict: _Reader.mapping_,
    ast.Assign: _Reader.mapping_,
    ast.List: _Reader.words_,
    ast.Tuple: _Reader.words_,
}
"""What is done with each kind of node, before what is in it; whether that was all of it."""

_LEAVES = frozenset({ast.Load, ast.Store, ast.Del, ast.Constant})


def _is_true(value: ast.AST) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _beginning(node: ast.AST) -> str:
    """What a text begins with that is put together: `visit_` of `"visit_" + name`."""
    if isinstance(node, ast.BinOp):
        node = node.left
    elif isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    else:
        return ""
    return (text_of(node) or "").partition("%")[0]


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")

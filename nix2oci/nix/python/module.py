"""What is kept of a Python module that was read: values, as small as they can be."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct


class Site(Struct, frozen=True, array_like=True):
    """A call that starts a shell, or may: then `certain` is false.

    `line` counts from 1, `what` is the call as people write it, `scope` the place among the scopes.
    """

    line: int
    what: str
    certain: bool
    scope: int


class Scope(Struct, frozen=True, array_like=True):
    """The module, or a function in it: its name, whose number is that of the scope around it.

    `always` is for what is called by no name: a module, a method that a library outside calls, a
    function that a decorator takes. `names` are those that it uses, with a space between: of an
    attribute with a dot before it, and `module::name` where it may be a module's. The name of a
    method has a dot.
    """

    name: str
    parent: int
    always: bool
    names: str


class Import(Struct, frozen=True, array_like=True):
    """`from ..module import names`; level 0 is an absolute name (the import statement).

    `guarded` is one that may fail, or never be done: in a `try`, a condition or a function.
    """

    level: int
    module: str
    names: tuple[str, ...] = ()
    guarded: bool = False


class Module(Struct, frozen=True, array_like=True):
    """A module as far as it is asked here.

    `computed`: it imports by a name that is not written in it. `plugins` are texts of one that asks
    for what installed packages register, groups of entry points among them (importlib.metadata).
    `options` are texts such as `--exec`. The scope 0 is the module itself, 1 what is
    done only where the file is the program.
    """

    imports: tuple[Import, ...] = ()
    scopes: tuple[Scope, ...] = ()
    sites: tuple[Site, ...] = ()
    computed: bool = False
    plugins: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


MAIN = 1
"""The scope of what is done only where the file is the program."""


def is_whole(module: Module) -> bool:
    """Whether a module is one that was read, and no note of something else."""
    scopes = len(module.scopes)
    around = all(scope.parent < at for at, scope in enumerate(module.scopes))
    return scopes > MAIN and around and all(0 <= site.scope < scopes for site in module.sites)


def all_sites(module: Module) -> Iterator[tuple[Site, tuple[str, ...]]]:
    """Each site with the names of the functions that it is in, the outermost first."""
    for site in module.sites:
        names: list[str] = []
        at = site.scope
        while at > 0:
            names.insert(0, module.scopes[at].name.lstrip("."))
            at = module.scopes[at].parent
        yield site, tuple(names)

"""What of a closure is the application: the outputs that were named, and what is theirs alone.

Who builds an image of an environment (buildEnv, symlinkJoin, withPackages) names links, and the
program that changes with every commit is what these lead to. A graph says what refers to what, and
the name of each path: packages of a distribution have a version in it, what a flake makes for
itself mostly has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.package_name import PackageName

_ENVIRONMENT = re.compile(
    r"(?:^|-)(?:env|environment)(?:-|$)|-(?:with|and)-(?:packages|extensions|plugins|addons)(?:-|$)"
)
"""How nixpkgs' functions, and people, name environments."""
_WRAPPER = frozenset({"wrapped", "wrapper", "with"})
"""Words of a name that say that a program is somebody else's, and only got something to it."""
_LARGE = 32 << 20
"""Bytes of NAR of a path with a version that is left to the planner, which gives it a layer of its
own: it may be a program of somebody else that only got a wrapper, and is not to move with that."""


def application(closure: Closure) -> frozenset[StorePath]:
    """The roots, and of each that is an environment what is the user's own in it.

    That are paths without a version that nothing else refers to, and what only these refer to in
    the same way. Where there is none it is the path that has the name of the environment, else the
    only one that refers to anything, unless it is large.
    """
    own = set(closure.roots)
    may_be = _environments(closure)
    environments = [root for root in closure.roots if may_be(root)]
    users = _users(closure) if environments else {}
    for each in environments:  # which may have others in it
        found = _without_version(closure, users, own, each)
        found = found or _with_version(closure, users, own, each)
        own |= found
        environments += [path for path in sorted(found) if may_be(path)]
    return frozenset(own)


def _environments(closure: Closure) -> Callable[[StorePath], bool]:
    """Whether a path may only lead to the application: by its name, and by its size.

    That it has no version says something where others have one.
    """
    half = closure.nar_size / 2
    others = [bool(_version(other)) for other in closure.infos.keys() - {*closure.roots}]
    most_have = sum(others) * 2 >= len(others) > 0

    def may_be(path: StorePath) -> bool:
        named = not _version(path) or _ENVIRONMENT.search(path.name)
        if not named or closure.infos[path].nar_size > half:
            return False
        return most_have or any(map(_version, closure.references(path)))

    return may_be


def _version(path: StorePath) -> str:
    return PackageName.parse(path.name).version


def _users(closure: Closure) -> dict[StorePath, set[StorePath]]:
    """What refers to each path, directly."""
    users: dict[StorePath, set[StorePath]] = {path: set() for path in closure}
    for path in closure:
        for other in closure.references(path):
            users[other].add(path)
    return users


def _without_version(
    closure: Closure,
    users: dict[StorePath, set[StorePath]],
    own: Collection[StorePath],
    environment: StorePath,
) -> set[StorePath]:
    """Paths that have no version and that only the application refers to."""
    found: set[StorePath] = set()
    for path in reversed(closure.references_first()):  # what refers to a path comes before it
        below = users[path] & {environment, *found}
        if below and path not in own and not _version(path) and users[path] <= {*own, *found}:
            found.add(path)
    return found


def _with_version(
    closure: Closure,
    users: dict[StorePath, set[StorePath]],
    own: Collection[StorePath],
    environment: StorePath,
) -> set[StorePath]:
    """The path of an environment that is what it is about."""
    alone = [
        path
        for path in closure.references(environment)
        if path not in own and users[path] <= set(own)
    ]
    data = [path for path in alone if not closure.references(path)]
    named = [path for path in alone if _is_named(environment, path, beside={*data} - {path})]
    if not named and _ENVIRONMENT.search(environment.name):
        named = [path for path in alone if path not in data]
        named = named if len(named) == 1 else []
    return {path for path in named if closure.infos[path].nar_size < _LARGE}


def _is_named(environment: StorePath, path: StorePath, beside: Collection[StorePath]) -> bool:
    """Whether an environment has the name of a path, and is no mere wrapper around it.

    The very same name is one where there is data `beside` the path, and no version: that would be
    the interpreter's, of which `python3-3.13.12-env` is one.
    """
    whole, part = (PackageName.parse(each.name).package.split("-") for each in (environment, path))
    more = whole[len(part) :]
    is_longer = bool(more) and not _WRAPPER & {*more}
    is_same = not more and bool(beside) and not _version(environment)
    return whole[: len(part)] == part and (is_longer or is_same)

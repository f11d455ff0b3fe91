"""What a call of a shell is for, as far as names tell: an option, or who calls the function."""

from __future__ import annotations

import re
from functools import cache

from nix2oci.nix.python.reach import Reached

_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SHORT = 4


class Features:
    """What calls of one closure are for; a plain class, since it remembers."""

    def __init__(self, reached: Reached) -> None:
        self.reached = reached
        self.options = cache(self._options)

    def of(self, path: bytes, names: tuple[str, ...]) -> str:
        """`'--exec'` or `hooks`, or the function itself.

        It is an option of the same package with the name of the module or of the function, else
        the module that uses the function.
        """
        words = _words(path, names)
        exact = [each for each in self.options(_top(path)) if each[2:] in words]
        return f"'{exact[0]}'" if exact else _user(self.reached, path, names) or ".".join(names)

    def _options(self, top: bytes) -> tuple[str, ...]:
        """Those of all modules of a store path."""
        modules = self.reached.modules
        found = {each for path in modules if _top(path) == top for each in modules[path].options}
        return tuple(sorted(found))


def _top(path: bytes) -> bytes:
    return b"/".join(path.split(b"/")[:4])


def _words(path: bytes, names: tuple[str, ...]) -> set[str]:
    stem = path.removesuffix(b"/__init__.py").rpartition(b"/")[2].decode("latin-1")
    stem = stem.removesuffix(".py")
    parts = {part.lower() for name in (stem, *names) for part in _PART.findall(name)}
    return {part for part in parts if len(part) >= _SHORT}


def _user(reached: Reached, path: bytes, names: tuple[str, ...]) -> str:
    """The module that uses the outermost function, where it is another one and the only one."""
    if not names:
        return ""
    users, of_module = set(), f"::{names[0]}"
    for other, module in reached.modules.items():
        used = (each for at in reached.live[other] for each in module.scopes[at].names.split())
        if other != path and any(n == names[0] or n.endswith(of_module) for n in used):
            users.add(other.rpartition(b"/")[2].decode("latin-1").removesuffix(".py"))
    return users.pop() if len(users) == 1 else ""

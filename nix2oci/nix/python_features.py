"""What a call of a shell is for, as far as names tell: an option, or who calls the function."""

from __future__ import annotations

import re

from nix2oci.nix.python_reach import Reached
from nix2oci.nix.store_files import StoreFiles

_OPTION = re.compile(rb"[\"'](--[a-z][a-z-]+)[\"']")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SHORT = 4


def feature_of(files: StoreFiles, reached: Reached, path: bytes, names: tuple[str, ...]) -> str:
    """`'--exec'` or `hooks`, or the function itself.

    It is an option of the same package with the name of the module or of the function, else the
    module that uses the function.
    """
    words = _words(path, names)
    top = b"/".join(path.split(b"/")[:4]) + b"/"
    options: set[str] = set()
    for other in reached.modules:
        if other.startswith(top):
            real, _ = files.follow(b"", other)
            with open(files.content(real), "rb") as file:
                options.update(found.decode() for found in _OPTION.findall(file.read()))
    exact = sorted(option for option in options if option[2:] in words)
    if exact:
        return f"'{exact[0]}'"
    return _user(reached, path, names) or ".".join(names)


def _words(path: bytes, names: tuple[str, ...]) -> set[str]:
    stem = path.rpartition(b"/")[2].decode("latin-1").removesuffix(".py")
    parts = {part.lower() for name in (stem, *names) for part in _PART.findall(name)}
    return {part for part in parts if len(part) >= _SHORT}


def _user(reached: Reached, path: bytes, names: tuple[str, ...]) -> str:
    """The module that uses the outermost function, where it is another one and the only one."""
    if not names:
        return ""
    name = names[0]
    users = set()
    for other, module in reached.modules.items():
        used = (module.scopes[at].names.split() for at in reached.live[other])
        if other != path and any(name in each for each in used):
            users.add(other.rpartition(b"/")[2].decode("latin-1").removesuffix(".py"))
    return users.pop() if len(users) == 1 else ""

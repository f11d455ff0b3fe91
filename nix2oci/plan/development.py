"""Development files in a closure: compilers, headers, and the outputs that only builds need.

They come by an accident, such as a path to a compiler in a program's debug information, and are
large. Names and references tell: of a recorded closure there is nothing else. What is not sure is
not told.
"""

from __future__ import annotations

import re

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.package_name import PackageName

_COMPILERS = frozenset({"cargo", "clang", "gcc", "ghc", "go", "rustc"})
"""Not all of them refer to a C library with the headers of a kernel, as most compilers do."""
_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")
"""Of `gcc-13.2.0`, not of `gcc-12-base-12.2.0`, which is a package of Debian that has no files."""


def development_files(closure: Closure) -> tuple[StorePath, ...]:
    """Compilers, headers and `-dev` outputs, the largest first.

    None where one of them is what was named: who builds an image of a compiler knows.
    """
    names = {path: PackageName.parse(path.name) for path in closure}
    headers = {path for path, name in names.items() if _are_headers(name)}
    kernels = {path for path, name in names.items() if name.package.endswith("-headers")}
    systems = {path for path in headers if kernels & {*closure.references(path)}}
    compilers = {
        path
        for path, name in names.items()
        if not name.output and (systems & {*closure.references(path)} or _is_named_compiler(name))
    }
    found = headers | compilers
    if found & {*closure.roots}:
        return ()
    return tuple(sorted(found, key=lambda path: (-closure.infos[path].nar_size, path)))


def _are_headers(name: PackageName) -> bool:
    return name.output == "dev" or name.package.endswith(("-headers", "-dev"))


def _is_named_compiler(name: PackageName) -> bool:
    return name.package in _COMPILERS and bool(_RELEASE.fullmatch(name.version))

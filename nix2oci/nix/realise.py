"""What `nix build` is asked for, and which paths of its answer belong to which package.

The hard part is that Nix answers by derivation, in an order of its own, and to 2.12 with all
outputs of each.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from msgspec import Struct

from nix2oci.errors import NixError, NixOutputError, StoreError
from nix2oci.model.closure import StorePath
from nix2oci.nix.json_output import Realised
from nix2oci.nix.package import BuildTarget, Package, resolve

# By derivation, then by output; a store path that was named as such is its own output "".
Outputs = Mapping[str, Mapping[str, StorePath | None]]


class Built(Struct, frozen=True):
    """What became of one package.

    `roots` are the store paths that the image has to hold: the outputs of the package, in
    the order of their names in `wanted`, then that of its app's program. `program` is the
    absolute path of the latter, `""` when there is no app.
    """

    package: Package
    roots: tuple[StorePath, ...]
    program: str


def operands(packages: Sequence[Package], *, exact: bool) -> tuple[str, ...]:
    """The installables for one `nix build`; `exact` when it knows `x.drv^out`.

    Without, a derivation stands for all of its outputs.
    """
    wanted: dict[str, set[str]] = {}
    for package in packages:
        for one in package.wanted + package.program_wanted:
            wanted.setdefault(one.path, set()).update(one.outputs)
    return tuple(
        f"{path}^{'*' if '*' in outputs else ','.join(sorted(outputs))}"
        if outputs and exact
        else path
        for path, outputs in wanted.items()
    )


def has_outputs(packages: Sequence[Package]) -> bool:
    """Whether outputs of derivations are wanted, and not store paths alone."""
    return any(one.outputs for each in packages for one in each.wanted + each.program_wanted)


def outputs_of(answer: Sequence[Realised]) -> Outputs:
    """All that an answer says of each derivation, and of each path."""
    outputs: dict[str, dict[str, StorePath | None]] = {}
    for realised in answer:
        key = realised.drv or str(realised.outputs[""])
        outputs.setdefault(key, {}).update(realised.outputs)
    return outputs


def any_lost(packages: Sequence[Package], root: str) -> bool:
    """Whether the store below `root` no longer has one of the derivations of packages."""
    return any(
        not os.path.lexists(root + wanted.path)
        for package in packages
        if package.installable.kind != "path"
        for wanted in package.wanted + package.program_wanted
    )


def assign(package: Package, outputs: Outputs) -> Built:
    """The part of an answer that is for a package.

    Raises `StoreError` when an output has no path, `NixOutputError` when the answer lacks
    what was asked for, `NixError` when the program of an app is in none of them.
    """
    roots = [path for wanted in package.wanted for path in _paths(wanted, outputs)]
    if not package.program:
        return Built(package, tuple(dict.fromkeys(roots)), "")
    made = {
        wanted.path: dict(zip(_names(wanted, outputs), _paths(wanted, outputs), strict=True))
        for wanted in package.program_wanted
    }
    program = resolve(package.program, made)
    for paths in made.values():
        for path in paths.values():
            if f"{program}/".startswith(f"{path}/"):
                return Built(package, tuple(dict.fromkeys([*roots, path])), program)
    raise NixError(
        f"cannot use the app '{package.installable.text}': its program '{program}' is not in the "
        "store",
        hint='write it as "${package}/bin/name"',
    )


def absent(built: Sequence[Built], root: str) -> StorePath | None:
    """The first path of packages that is not below `root`, as `NixClient.physical` has it."""
    paths = (path for one in built for path in one.roots)
    return next((path for path in paths if not os.path.lexists(f"{root}{path}")), None)


def _names(wanted: BuildTarget, outputs: Outputs) -> tuple[str, ...]:
    if not wanted.outputs:
        return ("",)
    if wanted.outputs == ("*",):
        return tuple(sorted(outputs.get(wanted.path, {})))
    return wanted.outputs


def _paths(wanted: BuildTarget, outputs: Outputs) -> tuple[StorePath, ...]:
    if wanted.path not in outputs:
        raise NixOutputError(f"cannot read `nix build` output: it says nothing about {wanted.path}")
    found: list[StorePath] = []
    for name in _names(wanted, outputs):
        path = outputs[wanted.path].get(name)
        if path is None:
            raise StoreError(
                f"cannot build {wanted.path}: Nix gave no path for its output '{name}'"
            )
        found.append(path)
    return tuple(found)

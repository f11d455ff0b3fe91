"""What a name in front of an installable means: an input of the flake, as it is locked.

The lock is that of `nix flake metadata`, after every option was heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from nix2oci.errors import NixError
from nix2oci.nix.flake_reference import Attributes, reference, within
from nix2oci.nix.installable import Installable, asks_more, registry_name
from nix2oci.nix.json_output import read_json, unknown_shape
from nix2oci.nix.messages import redact
from nix2oci.nix.options import values_of

if TYPE_CHECKING:
    from nix2oci.nix.client import NixClient


def as_locked(nix: NixClient, installable: Installable, main: Installable | None) -> Installable:
    """An installable beside the main one, with what the name in front of it means.

    That is an input of a flake of `--inputs-from`, else one of the flake of `main`, as locked;
    else what the flake registry of this machine says, and then `became` has it. Raises `NixError`
    for an input that cannot be named outside of its flake, and what goes wrong with Nix.
    """
    ref, _, query = installable.flake_ref.partition("?")
    if installable.kind != "flake" or ref.startswith((".", "/")):
        return installable
    if main and installable.flake_ref == main.flake_ref:
        return installable
    flakes = [Installable(text, "flake", flake_ref=text) for text in _inputs_from(nix)]
    flakes += [main] if main and main.kind == "flake" else []
    name = ref.removeprefix("flake:")
    for flake in flakes if ":" not in name and not asks_more(ref) else ():
        metadata = nix.metadata(flake)
        if name in inputs(metadata):
            reference = input_reference(metadata, name, query) or flake.flake_ref
            return replace(installable, flake_ref=reference, is_input=reference != flake.flake_ref)
    if not registry_name(installable.flake_ref):
        return installable
    return replace(installable, became=locked_reference(nix.metadata(installable)))


def all_unpinned(installables: Iterable[Installable]) -> list[str]:
    """A warning about each that only the flake registry of this machine knows."""
    found = {each for each in installables if each.became}
    return [unpinned(each) for each in sorted(found, key=lambda each: each.text)]


def unpinned(installable: Installable) -> str:
    """What to say of an installable that only the flake registry of this machine knows."""
    name = registry_name(installable.flake_ref)
    return (
        f"warning: {installable.text} is not pinned: only the flake registry of this machine "
        f"knows '{name}', today as {installable.became}"
    )


def _inputs_from(nix: NixClient) -> list[str]:
    return [flake for (flake,) in values_of(nix.options, "--inputs-from")]


def inputs(stdout: str) -> list[str]:
    """The names of a flake's inputs, of `nix flake metadata --json`, in order.

    Raises `NixOutputError` for another shape, as all here do.
    """
    answer = read_json(stdout, "flake metadata")
    try:
        locks = answer["locks"]
        return sorted(locks["nodes"][locks["root"]].get("inputs", {}))
    except (KeyError, TypeError, AttributeError) as err:
        raise unknown_shape("flake metadata", stdout) from err


def nixpkgs_input(stdout: str) -> str | None:
    """The input that is a flake's nixpkgs: `nixpkgs`, else the first whose name begins so."""
    return next((name for name in inputs(stdout) if name.startswith("nixpkgs")), None)


def locked_reference(stdout: str) -> str:
    """The reference that means just what a flake is now, without credentials; `""` if unknown."""
    answer = read_json(stdout, "flake metadata")
    url = answer.get("url") if isinstance(answer, dict) else None
    return redact(url) if isinstance(url, str) else ""


def input_reference(stdout: str, name: str, query: str = "") -> str | None:
    """The locked reference of an input, of `nix flake metadata --json`; None for the flake itself.

    `query` may have another directory of it. Raises `NixError` where it is locked in a way that
    only the flake itself can follow.
    """
    answer = read_json(stdout, "flake metadata")
    try:
        locks, own = answer["locks"], answer.get("locked") or {}
        parents, node = _follow(locks["nodes"], locks["root"], (name,))
        if node == locks["root"]:
            return None
        chain = [locks["nodes"][parent].get("locked", own) for parent in parents]
        locked = _from_parents([*chain, locks["nodes"][node]["locked"]])
        if query:
            from urllib.parse import parse_qsl  # noqa: PLC0415  # start-up counts

            locked = {**locked, **dict(parse_qsl(query))}
        found = reference(locked)
    except (KeyError, TypeError, AttributeError, IndexError) as err:
        raise unknown_shape("flake metadata", stdout) from err
    if found is None:
        raise NixError(
            f"cannot use input '{name}': it is locked in a way that only the flake can follow",
            hint="make what is wanted of it an output of the flake, and name that",
        )
    return found


def _follow(nodes: Mapping[str, Any], root: str, path: tuple[str, ...]) -> tuple[list[str], str]:
    """The node that a path of inputs leads to, and those that it is an input of, from the root.

    A list is `follows`, a path from the root.
    """
    parents: list[str] = []
    node = root
    for name in path:
        target = nodes[node]["inputs"][name]
        if isinstance(target, list):
            parents, node = _follow(nodes, root, tuple(target))
        else:
            parents, node = [*parents, node], target
    return parents, node


def _from_parents(chain: list[Attributes]) -> Attributes:
    """The attributes of the last of a chain of inputs, where a relative path is within its parent.

    Nix to 2.25 writes such a path the same way, and takes it from the same place.
    """
    *parents, locked = chain
    if locked.get("type") != "path" or str(locked["path"]).startswith("/"):
        return locked
    return within(_from_parents(parents), str(locked["path"])) if parents else locked

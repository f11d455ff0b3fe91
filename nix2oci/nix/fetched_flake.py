"""A flake that only Nix can find: where its source is, and which commit its name means now."""

from __future__ import annotations

import os
import re

from nix2oci.host.regular_files import read_file
from nix2oci.nix.flake_reference import Attributes, is_commit, locked_attributes, reference
from nix2oci.nix.json_output import Tree, read_json, unknown_shape
from nix2oci.nix.named_flake import FlakePlace

# What fixes a source, so that it is not what lies there now.
_FIXED = {"rev", "ref", "narHash"}

_MOST_BYTES = 1 << 20

# What says no more of a commit than that does itself.
_FOLLOWING = {"narHash", "lastModified", "revCount", "__final"}


def metadata_place(stdout: str, store_root: str) -> FlakePlace:
    """The place that `nix flake metadata --json` says."""
    answer = read_json(stdout, "flake metadata")
    try:
        resolved, path = answer.get("resolved") or {}, answer.get("path")
        below = str(resolved.get("dir", ""))
        kind, is_fixed = resolved.get("type"), bool(_FIXED & resolved.keys())
        locked = answer.get("locked") or {}
    except (AttributeError, TypeError) as err:
        raise unknown_shape("flake metadata", stdout) from err
    if kind == "path" and not is_fixed:
        own = os.path.abspath(str(resolved.get("path")))
        directory = os.path.normpath(os.path.join(own, below))
        return FlakePlace(directory, copied=os.path.realpath(own))
    if kind == "git" and not is_fixed and (own := _checkout(str(resolved.get("url")))):
        return FlakePlace(os.path.normpath(os.path.join(own, below)))
    source = f"{store_root}{path}"
    if not isinstance(path, str) or not os.path.isdir(source):
        return FlakePlace(None)
    return FlakePlace(os.path.normpath(os.path.join(source, below)), source=source, locked=locked)


def tree_place(tree: Tree, locked: Attributes, store_root: str) -> FlakePlace:
    """The place of a flake by its source; `locked` are the attributes of its reference."""
    source = f"{store_root}{tree.path}"
    if not os.path.isdir(source):
        return FlakePlace(None)
    directory = os.path.normpath(os.path.join(source, str(locked.get("dir", ""))))
    return FlakePlace(directory, source=source, locked={**locked, "narHash": tree.nar_hash})


def is_plain(place: FlakePlace) -> bool:
    """Whether a flake is what its reference says: it can want more of its own repository.

    That is `inputs.self.submodules` or `.lfs`, from 2.27 on. A place that cannot be read is none.
    """
    if place.directory is None:
        return True
    try:
        text = read_file(os.path.join(place.directory, "flake.nix"), _MOST_BYTES)
    except OSError:
        return False
    return not re.search(rb"\b(submodules|lfs)\b", text)


def pinned_reference(place: FlakePlace) -> str:
    """The reference of the commit that was fetched; `""` for another source.

    Nor for one with an attribute that is not known here, which a reference would lose.
    """
    try:
        locked = {name: each for name, each in place.locked.items() if name not in _FOLLOWING}
        found = reference(locked) if place.source and is_commit(locked) else None
    except (AttributeError, KeyError):  # attributes that no fetcher here has
        return ""
    if found is None or locked_attributes(found).keys() != locked.keys():
        return ""
    return found


def _checkout(url: str) -> str:
    """The work tree that a URL of git means, `""` for a bare repository or one elsewhere."""
    if not url.startswith("file:"):
        return ""
    from urllib.parse import unquote  # noqa: PLC0415  # start-up counts

    path = unquote(url.partition("?")[0].removeprefix("file:").removeprefix("//"))
    return os.path.abspath(path) if os.path.lexists(os.path.join(path, ".git")) else ""

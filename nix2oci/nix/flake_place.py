"""Where the flake or the Nix file lies that an installable is of: its directory, and its source.

The hard part is that there are many spellings. A path is looked for as Nix does
(`parsePathFlakeRefWithFragment` of src/libflake/flakeref.cc), which asks nobody; what any other
reference means only Nix knows, which is asked for the flake's metadata anyway.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from nix2oci.errors import ConfigError, NixError
from nix2oci.model.closure import STORE_DIR
from nix2oci.nix.host import work_tree
from nix2oci.nix.installable import Installable, names_path
from nix2oci.nix.json_output import read_json, unknown_shape

if TYPE_CHECKING:
    from nix2oci.nix.client import NixClient

# What --file takes that is no path: a name in the search path, a URL, a channel.
_NO_PATH = r"<|[\w+.-]+:"

_MOST_LINKS = 64

# What fixes a source, so that it is not what lies there now.
_FIXED = {"rev", "ref", "narHash"}


class FlakePlace(Struct, frozen=True):
    """Where the file is that is evaluated.

    `directory` is that of the flake.nix or Nix file, to be read from here: `""` where there is
    none, which Nix will say, and None where it cannot be looked into. `source` is the directory
    that Nix fetched it into, `""` for one that is the user's own. `copied` is the real path of
    the directory that Nix copies as a whole, with whatever lies there, `""` where it copies what
    git knows. `locked` are the attributes of a source that was fetched.
    """

    directory: str | None
    source: str = ""
    copied: str = ""
    locked: Mapping[str, object] = field(default_factory=dict)


def place_of(nix: NixClient, installable: Installable) -> FlakePlace:
    """The place of what is evaluated; asks Nix only about a flake that is not named by its path.

    Raises what goes wrong with Nix.
    """
    if installable.kind == "path":
        return FlakePlace(None)
    if installable.kind == "file":
        return FlakePlace(_directory_of_file(installable.file))
    place = named_place(installable.flake_ref)
    return place or _fetched_place(nix.metadata(installable), nix.physical())


def _directory_of_file(file: str) -> str | None:
    """The directory of the file that Nix evaluates; as Nix does, links are followed to it."""
    if re.match(_NO_PATH, file):
        return None
    for _ in range(_MOST_LINKS):  # Nix gives up as well, and says so
        if not os.path.islink(file):
            break
        file = os.path.join(os.path.dirname(file), os.readlink(file))
    return file if os.path.isdir(file) else os.path.dirname(file)


def named_place(flake_ref: str) -> FlakePlace | None:
    """The place of a flake that is named by its path; None for one that only Nix can find."""
    is_url = flake_ref.startswith("path:")
    if not is_url and not names_path(flake_ref):
        return None
    path, _, query = flake_ref.removeprefix("path:").partition("?")
    below = ""
    if query or (is_url and "%" in path):
        from urllib.parse import parse_qsl, unquote  # noqa: PLC0415  # start-up counts

        path = unquote(path) if is_url else path
        parameters = dict(parse_qsl(query))
        below = parameters.pop("dir", "")
        if parameters:
            return None
    root = path if is_url else flake_above(path)
    if not root or not os.path.isdir(root):
        return FlakePlace("")
    directory = os.path.normpath(os.path.join(root, below))
    if in_store := re.match(rf"{STORE_DIR}/[^/]+", os.path.realpath(root)):
        locked = {"type": "path", "path": os.path.realpath(root), "dir": below}
        return FlakePlace(directory, source=in_store[0], locked=locked)
    is_copied = is_url or not work_tree(root)
    return FlakePlace(directory, copied=os.path.realpath(root) if is_copied else "")


def flake_above(path: str) -> str:
    """The directory at or above a path that has a flake.nix, to the root of a repository."""
    if os.path.lexists(os.path.join(path, "flake.nix")):
        return os.path.normpath(path) if not os.path.islink(path) else path
    if not os.path.isdir(path):
        return ""
    real = os.path.realpath(path)
    while not os.path.lexists(os.path.join(real, "flake.nix")):
        if real == os.path.dirname(real) or os.path.lexists(os.path.join(real, ".git")):
            return ""
        real = os.path.dirname(real)
    return os.path.relpath(real)


def _fetched_place(stdout: str, store_root: str) -> FlakePlace:
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


def fetched_source(nix: NixClient, installable: Installable) -> str:
    """The directory that Nix has put the whole source of a flake into, to be read from here.

    Raises `NixError` where there is none, and what goes wrong with Nix.
    """
    answer = read_json(nix.metadata(installable), "flake metadata")
    path = answer.get("path") if isinstance(answer, dict) else None
    source = f"{nix.physical()}{path}"
    if not isinstance(path, str) or not os.path.isdir(source):
        raise NixError(
            f"cannot read the source of '{installable.text}': Nix has not put it into the store",
            hint="without lazy trees it does: --option lazy-trees false",
        )
    return source


def _checkout(url: str) -> str:
    """The work tree that a URL of git means, `""` for a bare repository or one elsewhere."""
    if not url.startswith("file:"):
        return ""
    from urllib.parse import unquote  # noqa: PLC0415  # start-up counts

    path = unquote(url.partition("?")[0].removeprefix("file:").removeprefix("//"))
    return os.path.abspath(path) if os.path.lexists(os.path.join(path, ".git")) else ""


def check_outside(output: str, places: Sequence[FlakePlace]) -> None:
    """Raise `ConfigError` for an output that the next evaluation would copy into its source."""
    target = os.path.realpath(output)
    roots = [p.copied for p in places if p.copied and is_below(target, p.copied)]
    if not roots:
        return
    root = min(roots, key=len)
    elsewhere = os.path.join(os.path.relpath(os.path.dirname(root)), os.path.basename(target))
    raise ConfigError(
        f"cannot write {output}: it would be in the next image, since Nix copies all of {root}",
        hint=f"write it elsewhere: -o {elsewhere}",
    )


def is_below(path: str, directory: str) -> bool:
    """Whether a real path is that of a directory, or of something in it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def inside(path: str, source: str) -> str:
    """The path, where it and links on the way stay in a source that was fetched; `""` is no limit.

    Raises `ConfigError`.
    """
    if source and not is_below(os.path.realpath(path), os.path.realpath(source)):
        shown = os.path.normpath(path)
        raise ConfigError(
            f"cannot use {shown}: it is not in the source of the flake, which was fetched",
            hint="name it with a flag, or in settings of your own: --config FILE",
        )
    return path

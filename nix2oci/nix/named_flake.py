"""A flake that is named by its path: where it lies, and what git knows of it; Nix is not asked.

The hard part is that there are many spellings. A path is looked for as Nix does
(`parsePathFlakeRefWithFragment` of src/libflake/flakeref.cc), and a tree in git is dirty to Nix
when files differ that git knows (src/libfetchers/git.cc).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from msgspec import Struct, field

from nix2oci.model.closure import STORE_DIR
from nix2oci.nix.host import Head, head_of, work_tree
from nix2oci.nix.installable import names_path
from nix2oci.nix.json_output import Source

_OF_GIT = "git+file://"
_SCHEMES = ("path:", _OF_GIT)


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


def named_place(flake_ref: str) -> FlakePlace | None:
    """The place of a flake that is named by its path; None for one that only Nix can find."""
    scheme = next((each for each in _SCHEMES if flake_ref.startswith(each)), "")
    is_url = bool(scheme)
    if not is_url and not names_path(flake_ref):
        return None
    path, _, query = flake_ref.removeprefix(scheme).partition("?")
    below = ""
    if query or (is_url and "%" in path):
        from urllib.parse import parse_qsl, unquote  # noqa: PLC0415  # start-up counts

        path = unquote(path) if is_url else path
        parameters = dict(parse_qsl(query))
        below = parameters.pop("dir", "")
        if parameters:
            return None
    if scheme == _OF_GIT and not os.path.lexists(os.path.join(path, ".git")):
        return None  # a repository without a work tree
    root = path if is_url else flake_above(path)
    if not root or not os.path.isdir(root):
        return FlakePlace("")
    directory = os.path.normpath(os.path.join(root, below))
    if in_store := re.match(rf"{STORE_DIR}/[^/]+", os.path.realpath(root)):
        locked = {"type": "path", "path": os.path.realpath(root), "dir": below}
        return FlakePlace(directory, source=in_store[0], locked=locked)
    is_copied = scheme == "path:" or not work_tree(root)
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


def head_at(place: FlakePlace | None, env: Mapping[str, str]) -> Head | None:
    """What git says of the tree of a flake that Nix takes from git; None where it cannot tell."""
    if place is None or not place.directory or place.copied or place.source:
        return None
    return head_of(work_tree(place.directory), env)


def local_source(place: FlakePlace | None, head: Head | None) -> Source | None:
    """What Nix would say of a flake that is named by its path; None where only Nix can say it."""
    if place and place.directory and (place.copied or place.source):
        return Source()
    if head is None:
        return None
    if head.is_clean:
        return Source(head.commit, head.committed or None)
    return Source(f"{head.commit}-dirty" if head.commit else "")

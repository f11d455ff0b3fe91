"""Where the flake or the Nix file lies that an installable is of: its directory, and its source.

What any reference means that is no path only Nix knows, which is asked for the flake's metadata.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nix2oci.errors import ConfigError, NixError
from nix2oci.nix.installable import Installable
from nix2oci.nix.json_output import read_json
from nix2oci.nix.named_flake import FlakePlace, named_place

if TYPE_CHECKING:
    from nix2oci.nix.client import NixClient

# What --file takes that is no path: a name in the search path, a URL, a channel.
_NO_PATH = r"<|[\w+.-]+:"

_MOST_LINKS = 64


def place_of(nix: NixClient, installable: Installable) -> FlakePlace:
    """The place of what is evaluated; asks Nix only about a flake that is not named by its path.

    Raises what goes wrong with Nix.
    """
    if installable.kind == "path":
        return FlakePlace(None)
    if installable.kind == "file":
        return FlakePlace(_directory_of_file(installable.file))
    place = named_place(installable.flake_ref)
    return place or nix.fetched_place(installable)


def _directory_of_file(file: str) -> str | None:
    """The directory of the file that Nix evaluates; as Nix does, links are followed to it."""
    if re.match(_NO_PATH, file):
        return None
    for _ in range(_MOST_LINKS):  # Nix gives up as well, and says so
        if not os.path.islink(file):
            break
        file = os.path.join(os.path.dirname(file), os.readlink(file))
    return file if os.path.isdir(file) else os.path.dirname(file)


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

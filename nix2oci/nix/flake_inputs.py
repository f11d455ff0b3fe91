"""The inputs of a flake, as its lock file has them after every option was heard.

The hard part is that an input is locked as attributes, while a command wants a flake reference:
Nix writes those by the rules of each fetcher (src/libfetchers/*.cc, `toURL`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nix2oci.nix.json_output import read_json, unknown_shape

Attributes = Mapping[str, object]

# hasTarballExtension of src/libfetchers/tarball.cc, as far as all versions agree.
_TARBALL = r"\.(zip|tar|tgz|tar\.(gz|xz|bz2|zst))$"


def nixpkgs_reference(stdout: str) -> str | None:
    """The locked reference of the nixpkgs that a flake uses, of `nix flake metadata --json`.

    That is its input `nixpkgs`, else the first whose name begins so. None where there is none,
    or where it is locked in a way that only the flake itself can follow, such as a path relative
    to it. Raises `NixOutputError` for another shape.
    """
    answer = read_json(stdout, "flake metadata")
    try:
        locks = answer["locks"]
        root: str = locks["root"]
        names = sorted(locks["nodes"][root].get("inputs", {}))
        name = next((name for name in names if name.startswith("nixpkgs")), None)
        if name is None:
            return None
        node = _follow(locks["nodes"], root, (name,))
        return _reference(locks["nodes"][node].get("locked") or {})
    except (KeyError, TypeError, AttributeError) as err:
        raise unknown_shape("flake metadata", stdout) from err


def _follow(nodes: Mapping[str, Any], root: str, path: tuple[str, ...]) -> str:
    """The node that a path of inputs leads to; a list is `follows`, a path from the root."""
    node = root
    for name in path:
        target = nodes[node]["inputs"][name]
        node = _follow(nodes, root, tuple(target)) if isinstance(target, list) else target
    return node


def _reference(locked: Attributes) -> str | None:
    kind = locked.get("type")
    write = _WRITERS.get(str(kind))
    if write is None or (kind == "path" and not str(locked["path"]).startswith("/")):
        return None
    base, names = write(locked)
    query = {name: _text(locked[name]) for name in (*names, "dir") if name in locked}
    if not query:
        return base
    from urllib.parse import quote, urlencode  # noqa: PLC0415  # start-up counts

    joint = "&" if "?" in base else "?"
    return f"{base}{joint}{urlencode(query, safe='/', quote_via=quote)}"


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


_Written = tuple[str, tuple[str, ...]]


def _forge(locked: Attributes) -> _Written:
    return f"{locked['type']}:{locked['owner']}/{locked['repo']}/{locked['rev']}", ("host",)


def _repository(locked: Attributes) -> _Written:
    return f"{locked['type']}+{locked['url']}", ("ref", "rev", "shallow", "submodules", "allRefs")


def _path(locked: Attributes) -> _Written:
    from urllib.parse import quote  # noqa: PLC0415  # start-up counts

    return f"path:{quote(str(locked['path']))}", ("narHash",)


def _download(locked: Attributes) -> _Written:
    """The word in front is left out where Nix tells a tarball by its name: 2.8 does not know it."""
    url = str(locked["url"])
    plain = locked["type"] == "tarball" and re.search(_TARBALL, url.partition("?")[0])
    return url if plain else f"{locked['type']}+{url}", ("narHash",)


_WRITERS: Mapping[str, Callable[[Attributes], _Written]] = {
    **dict.fromkeys(("github", "gitlab", "sourcehut"), _forge),
    **dict.fromkeys(("git", "hg"), _repository),
    **dict.fromkeys(("tarball", "file"), _download),
    "path": _path,
}

"""The reference of a flake that is locked, as text and as Nix's attributes.

The hard part is that Nix locks attributes, while a command wants a reference: Nix writes those by
the rules of each fetcher (src/libfetchers/*.cc, `toURL`). And that most references mean something
else tomorrow: a commit is one tree with one time, and the NAR hash of a tarball is one tree.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

Attributes = Mapping[str, object]

# hasTarballExtension of src/libfetchers/tarball.cc, as far as all versions agree.
_TARBALL = r"\.(zip|tar|tgz|tar\.(gz|xz|bz2|zst))$"

_COMMIT = r"[0-9a-f]{40}"
_HASH = r"sha256-[A-Za-z0-9+/]{43}="
_FORGE = r"(github|gitlab|sourcehut):([^/%]+)/([^/%]+)(?:/([^/%]+))?"
_GIT = r"git\+((?:file:///|(?:https?|ssh|git)://).+)"
_DOWNLOAD = r"(tarball\+)?((?:file:///|https?://).+)"
_SWITCHES = ("allRefs", "shallow", "submodules")
_ON_OR_OFF = {"1": True, "0": False}


def locked_attributes(flake_ref: str) -> Attributes:
    """The attributes of a reference that means the same for ever; empty for any other.

    That is a commit of git or of a forge, by its `rev`, and a tarball by its `narHash`. What not
    all versions of Nix read alike is none.
    """
    from urllib.parse import unquote  # noqa: PLC0415  # start-up counts

    base, _, query = flake_ref.partition("?")
    words = [each.partition("=") for each in query.split("&") if each]
    told = {name: unquote(text) for name, _, text in words}
    if len(told) < len(words):
        return {}
    return _of_forge(base, told) or _of_git(base, told) or _of_tarball(base, told)


def is_commit(locked: Attributes) -> bool:
    """Whether attributes name a commit: its files, and its time as well."""
    return bool(re.fullmatch(_COMMIT, str(locked.get("rev"))))


def _of_forge(base: str, told: Mapping[str, str]) -> Attributes:
    match = re.fullmatch(_FORGE, base)
    if not match or told.keys() - {"rev", "host", "dir", "narHash"} or (match[4] and "rev" in told):
        return {}
    revision = {"rev": match[4]} if match[4] else {}
    found = {"type": match[1], "owner": match[2], "repo": match[3], **told, **revision}
    return found if is_commit(found) else {}


def _of_git(base: str, told: Mapping[str, str]) -> Attributes:
    match = re.fullmatch(_GIT, base)
    if not match or told.keys() - {"rev", "ref", "dir", *_SWITCHES}:
        return {}
    switches = {name: _ON_OR_OFF.get(told[name]) for name in _SWITCHES if name in told}
    found = {"type": "git", "url": match[1], **told, **switches}
    return found if is_commit(found) and None not in switches.values() else {}


def _of_tarball(base: str, told: Mapping[str, str]) -> Attributes:
    match = re.fullmatch(_DOWNLOAD, base)
    if not match or not (match[1] or re.search(_TARBALL, base)) or told.keys() - {"narHash", "dir"}:
        return {}
    is_locked = re.fullmatch(_HASH, told.get("narHash", ""))
    return {"type": "tarball", "url": match[2], **told} if is_locked else {}


def within(locked: Attributes, path: str) -> Attributes:
    """The attributes of the flake in another directory of the same source.

    `path` is seen from the directory of the flake that is locked. Where that would lie outside of
    the source, the type is `outside`, which has no reference.
    """
    if locked.get("type") == "path":
        whole = os.path.join(os.path.abspath(str(locked["path"])), str(locked.get("dir", "")), path)
        return {"type": "path", "path": os.path.normpath(whole)}
    directory = os.path.normpath(os.path.join(str(locked.get("dir", "")), path))
    if directory == ".." or directory.startswith(("/", "../")):
        return {"type": "outside"}
    kept = {key: value for key, value in locked.items() if key != "dir"}
    return kept if directory == "." else {**kept, "dir": directory}


def reference(locked: Attributes) -> str | None:
    """The flake reference of attributes; None for a fetcher that is not known."""
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
    """To 2.18, the URL has the directory as well."""
    base, _, query = str(locked["url"]).partition("?")
    kept = "&".join(each for each in query.split("&") if each and not each.startswith("dir="))
    url = f"{base}?{kept}" if kept else base
    return f"{locked['type']}+{url}", ("ref", "rev", "shallow", "submodules", "allRefs")


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

"""The sources that an evaluation read: the flake and its inputs, as locked, without secrets.

What is only on this machine has no reference that another one could use, and a tree that differs
from its commit is not that commit: both have the hash of their files, where Nix says it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from nix2oci.model.closure import parse_nar_hash
from nix2oci.nix.flake_reference import reference
from nix2oci.nix.installable import names_path
from nix2oci.nix.json_output import read_json, unknown_shape
from nix2oci.nix.messages import redact

_SHOWN = frozenset(
    {"ref", "rev", "dir", "host", "narHash", "submodules", "shallow", "allRefs", "lfs"}
)
"""Parameters of a flake reference; any other may be a token."""

_QUERY = r"(?<=\?)[^\s#\"'{}?]+"
_TELLING = r"(?i)token|secret|passw|key|auth|sig|cred"
"""What the names of parameters have that are for nobody else."""

_OF_GIT = frozenset({"git", "github", "gitlab", "sourcehut"})


class LockedSource(Struct, frozen=True):
    """A flake, or an input of one."""

    name: str
    """The path of inputs that leads there, `nixpkgs` or `app/nixpkgs`; `""` is the flake."""
    reference: str
    """As Nix takes it, on any machine; `""` for what is only on one."""
    commit: str
    """Of git; `""` for another source, and for a tree that differs from it."""
    nar_hash: str
    """SHA-256 of its files as a NAR, in hex; `""` where Nix does not say it."""
    is_dirty: bool


def public_reference(text: str) -> str:
    """A flake reference without credentials; `""` for a path of this machine."""
    base, mark, query = redact(text).partition("?")
    if names_path(text) or base.startswith(("path:", "file:", "git+file:", "hg+file:", "/", ".")):
        return ""
    kept = [each for each in query.split("&") if each.partition("=")[0] in _SHOWN]
    return f"{base}{mark}{'&'.join(kept)}" if kept else base


def public_text(text: str) -> str:
    """Text without credentials in URLs that are in it, those in parameters included."""
    return re.sub(_QUERY, _public_query, redact(text)) if "://" in text else text


def _public_query(match: re.Match[str]) -> str:
    kept = (each for each in match[0].split("&") if not re.search(_TELLING, each.partition("=")[0]))
    return "&".join(kept)


def locked_sources(metadata: str) -> tuple[LockedSource, ...]:
    """The flake and all of its inputs, by `nix flake metadata --json`, each once, by name.

    Raises `NixOutputError`.
    """
    answer = read_json(metadata, "flake metadata")
    try:
        locked, locks = answer.get("locked") or {}, answer.get("locks") or {}
        inputs = sorted(_inputs(locks), key=lambda each: each.name) if locks else []
        return (_source("", locked), *inputs)
    except (KeyError, TypeError, AttributeError, IndexError) as err:
        raise unknown_shape("flake metadata", metadata) from err


def _inputs(locks: Mapping[str, Any]) -> Iterator[LockedSource]:
    """Each node of a lock once, by the shortest path that leads there."""
    nodes, root = locks["nodes"], locks["root"]
    seen, waiting = {root}, deque([("", root)])
    while waiting:
        above, at = waiting.popleft()
        for name, node in sorted((nodes[at].get("inputs") or {}).items()):
            if isinstance(node, str) and node not in seen:  # a list follows another path
                seen.add(node)
                path = f"{above}/{name}" if above else name
                waiting.append((path, node))
                yield _source(path, nodes[node].get("locked") or {})


def _source(name: str, locked: Mapping[str, Any]) -> LockedSource:
    of_git = locked.get("type") in _OF_GIT
    commit = str(locked.get("rev") or "") if of_git else ""
    is_dirty = of_git and not commit
    written = reference(locked) if locked.get("type") and not is_dirty else None
    try:
        nar_hash = parse_nar_hash(str(locked.get("narHash"))).hex()
    except ValueError:
        nar_hash = ""
    return LockedSource(name, public_reference(written or "."), commit, nar_hash, is_dirty)

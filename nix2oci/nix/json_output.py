"""What Nix answers: the JSON of every version, as values of ours.

The hard part is that the same question has been answered in five shapes since Nix 2.4
(path-info: list, map, map with nulls, and versions 1 to 3 of a format), and that the text
comes from another program: a store path is parsed before it is believed, and a shape that is
not known is an error that quotes its beginning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from nix2oci.errors import ClosureError, NixOutputError, StoreError
from nix2oci.model.closure import PathInfo, StorePath, parse_nar_hash

_VERSION = r"nix \((?P<flavour>[^)]+)\) (?P<major>\d+)\.(?P<minor>\d+)"
_NUMBER = r"(?P<major>\d+)\.(?P<minor>\d+)"
_LONG_AGO = (2, 4)
_OF_LIX = 90
"""Lix 2.90 and later count on from here, which Nix has not reached."""

_MOST = 1 << 63
"""What no size of a NAR can be."""


class Version(Struct, frozen=True):
    """Which Nix it is: `nix (Nix) 2.8.0`, `nix (Lix, like Nix) 2.93.3`, Determinate Nix."""

    text: str
    flavour: str
    number: tuple[int, int]

    @classmethod
    def parse(cls, stdout: str) -> Version:
        """Read what `nix --version` prints; raise `NixOutputError` for anything else."""
        text = stdout.strip()
        match = re.match(_VERSION, text)
        if match is None:
            raise unknown_shape("--version", stdout)
        return cls(
            text.splitlines()[0], match["flavour"], (int(match["major"]), int(match["minor"]))
        )

    @classmethod
    def of_number(cls, number: object) -> Version | None:
        """By `builtins.nixVersion`, which does not tell the flavour; None for no such text."""
        match = re.match(_NUMBER, number) if isinstance(number, str) else None
        if match is None:
            return None
        found = (int(match["major"]), int(match["minor"]))
        flavour = "Lix" if found[0] == 2 and found[1] >= _OF_LIX else "Nix"
        return cls(f"nix ({flavour}) {match.string}", flavour, found)

    def __str__(self) -> str:
        return self.text

    @property
    def is_lix(self) -> bool:
        return self.flavour.startswith("Lix")

    @property
    def has_flakes(self) -> bool:
        return self.number >= _LONG_AGO

    @property
    def selects_outputs(self) -> bool:
        """`x.drv^out` is known; before, `x.drv` stands for all of its outputs (release 2.13)."""
        return self.number >= (2, 13)

    @property
    def has_config_show(self) -> bool:
        """`config show` is known; before, and in Lix, it is `show-config` (2.20)."""
        return not self.is_lix and self.number >= (2, 20)

    @property
    def wants_json_format(self) -> bool:
        """`path-info --json` without `--json-format` warns, and will be an error (2.33)."""
        return not self.is_lix and self.number >= (2, 33)


class Realised(Struct, frozen=True):
    """One element of `nix build --json`: a derivation and its outputs.

    A path that was named as such has `drv` `""` and itself as the output `""`. An output
    without a path is None.
    """

    drv: str
    outputs: Mapping[str, StorePath | None]


def read_json(stdout: str, command: str) -> Any:
    """The JSON that `nix COMMAND` printed; raise `NixOutputError` when it is none."""
    try:
        found = json.loads(stdout)
        if "\\ud" in stdout.lower():  # half a character is no text that a program can be given
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as err:
        raise unknown_shape(command, stdout) from err
    return found


def unknown_shape(command: str, stdout: str) -> NixOutputError:
    """The error for an answer that has none of the known shapes."""
    said = repr(stdout[:200]) if stdout.strip() else "nothing"
    return NixOutputError(
        f"cannot read `nix {command}` output: it printed {said}",
        hint="if this is a Nix version that nix2oci does not know, please report it",
    )


def path_infos(stdout: str) -> tuple[PathInfo, ...]:
    """Read `nix path-info --json`, in the order of the store paths.

    All shapes: the list of Nix to 2.18 and of Lix, the map of 2.19 and later, its nulls, and
    formats 1, 2 and 3 of 2.33 and later. Raises `StoreError` naming a path that is not
    valid, `ClosureError` for text that is no store path, `NixOutputError` for another shape.
    """
    infos: dict[StorePath, PathInfo] = {}
    for text, entry in path_entries(stdout):
        path = StorePath.parse(text)
        if entry is None or entry.get("valid") is False:
            raise StoreError(
                f"cannot read {path}: it is not in the store",
                hint="it may have been garbage-collected since it was built",
            )
        infos[path] = _path_info(path, entry)
    return tuple(infos[path] for path in sorted(infos))


def path_entries(stdout: str) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Of `nix path-info --json`: pairs of the text of a store path and what is said, or None."""
    answer = read_json(stdout, "path-info")
    prefix = ""
    if isinstance(answer, dict) and isinstance(answer.get("info"), dict):
        prefix = f"{answer.get('storeDir')}/"
        answer = answer["info"]
    if isinstance(answer, list):
        paths = [e.get("path") if isinstance(e, dict) else None for e in answer]
        answer = dict(zip(map(str, paths), answer, strict=True)) if all(paths) else None
    if not isinstance(answer, dict) or not answer:
        raise unknown_shape("path-info", stdout)
    for key, entry in answer.items():
        if not isinstance(key, str) or not isinstance(entry, dict | None):
            raise unknown_shape("path-info", stdout)
        yield prefix + key, entry


def _path_info(path: StorePath, entry: Mapping[str, Any]) -> PathInfo:
    size, references = entry.get("narSize"), entry.get("references")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size < _MOST:
        raise NixOutputError(f"cannot read `nix path-info` output: no 'narSize' for {path}")
    if not isinstance(references, list) or not all(isinstance(r, str) for r in references):
        raise NixOutputError(f"cannot read `nix path-info` output: no 'references' for {path}")
    try:
        nar_hash = parse_nar_hash(str(entry.get("narHash")))
    except ValueError as err:
        raise NixOutputError(
            f"cannot read `nix path-info` output: no 'narHash' for {path}: {err}"
        ) from err
    # Since format 2 a reference is a base name; a path is absolute in all the others.
    whole = (r if r.startswith("/") else f"{path.store_dir}/{r}" for r in references)
    named = tuple(sorted(set(map(StorePath.parse, whole))))
    return PathInfo(path, nar_hash, size, named, _deriver(path, entry))


def _deriver(path: StorePath, entry: Mapping[str, Any]) -> str:
    """The derivation; empty for none, `unknown-deriver` of old caches, and what is no path."""
    text = entry.get("deriver")
    if not isinstance(text, str) or not text.endswith(".drv"):
        return ""
    try:
        return str(StorePath.parse(text if text.startswith("/") else f"{path.store_dir}/{text}"))
    except ClosureError:
        return ""


def built_outputs(stdout: str) -> tuple[Realised, ...]:
    """Read `nix build --json`: derivations with outputs, and paths named as such.

    The latter are objects to Nix 2.17 and bare strings since. Raises `ClosureError` for text
    that is no store path, `NixOutputError` for another shape and for an empty answer.
    """
    answer = read_json(stdout, "build")
    if not isinstance(answer, list) or not answer:
        raise unknown_shape("build", stdout)
    return tuple(_realised(element, stdout) for element in answer)


def _realised(element: Any, stdout: str) -> Realised:
    if isinstance(element, dict) and isinstance(element.get("path"), str):
        element = element["path"]
    if isinstance(element, str):
        return Realised("", {"": StorePath.parse(element)})
    outputs = element.get("outputs") if isinstance(element, dict) else None
    if not isinstance(outputs, dict) or not isinstance(element.get("drvPath"), str):
        raise unknown_shape("build", stdout)
    if not all(isinstance(path, str | None) for path in outputs.values()):
        raise unknown_shape("build", stdout)
    return Realised(
        element["drvPath"],
        {name: StorePath.parse(path) if path else None for name, path in outputs.items()},
    )


class Source(Struct, frozen=True):
    """Where a flake comes from, of `nix flake metadata`.

    `revision` is the git revision, `…-dirty` when files differ from it, and `""` when there
    is none; `last_modified` is seconds since 1970, only beside a clean revision; `url` is a
    page or repository without credentials, `""` when it is only on this machine.
    `directory` is where a git tree with changes lies that Nix says no revision of (to 2.16).
    """

    revision: str = ""
    last_modified: int | None = None
    url: str = ""
    directory: str = ""


class Tree(Struct, frozen=True):
    """The source of a flake that was fetched, as `fetchTree` gives it.

    `path` is in the store, `revision` the commit, `""` for none, and `nar_hash` `""` where Nix does
    not say it.
    """

    path: str
    revision: str
    last_modified: int | None
    nar_hash: str

    def source(self, locked: Mapping[str, Any]) -> Source:
        """What metadata would say of it; `locked` are its attributes."""
        modified = self.last_modified if self.revision else None
        return Source(self.revision, modified or None, _source_url(locked))


def flake_source(stdout: str) -> Source:
    """Read `nix flake metadata --json`; raise `NixOutputError` when it is no object."""
    answer = read_json(stdout, "flake metadata")
    if not isinstance(answer, dict):
        raise unknown_shape("flake metadata", stdout)
    resolved = answer.get("resolved")
    resolved = resolved if isinstance(resolved, dict) else {}
    revision, modified = answer.get("revision"), answer.get("lastModified")
    url = _source_url(resolved)
    if isinstance(revision, str) and revision:
        clean = isinstance(modified, int) and modified > 0
        return Source(revision, modified if clean else None, url)
    dirty = answer.get("dirtyRevision")
    if isinstance(dirty, str) and dirty:
        return Source(dirty, None, url)
    if resolved.get("type") != "git" or not str(resolved.get("url")).startswith("file://"):
        return Source("", None, url)
    from urllib.parse import unquote  # noqa: PLC0415  # start-up counts

    return Source("", None, url, unquote(str(resolved["url"])[len("file://") :]))


_FORGES = {
    "github": ("github.com", "{owner}/{repo}"),
    "gitlab": ("gitlab.com", "{owner}/{repo}"),
    "sourcehut": ("git.sr.ht", "{owner}/{repo}"),
}


def _source_url(resolved: Mapping[str, Any]) -> str:
    forge = _FORGES.get(str(resolved.get("type")))
    if forge:
        host, path = str(resolved.get("host") or forge[0]), forge[1]
        return f"https://{host}/" + path.format_map(
            {key: str(resolved.get(key, "")).replace("%2F", "/") for key in ("owner", "repo")}
        )
    scheme, separator, rest = str(resolved.get("url") or "").partition("://")
    if not separator or scheme.rpartition("+")[2] in {"file", "path"}:
        return ""
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"

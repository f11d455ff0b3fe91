"""A closure that is given: a file that says of store paths what Nix would; no nix is started.

The hard part is that three programs write such files, each in a form of its own, and that what is
missing or wrong has to end as it does where Nix is asked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NoReturn

from msgspec.structs import replace

from nix2oci.errors import (
    ClosureError,
    ConfigError,
    NixError,
    NixOutputError,
    OutputError,
    StoreError,
)
from nix2oci.host.differences import here
from nix2oci.host.regular_files import read_file
from nix2oci.model.closure import STORE_DIR, Closure, PathInfo, StorePath, reachable
from nix2oci.nix.binary_caches.cache import BinaryCache
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable
from nix2oci.nix.json_output import path_infos, read_json, unknown_shape
from nix2oci.nix.options import setting
from nix2oci.nix.package import (
    BuildTarget,
    EvalResult,
    Package,
    meta_of,
    package_of_path,
    target_of,
)
from nix2oci.nix.realise import Built, absent, assign
from nix2oci.text import display

_HEX = re.compile("[0-9a-f]{64}")
_HASH_PART = re.compile(rf"{STORE_DIR}/([0-9a-z]{{32}})-")
_MOST_BYTES = 256 << 20
"""Of a file; a closure of 10,000 store paths has some 8 MB."""


class GivenNix(NixClient):
    """The Nix of a run that starts none: it knows the store paths of a file, and no others.

    `facts` are what evaluation would have known of store paths, `""` being the first one that is
    asked about; `cache` has the bytes, where they are not in a store of this machine. Methods
    raise what those of `NixClient` do, and `NixError` for what only Nix could answer.
    """

    building = "taking store paths as they are"

    def __init__(
        self,
        env: Mapping[str, str],
        options: Sequence[str],
        infos: Iterable[PathInfo],
        facts: Mapping[str, EvalResult] = MappingProxyType({}),
        cache: BinaryCache | None = None,
    ) -> None:
        super().__init__(env, options, origin=cache.origin if cache else None)
        self.sender = cache
        self._infos = {info.path: info for info in infos}
        self._facts = facts
        self._main: StorePath | None = None
        said = next(filter(None, (each.text("system") for each in facts.values())), "")
        self._system = setting(self.options, "system") or said or here().linux

    def evaluate(self, installable: Installable) -> Package:
        """What the file of facts says of a store path, or its name."""
        self.check_store()
        if installable.kind != "path":
            raise ConfigError(
                f"cannot use '{installable.text}' with --closure: it is no store path of the file",
                hint="give store paths, for contents and debug tools, too",
            )
        found = package_of_path(installable, self._system)
        path = StorePath.parse(installable.store_path)
        self._main = self._main or path
        facts = self._facts.get(str(path)) or (self._facts.get("") if path == self._main else None)
        if facts:
            found = _with_facts(found, facts)
        for wanted in found.wanted + found.program_wanted:
            if StorePath.parse(wanted.path) not in self._infos:
                raise ClosureError(f"cannot use closure: it lacks its root {wanted.path}")
        return found

    def only_named(self, texts: Sequence[str], beside: Sequence[str]) -> tuple[str, ...]:
        """Store paths of the file that texts name, and that nothing else would put into the image.

        `beside` are the store paths that are in it with all that they refer to.
        """
        by_hash = {path.hash_part: path for path in self._infos}
        words = [word for text in texts for word in _HASH_PART.findall(text)]
        roots = [each for each in self._infos if str(each) in beside]
        there = set(self._reachable(roots))
        named = dict.fromkeys(by_hash[word] for word in words if word in by_hash)
        return tuple(str(path) for path in named if path not in there)

    def begin_build(self, packages: Sequence[Package]) -> None:
        """Nothing is to be begun."""

    @contextmanager
    def build(self, packages: Sequence[Package]) -> Iterator[tuple[Built, ...]]:
        """The packages as they lie in the store; nothing holds them there but who called us."""
        root, built = self.physical(), self.taken(packages)
        if path := absent(built, root):
            raise StoreError(
                f"cannot read {path}: there is no {root}{path}",
                hint="--store names a store that is elsewhere",
            )
        yield built

    def taken(self, packages: Sequence[Package]) -> tuple[Built, ...]:
        """The packages as they are in the file, whether or not they lie in the store."""
        outputs = {str(path): {"": path} for path in self._infos}
        return tuple(assign(package, outputs) for package in packages)

    def closure(self, roots: Sequence[StorePath]) -> Closure:
        """What the file says of store paths and all that they refer to."""
        return Closure.among(self._infos, roots)

    def _reachable(self, roots: Sequence[StorePath]) -> Iterable[StorePath]:
        known = self._infos
        return reachable(roots, lambda path: known[path].references if path in known else ())

    def run(self, argv: tuple[str, ...], **_: object) -> NoReturn:
        """Raise: whatever would have to be asked is in no file."""
        raise NixError(
            f"cannot ask `nix {argv[0]}`: with --closure no nix is started",
            hint="name store paths of the file, for contents and debug tools, too",
        )


def open_given(
    env: Mapping[str, str],
    options: Sequence[str],
    closure: str,
    package: str | None,
    open_cache: Callable[[Mapping[StorePath, PathInfo]], BinaryCache] | None = None,
) -> GivenNix:
    """What stands in for Nix, of the names of two files; raises `OutputError` and as both parse.

    `open_cache` gives the binary cache that has the bytes, if they are not in a store here.
    """
    facts, infos = given_facts(_text(package)) if package else {}, read_given(closure)
    cache = open_cache({info.path: info for info in infos}) if open_cache else None
    return GivenNix(env, options, infos, facts, cache)


def read_given(path: str) -> tuple[PathInfo, ...]:
    """The store paths of the file at a path; raises `OutputError` and as `given_infos`."""
    return given_infos(_text(path))


def _text(path: str) -> str:
    try:
        return read_file(path, _MOST_BYTES).decode()
    except (OSError, ValueError) as err:
        cause = getattr(err, "strerror", None) or "it is no text"
        raise OutputError(f"cannot read {display(os.fsencode(path))}: {cause}") from err


def given_infos(text: str) -> tuple[PathInfo, ...]:
    """The store paths of a file, in their order.

    It is what `nix path-info --json --recursive` prints in any version, what Nix writes for a
    builder with `__structuredAttrs` and `exportReferencesGraph` ($NIX_ATTRS_JSON_FILE: all graphs
    of it), or the `registration` of nixpkgs' closureInfo, which `nix-store --load-db` reads.
    Raises as `path_infos`.
    """
    if text.startswith("/"):
        return path_infos(json.dumps(list(_registered(text))))
    document = read_json(text, "path-info")
    graphs = document.get("exportReferencesGraph") if isinstance(document, dict) else None
    if not isinstance(graphs, dict):
        return path_infos(text)
    found: dict[StorePath, PathInfo] = {}
    for name in graphs:
        found |= {info.path: info for info in path_infos(json.dumps(document.get(name)))}
    if not found:
        raise unknown_shape("path-info", text)
    return tuple(found[path] for path in sorted(found))


def _registered(text: str) -> Iterator[dict[str, Any]]:
    """The entries of a registration: path, hash, size, deriver, how many references, and these."""
    lines = iter(text.splitlines())
    for path in lines:
        try:
            nar_hash, size, deriver, number = (next(lines) for _ in range(4))
            references = [next(lines) for _ in range(int(number))]
            if _HEX.fullmatch(nar_hash):
                nar_hash = f"sha256:{nar_hash}"
            known = {"narHash": nar_hash, "narSize": int(size), "deriver": deriver}
        except (RuntimeError, StopIteration, ValueError) as err:
            raise NixOutputError(
                f"cannot read registration: it is not whole at {path[:300]!r}"
            ) from err
        yield {"path": path, "references": references, **known}


def given_facts(text: str) -> dict[str, EvalResult]:
    """What a file says that evaluation would have known: a JSON object, or one for each store path.

    It is by store path; `""` is the first one that is named. The keys of an object are those of
    `EVAL_EXPRESSION` (`pname`, `version`, `system`, `mainProgram`, `description`, `homepages`,
    `licenses`, `priority`), `paths` for the outputs that are meant, `program` for the path of an
    app's program, and `revision`, `lastModified` and `url` of the flake, as `Source` has them.
    """
    document = read_json(text, "eval")
    if not isinstance(document, dict):
        raise unknown_shape("eval", text)
    by_path = document if any(key.startswith("/") for key in document) else {"": document}
    if not all(isinstance(each, dict) for each in by_path.values()):
        raise unknown_shape("eval", text)
    return {path: EvalResult("derivation", each) for path, each in by_path.items()}


def _with_facts(package: Package, facts: EvalResult) -> Package:
    """A store path with what evaluation knew of it, and of the flake that it is from."""
    program, modified = facts.text("program"), facts.number("lastModified", 0)
    return replace(
        package,
        name=facts.text("pname") or package.name,
        version=facts.text("version") if "version" in facts.fields else package.version,
        program=program,
        program_wanted=target_of(package.installable, program),
        wanted=tuple(map(BuildTarget, facts.texts("paths"))) or package.wanted,
        revision=facts.text("revision"),
        last_modified=modified if modified > 0 else None,
        url=facts.text("url"),
        **meta_of(facts),
    )

"""What Nix said, kept for the next run: what evaluation knows, and what derivations became.

The hard part is that no answer may be used that Nix would not give now. An evaluation is kept under
all that decides it, and only where all of that has a name: a commit, of a clean tree or by a URL,
whose lock is complete, evaluated purely. What was built is used when Nix says that it is still
valid, and when each path of its closure is the very file or directory that was described: what was
deleted and made again has another inode, or another time of change.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, ValidationError, convert, field, to_builtins
from msgspec.structs import replace

from nix2oci.errors import ClosureError, ConfigError, NixOutputError
from nix2oci.host.regular_files import read_file
from nix2oci.model.closure import StorePath
from nix2oci.nix.host import Head, program
from nix2oci.nix.installable import Installable
from nix2oci.nix.json_output import Tree, Version, path_infos
from nix2oci.nix.messages import redact
from nix2oci.nix.named_flake import FlakePlace
from nix2oci.nix.nix_conf import Settings
from nix2oci.nix.options import names_and_values
from nix2oci.nix.package import EVAL_EXPRESSION, Package
from nix2oci.nix.realise import Outputs, any_lost

FORMAT = 2
"""Goes up with every change of what is asked, or of what is kept of an answer."""

_MOST_BYTES = 15 << 20
_UNDECIDING = frozenset({"--print-build-logs", "--keep-going", "--max-jobs", "--builders"})
"""Options that change no answer."""
_DECIDING = frozenset(
    {
        *("--arg", "--argstr", "--eval-store", "--impure", "--inputs-from", "--refresh"),
        *("--commit-lock-file", "--output-lock-file", "--recreate-lock-file"),
        *("--reference-lock-file", "--update-input"),
    }
)
"""Options for what has no name of its own, and those that want all looked at again, or written."""
_COMMIT = r"[0-9a-f]{40}"
_PINNED = rf"(github|gitlab|sourcehut):[^/]+/[^/?]+/{_COMMIT}(\?|$)|git\+.*[?&]rev={_COMMIT}(&|$)"
_VARIABLES = r"_?NIX.*|GIT_.*|XDG_(CONFIG|DATA|CACHE|STATE)_\w+|HOME|USER"


class AnswerStore(Protocol):
    """Where JSON objects are kept from one run to the next, by name; it may forget any of them."""

    def read(self, name: str) -> dict[str, Any] | None: ...
    def write(self, name: str, document: Mapping[str, object]) -> None: ...


class Kept(Struct, frozen=True):
    """Where answers are kept; `say` is told of one that was used."""

    store: AnswerStore
    say: Callable[[str], None] = lambda _: None


class Realised(Struct, frozen=True):
    """What derivations and paths became: `outputs` of each, their closure as Nix described it."""

    outputs: dict[str, dict[str, str | None]]
    roots: list[str]
    closure: str
    stamps: dict[str, tuple[int, int]]
    """Inode and time of change, in nanoseconds since 1970, of each path of the closure."""

    def is_there(self, root: str) -> bool:
        """Whether each path below `root` is what was described."""
        return bool(self.stamps) and stamps(self.stamps, root) == self.stamps

    def known(self) -> Outputs:
        """Raises `ClosureError` for what is no store path."""
        return {
            drv: {name: StorePath.parse(path) if path else None for name, path in outputs.items()}
            for drv, outputs in self.outputs.items()
        }


# -- evaluations


class Asked(Struct, frozen=True):
    """Whom an evaluation is asked of, and for which system."""

    system: str
    options: Sequence[str]
    env: Mapping[str, str]


def named_tree(place: FlakePlace, head: Head) -> Sequence[object]:
    """What names the files of a work tree; empty where nothing does, or its inputs may change."""
    directory = place.directory or ""
    if not (head.is_clean and head.commit and _is_locked(directory)):
        return ()
    return os.path.realpath(directory), head.commit, head.committed


def named_commit(reference: str) -> Sequence[object]:
    """What names the files of a flake by its reference; empty for one that has a secret.

    Nor has a tarball a name by its NAR hash: evaluation sees its time, which that does not tell.
    """
    from nix2oci.nix.flake_reference import is_commit, locked_attributes  # noqa: PLC0415

    is_named = is_commit(locked_attributes(reference)) and redact(reference) == reference
    return (reference,) if is_named else ()


def evaluation_name(installable: Installable, source: Sequence[object], asked: Asked) -> str:
    """The name of an evaluation by all that decides it; `""` where something has no name.

    `source` names the files of the flake.
    """
    machine = _machine(asked.options, asked.env) if source and _is_pure(asked.options) else []
    if not machine:
        return ""
    told = [*source, asked.system]
    return _name("evaluation", EVAL_EXPRESSION, told, to_builtins(installable), machine)


def is_settled(place: FlakePlace) -> bool:
    """Whether a source that was fetched has a NAR hash, and all of its inputs have one."""
    return bool(place.locked.get("narHash")) and _is_locked(place.directory or "/")


def is_as_locked(said: str) -> bool:
    """Whether Nix took the commit with its lock as they are, by what it said in an evaluation."""
    return not re.search(r"warning:.*(lock file|' is dirty)", said)


class Evaluation(Struct, frozen=True):
    """What an evaluation knew, and which Nix it was.

    `tree` is the source that it alone could find, and `stamps` are that of it.
    """

    package: Package
    version: Version
    tree: Tree | None = None
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        return [self.tree.path] if self.tree else []

    def is_there(self, root: str) -> bool:
        """Whether its derivations and its source are below `root`, as they were."""
        is_whole = len(self.stamps) == len(self.sources)
        is_same = is_whole and stamps(self.sources, root) == self.stamps
        return is_same and not any_lost([self.package], root)


def kept_evaluation(
    kept: Kept, name: str, installable: Installable, root: str
) -> Evaluation | None:
    """What an evaluation knew whose derivations and source are still there, below `root`.

    None as well where none would have said that.
    """
    try:
        found = convert(kept.store.read(name), Evaluation)
        wanted = (*found.package.wanted, *found.package.program_wanted)
        for path in (*(each.path for each in wanted), *found.sources):
            StorePath.parse(path)
    except (ValidationError, ClosureError, ValueError):
        return None
    return found if found.package.installable == installable and found.is_there(root) else None


def keep_evaluation(kept: Kept, name: str, found: Evaluation, root: str) -> None:
    marked = stamps(found.sources, root)
    if len(marked) == len(found.sources):
        kept.store.write(name, to_builtins(replace(found, stamps=marked)))


def _is_pure(options: Sequence[str]) -> bool:
    """Whether the options name nothing that may change without them."""
    return all(
        option[0] not in _DECIDING
        and (option[0] != "--override-input" or re.match(_PINNED, option[-1]))
        for option in names_and_values(options)
    )


def _is_locked(directory: str) -> bool:
    """Whether what a lock says of inputs is what they are; a flake without inputs has no lock."""
    path = os.path.join(directory, "flake.lock")
    if not os.path.lexists(path):
        return True
    try:
        lock = json.loads(read_file(path, _MOST_BYTES))
        nodes = (node for name, node in lock["nodes"].items() if name != lock["root"])
        return all(_is_fixed(node["locked"]) for node in nodes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _is_fixed(locked: Mapping[str, object]) -> bool:
    """By its NAR hash; or a directory of the flake itself."""
    path = str(locked.get("path", "/"))
    is_within = locked.get("type") == "path" and not path.startswith(("/", ".."))
    return bool(locked.get("narHash")) or (is_within and "/.." not in path)


# -- what was built


def realised_name(
    wanted: Iterable[tuple[str, Sequence[str]]],
    root: str,
    options: Sequence[str],
    env: Mapping[str, str],
) -> str:
    """The name of what derivations and paths became in the store below `root`."""
    machine = _machine(options, env)
    return _name("realised", sorted((p, sorted(o)) for p, o in wanted), root, machine)


def kept_realised(kept: Kept, name: str) -> Realised | None:
    try:
        found = convert(kept.store.read(name), Realised)
        described = {str(each.path) for each in path_infos(found.closure)}
        found.known()
    except (ValidationError, ClosureError, NixOutputError, ValueError):
        return None
    is_whole = described == found.stamps.keys() and set(found.roots) <= described
    return found if found.roots and is_whole else None


def realised(outputs: Outputs, closure: str, roots: Iterable[StorePath], root: str) -> Realised:
    """What derivations became; `closure` is what Nix says of all that `roots` refer to."""
    texts = {
        drv: {output: str(path) if path else None for output, path in known.items()}
        for drv, known in outputs.items()
    }
    found = stamps((str(each.path) for each in path_infos(closure)), root)
    return Realised(texts, sorted(map(str, set(roots))), closure, found)


def keep_realised(kept: Kept, name: str, found: Realised) -> None:
    if found.stamps and len(found.closure) < _MOST_BYTES:
        kept.store.write(name, to_builtins(found))


def stamps(paths: Iterable[str], root: str) -> dict[str, tuple[int, int]]:
    """Inode and time of change of each path below `root`; empty where one is not there."""
    try:
        found = {path: os.lstat(root + path) for path in paths}
    except (OSError, ValueError):
        return {}
    return {path: (each.st_ino, each.st_ctime_ns) for path, each in found.items()}


# -- names


def _machine(options: Sequence[str], env: Mapping[str, str]) -> list[object]:
    """Which Nix would answer, and all that it is told; nothing where it has no name."""
    nix = program("nix", env)
    try:
        settings, asked = Settings.of(env), Settings.of(env, options)
        found = os.stat(nix)
    except (OSError, ConfigError):
        return []
    is_pure = asked.flag("pure-eval", default=True) and not asked.text("eval-store")
    if not (is_pure and asked.flag("warn-dirty", default=True)):  # what is not locked is not said
        return []
    told = [option for option in names_and_values(options) if option[0] not in _UNDECIDING]
    variables = {name: text for name, text in env.items() if re.fullmatch(_VARIABLES, name)}
    stamp = (nix, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return [stamp, told, sorted(settings.said.items()), sorted(variables.items())]


def _name(*parts: object) -> str:
    import hashlib  # noqa: PLC0415  # start-up counts

    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()

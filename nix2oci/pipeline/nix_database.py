"""`nix-db`: what Nix knows of the store paths of an image, in the image."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from nix2oci.model.closure import PathInfo, store_path_of
from nix2oci.model.slim_rules import RuleSet
from nix2oci.model.tree import Directory, Entry, File, Owned, Symlink, Tree, parents
from nix2oci.nix.store import Store
from nix2oci.oci.layer.slim_entries import what_is_left
from nix2oci.oci.layer.untar import DIRECTORY, FILE, SYMLINK
from nix2oci.oci.validate.nar_hash import NarHash
from nix2oci.plan.shell import ShellDecision
from nix2oci.trust.nix_database import SCHEMA_VERSION, nix_database

_OWNER = "the Nix database"
_PLACE = b"nix/var/nix/db"


def with_nix_database(tree: Tree, shells: ShellDecision, store: Store, rules: RuleSet) -> Tree:
    """The last layer with a database of all store paths that the image holds.

    One in which a launcher is in place of a wrapper, and each of which `rules` may leave something
    out, is recorded with the hash of what lies in the image, and is read for that. Raises what
    reading the store raises, and `ConflictError` where something else is in that place.
    """
    closure, by_path = shells.closure, dict[str, dict[bytes, bytes | None]]()
    for path, launcher in {**shells.launchers, **dict.fromkeys(shells.hidden)}.items():
        owner = str(store_path_of(path.decode(), closure.store_dir))
        by_path.setdefault(owner, {})[path[1:]] = launcher
    infos = [
        _as_it_is(info, store, by_path.get(str(path), {}), rules)
        if str(path) in by_path or rules.leaves_something_out
        else info
        for path, info in closure.infos.items()
    ]
    missing = [path for path in (_PLACE, *parents(_PLACE)) if path not in tree.owned]
    files = ((b"db.sqlite", nix_database(infos)), (b"schema", SCHEMA_VERSION))
    added: tuple[Entry, ...] = (
        *(Directory(path, 0o755) for path in missing),
        *(File(_PLACE + b"/" + name, len(data), (data,), 0o644) for name, data in files),
    )
    return Tree.merge([*tree.owned.values(), *(Owned(entry, _OWNER) for entry in added)])


def _as_it_is(
    info: PathInfo, store: Store, laid_over: Mapping[bytes, bytes | None], rules: RuleSet
) -> PathInfo:
    """What Nix would record of a store path with launchers at these paths, less what rules drop.

    What has None laid over it is hidden.
    """
    nar, top = NarHash(), str(info.path)[1:].encode()
    for entry in what_is_left(store.entries(info), rules, top.count(b"/")):
        parts = tuple(entry.path[len(top) + 1 :].split(b"/")) if entry.path != top else ()
        if entry.path in laid_over and isinstance(entry, File):
            for _ in entry.chunks:
                pass  # it counts for the NAR hash of the store all the same
        launcher = laid_over.get(entry.path)
        if entry.path in laid_over and launcher is None:
            continue
        if isinstance(entry, Symlink):
            nar.add(parts, SYMLINK, link=entry.target)
        elif isinstance(entry, File):
            length = entry.size if launcher is None else len(launcher)
            nar.add(parts, FILE, size=length, mode=entry.mode)
            for chunk in entry.chunks if launcher is None else (launcher,):
                nar.content(chunk)
            nar.file_end(parts, length)
        else:
            nar.add(parts, DIRECTORY)
    nar_hash = nar.end()
    return replace(info, nar_hash=nar_hash, nar_size=nar.size)

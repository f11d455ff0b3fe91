"""`files` of nix2oci.yaml: what each entry is, with its bytes and the numbers of its owner."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.wanted_files import WantedFile
from nix2oci.errors import ConfigError
from nix2oci.host.differences import here
from nix2oci.model.closure import StorePath
from nix2oci.model.tree import Directory, Entry, File, Symlink, Tree
from nix2oci.nix.case_hack import names_in
from nix2oci.nix.store_files import StoreFiles
from nix2oci.pipeline.on_base import Overlay, account_files
from nix2oci.pipeline.source_files import FileBytes, Names, Owner, source_entries
from nix2oci.plan.overlay.join_accounts import owner_of_file
from nix2oci.plan.overlay.lower_tree import NOTHING_BELOW
from nix2oci.plan.placing import Placed, with_files


def with_wanted_files(
    tree: Tree,
    on: Overlay | None,
    spec: ImageSpec,
    outputs: Mapping[str, tuple[StorePath, ...]],
    *,
    store_dir: str,
    store: StoreFiles,
    warn: Callable[[str], None],
) -> Tree:
    """The last layer with what `files` asks for; `outputs` are those of each installable.

    Raises `ConfigError` for an owner that nobody knows, and for a path that an installable lacks;
    and what `with_files` and `source_entries` raise.
    """
    accounts = account_files(tree, on)
    wanted: list[Placed] = []
    for one in spec.files:
        owner = Owner(*_owner(one, accounts), one.mode)
        named = outputs.get(one.installable)
        # A flake that was fetched has its sources in the store of this machine.
        in_store = one.kind == "source" and f"{store_dir}/" in one.value
        hacked = in_store and (store.disk.case_hack or here().case_hack)
        names = partial(names_in, case_hack=hacked)
        entries = (
            _of_installable(one, named, store, owner) if named else _entries(one, owner, names)
        )
        merges = one.kind == "source"
        wanted += [Placed(entry.path, entry, one.where, merges=merges) for entry in entries]
        if one.kind == "absent":
            wanted.append(Placed(_path(one), None, one.where))
    below = on.lower if on else NOTHING_BELOW
    return with_files(tree, below, wanted, store_dir, warn)


def _path(wanted: WantedFile) -> bytes:
    return wanted.path[1:].encode()


def _entries(wanted: WantedFile, owner: Owner, names: Names) -> Iterator[Entry]:
    path, ids = _path(wanted), (owner.uid, owner.gid)
    if wanted.kind == "directory":
        yield Directory(path, _mode(wanted, 0o755), *ids)
    elif wanted.kind == "link":
        yield Symlink(path, wanted.value.encode())
    elif wanted.kind == "text":
        data = wanted.value.encode()
        yield File(path, len(data), (data,), _mode(wanted, 0o644), *ids)
    elif wanted.kind == "source":
        yield from source_entries(
            *(os.fsencode(wanted.value), path, owner, lambda _, target: target), names
        )


def _of_installable(
    wanted: WantedFile, outputs: Sequence[StorePath], store: StoreFiles, owner: Owner
) -> Iterator[Entry]:
    """A link to what the first output has that has it, or the files themselves."""
    below = f"/{wanted.below}" if wanted.below else ""
    found = [
        (f"{path}{below}".encode(), *store.follow(b"", f"{path}{below}".encode()))
        for path in outputs
    ]
    there = [(path, real) for path, real, mode in found if mode]
    if not there:
        raise ConfigError(
            f"{wanted.where}: '{wanted.installable}' has no {wanted.below}: "
            f"it is {', '.join(map(str, outputs))}",
            hint="another output is named with ^, such as nixpkgs#hello^dev",
        )
    path, real = there[0]
    if not wanted.copy:
        yield Symlink(_path(wanted), path)
        return

    def target(at: bytes, written: bytes) -> bytes:
        """A link that leads out of what is copied leads into the store."""
        above = os.path.dirname(store.disk.path_at(at))
        whole = os.path.normpath(os.path.join(above, written))
        is_inside = whole == real or whole.startswith(real + b"/")
        return written if is_inside and not written.startswith(b"/") else whole

    names = partial(names_in, case_hack=store.disk.case_hack)
    for entry in source_entries(store.at(real), _path(wanted), owner, target, names):
        if isinstance(entry, File) and isinstance(entry.chunks, FileBytes):
            store.content(store.disk.path_at(entry.chunks.path))
        yield entry


def _mode(wanted: WantedFile, otherwise: int) -> int:
    return otherwise if wanted.mode is None else wanted.mode


def _owner(wanted: WantedFile, accounts: tuple[bytes, bytes]) -> tuple[int, int]:
    if not wanted.owner:
        return 0, 0
    found = owner_of_file(wanted.owner, *accounts)
    if found is None:
        raise ConfigError(
            f"{wanted.where}: nobody knows the owner '{wanted.owner}': "
            "it is not in the image's /etc/passwd or /etc/group",
            hint="name it in 'users' or 'groups', or give numbers",
        )
    return found

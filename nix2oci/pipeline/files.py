"""`files` of nix2oci.yaml: what each entry is, with its bytes and the numbers of its owner."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from nix2oci.config.files import WantedFile
from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.model.tree import Directory, File, Symlink, Tree
from nix2oci.pipeline.on_base import Overlay, account_files
from nix2oci.plan.files import Placed, with_files
from nix2oci.plan.overlay.join_accounts import owner_of_file
from nix2oci.plan.overlay.lower_tree import NOTHING_BELOW


def with_wanted_files(tree: Tree, on: Overlay | None, spec: ImageSpec, store_dir: str) -> Tree:
    """The last layer with what `files` asks for.

    Raises `ConfigError` for an owner that nobody knows, and what `with_files` raises.
    """
    if not spec.files:
        return tree
    accounts = account_files(tree, on)
    wanted = [each for one in spec.files for each in _placed(one, accounts)]
    return with_files(tree, on.lower if on else NOTHING_BELOW, wanted, store_dir)


def _placed(wanted: WantedFile, accounts: tuple[bytes, bytes]) -> Iterator[Placed]:
    path = wanted.path[1:].encode()
    uid, gid = _owner(wanted, accounts)
    place = partial(Placed, where=wanted.where)
    if wanted.kind == "absent":
        yield place(path, None)
    elif wanted.kind == "directory":
        yield place(path, Directory(path, _mode(wanted, 0o755), uid, gid))
    elif wanted.kind == "link":
        yield place(path, Symlink(path, wanted.value.encode()))
    elif wanted.kind == "text":
        data = wanted.value.encode()
        yield place(path, File(path, len(data), (data,), _mode(wanted, 0o644), uid, gid))


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

"""An image in which any user id of group 0 may write, as OpenShift starts it."""

from __future__ import annotations

from msgspec.structs import replace

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.model.tree import Tree
from nix2oci.pipeline.on_base import Overlay, account_files, is_plain, run_config, unknown_user
from nix2oci.plan.overlay.join_accounts import home_of, owner_of
from nix2oci.plan.overlay.lower_tree import NOTHING_BELOW
from nix2oci.plan.writable import with_group_0
from nix2oci.text import printable


def for_arbitrary_uid(
    tree: Tree, on: Overlay | None, spec: ImageSpec, system: str
) -> tuple[Tree, ImageSpec]:
    """The last layer with what is the user's open to group 0, and HOME told to who has no home.

    A HOME that the image spec or the base image has stays. Raises `ConfigError` where the user is
    root, whose things nobody shares, or has no number.
    """
    config = run_config(spec, system, on.base if on else None)
    passwd, group = account_files(tree, on)
    owner = owner_of(config.user, passwd, group)
    if owner is None:
        raise unknown_user(config.user)
    uid, _ = owner
    if uid == 0:
        raise ConfigError(
            f"cannot let any user id write where user {printable(config.user)} may: it is root, "
            "and nothing of root's is shared",
            hint="name another user, such as --user nonroot, or leave arbitrary-uid out",
        )
    below = on.lower if on else NOTHING_BELOW
    there, home = below.under(tree), home_of(uid, passwd)
    wanted = [path for path in (*config.volumes, config.working_dir, home) if is_plain(path)]
    places = {there.follow(path.encode()) for path in wanted}
    tree = with_group_0(tree, below, places, uid)
    is_there = is_plain(home) and there.follow(home.encode()) in there.directories
    if is_there and not any(variable.startswith("HOME=") for variable in config.env):
        return tree, replace(spec, env={**spec.env, "HOME": home})
    return tree, spec

"""An image on a base image: what the two decide together.

The base is opened before anything is built, so that what is wrong with it is said at once. What
is laid over it is decided in `plan.base`, how its configuration goes on in `oci.inherit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from nix2oci.config.image_spec import OLDEST, ImageSpec
from nix2oci.errors import ConfigError, RepresentationError
from nix2oci.model.accounts import Accounts
from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.tree import Directory, File, Tree
from nix2oci.oci.base_image import BaseImage, read_base_image
from nix2oci.oci.inherit import inherit
from nix2oci.oci.layer.untar import DIRECTORY, SYMLINK
from nix2oci.oci.layout.source import ImageSource, open_image
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import LAYER_ZSTD, MAX_LAYERS, ImageConfig, Platform
from nix2oci.pipeline import describe
from nix2oci.plan.overlay.join_accounts import join_group, join_passwd, owner_of
from nix2oci.plan.overlay.lower_tree import NOTHING_BELOW, LowerTree
from nix2oci.plan.overlay.overlay import Overlaid, lay_over
from nix2oci.plan.rootfs import CA_BUNDLE
from nix2oci.plan.writable import missing_directories, with_writable
from nix2oci.text import printable

_OURS = 2
"""The least layers that an image has above a base: store paths and the view."""


class Overlay(Struct, frozen=True):
    """What an image takes from its base, and what it has over it."""

    base: BaseImage
    present: tuple[StorePath, ...]
    """Store paths of the closure that the base has."""
    lower: LowerTree
    over: Overlaid

    @property
    def certificates(self) -> bool:
        """Whether the base has a bundle of them where the image would have it."""
        return self.lower.has(CA_BUNDLE[1:].encode())


Opener = Callable[[str, Platform], ImageSource]
"""Opens what `ImageSpec.base` names, as `open_image` does; its blobs are read several times."""

LOCAL: Opener = open_image
"""Opens layouts and archives alone."""


def open_base(
    spec: ImageSpec,
    system: str,
    opener: Opener = LOCAL,
    known: dict[tuple[str, str], BaseImage] | None = None,
) -> BaseImage | None:
    """Read the base image of an image spec; None where it has none.

    `known` are those that were read, by name and system, and gets this one.

    Raises `ConfigError` and `RepresentationError` where it leaves too few layers, and what
    `opener` and `read_base_image` raise.
    """
    if spec.base is None:
        return None
    known = {} if known is None else known
    if base := known.get((spec.base, system)):
        _check_room(len(base.layers), spec)
        return base
    platform = Platform.of_system(system)
    source = opener(spec.base, platform)
    _check_room(len(source.layers()), spec)
    return known.setdefault((spec.base, system), read_base_image(source, platform))


def _check_room(layers: int, spec: ImageSpec) -> None:
    least = layers + _OURS
    cause = (
        f"cannot use base image {spec.base}: it has {layers} layers, "
        f"and at least {_OURS} come on top"
    )
    if least > MAX_LAYERS:
        raise RepresentationError(f"{cause}: engines can mount {MAX_LAYERS}")
    if least > spec.max_layers:
        raise ConfigError(
            f"{cause}: at most {spec.max_layers} are to be made",
            hint=f"use --max-layers {least}, or up to {MAX_LAYERS}",
        )


def present_paths(closure: Closure, base: BaseImage) -> tuple[StorePath, ...]:
    """The store paths of a closure that the base has, contents and all."""
    return tuple(
        path
        for path, info in closure.infos.items()
        if base.store_paths.get(str(path)) == info.nar_hash
    )


def on_base(base: BaseImage, spec: ImageSpec, closure: Closure, rootfs: Tree) -> Overlay:
    """Lay the view over the base; raises as `lay_over`, and `ConfigError` for users that clash."""
    lower = _lower(base)
    over = lay_over(rootfs, lower, closure.store_dir, _accounts(base, lower, spec))
    return Overlay(base, present_paths(closure, base), lower, over)


def run_config(
    spec: ImageSpec, system: str, base: BaseImage | None, entrypoint: tuple[str, ...] = ()
) -> ImageConfig:
    """The configuration of an image that has no layers yet: how it is started, and as whom."""
    identity = describe.ImageIdentity((Reference("image"),), entrypoint, OLDEST, {})
    platform = Platform.of_system(system)
    ours = describe.image_config(spec, identity, (), platform=platform, certificates=False)
    return inherit(base.config, ours, describe.assumed(spec))[0] if base else ours


def account_files(tree: Tree, on: Overlay | None) -> tuple[bytes, bytes]:
    """/etc/passwd and /etc/group of an image with this last layer; empty where one is missing."""
    there = (on.lower if on else NOTHING_BELOW).under(tree)

    def content(path: bytes) -> bytes:
        real = there.follow(path)
        entry = tree.get(real)
        if isinstance(entry, File):
            return b"".join(entry.chunks)
        return on.base.read(real) if on and real in on.lower.files else b""

    return content(b"etc/passwd"), content(b"etc/group")


def with_directories(
    tree: Tree, on: Overlay | None, spec: ImageSpec, system: str, store_dir: str
) -> Tree:
    """The last layer with each volume and the working directory, for the user of the image.

    Raises `ConfigError` for a file that is in the way, and for a user of the base image that has
    no number.
    """
    config = run_config(spec, system, on.base if on else None)
    below = on.lower if on else NOTHING_BELOW
    wanted = [path for path in (*config.volumes, config.working_dir) if _is_plain(path)]
    places = missing_directories(below.under(tree), wanted, store_dir)
    if not places:
        return tree
    owner = owner_of(config.user, *account_files(tree, on))
    if owner is None and (spec.volumes or spec.working_dir):
        raise ConfigError(
            f"cannot run as user '{printable(config.user)}' of the base image: "
            "it is not in its /etc/passwd or /etc/group",
            hint="name another one with --user",
        )
    return with_writable(tree, below, places, owner or (0, 0))


def _is_plain(path: str) -> bool:
    """Whether a path can be made; those of a base image may be anything."""
    return path.startswith("/") and path.isprintable()


def refuse_zstd(base: BaseImage) -> None:
    """Raise `ConfigError` for a base that cannot be in an archive that every loader reads."""
    if any(layer.media_type == LAYER_ZSTD for layer in base.layers):
        raise ConfigError(
            f"cannot write an archive on base image {base.where}: it has zstd layers, "
            "which 'docker load' does not read",
            hint="use --format oci",
        )


def _lower(base: BaseImage) -> LowerTree:
    attributes = base.directories()
    directories, links, files = {}, {}, set()
    for path, node in base.nodes.items():
        if node.kind == DIRECTORY:
            mode, uid, gid = attributes.get(path, (0o755, 0, 0))
            directories[path] = Directory(path, mode, uid, gid)
        elif node.kind == SYMLINK:
            links[path] = node.target
        else:
            files.add(path)
    return LowerTree(directories, links, frozenset(files))


def _accounts(base: BaseImage, lower: LowerTree, spec: ImageSpec) -> Mapping[bytes, bytes]:
    """The files of accounts that the base has, where something is added to them."""
    accounts = Accounts.of(spec.users, spec.groups)
    users, groups = {user.name for user in spec.users}, {group.name for group in spec.groups}
    joined: dict[bytes, bytes] = {}
    for path, join, asked in (
        (b"etc/passwd", join_passwd, users),
        (b"etc/group", join_group, groups),
    ):
        if lower.has(path):
            below = base.read(lower.follow(path))
            content = join(below, accounts, asked)
            joined |= {path: content} if content != below else {}
    return joined

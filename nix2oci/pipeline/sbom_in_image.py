"""`sbom-in-image`: the store paths of an image as a file in it, for scanners that look for one."""

from __future__ import annotations

import os

from msgspec.structs import replace

from nix2oci.config.image_spec import OLDEST
from nix2oci.model.closure import StorePath, format_nar_hash, store_path_of
from nix2oci.model.tree import File, Owned, Tree
from nix2oci.oci.spec import Platform, store_paths_digest
from nix2oci.pipeline.prepared import Prepared
from nix2oci.trust.components import BaseComponent, Bill, StoreComponent, Subject
from nix2oci.trust.spdx import spdx

_PLACE = b"var/lib/db/sbom/"


def with_sbom(prepared: Prepared, name: str) -> Prepared:
    """The same with a bill of materials in the last layer of the image, which is called `name`.

    It is a function of the store paths and the name: no document can have the digest of the image
    that it is in, and what one store knows of a path and another may not is left out, as is the
    time. Packages of languages are left out, too: scanners find them in the image by themselves.
    Raises `ConflictError` where something else is in its place.
    """
    data = spdx(_bill(prepared, name))
    path = _PLACE + name.encode() + b".spdx.json"
    file = Owned(File(path, len(data), (data,)), "the bill of materials")
    return replace(prepared, rootfs=Tree.merge([*prepared.rootfs.owned.values(), file]))


def _bill(prepared: Prepared, name: str) -> Bill:
    closure, launchers = prepared.closure, prepared.shells.launchers
    replaced: dict[StorePath | None, list[str]] = {}
    for file in sorted(map(os.fsdecode, launchers)):
        replaced.setdefault(store_path_of(file, closure.store_dir), []).append(file)
    components = tuple(
        StoreComponent(
            path,
            closure.references(path),
            format_nar_hash(info.nar_hash),
            replaced=tuple(replaced.get(path, ())),
        )
        for path, info in closure.infos.items()
    )
    digest = store_paths_digest({str(path): info.nar_hash for path, info in closure.infos.items()})
    platform = Platform.of_system(prepared.package.system)
    base = prepared.on_base.base if prepared.on_base else None
    return Bill(
        Subject(name, digest, OLDEST, platform, is_written=False),
        tuple(sorted(closure.roots)),
        components,
        base=BaseComponent(base.name, str(base.digest)) if base else None,
        dropped=tuple(sorted(info.path for info in prepared.shells.dropped)),
    )

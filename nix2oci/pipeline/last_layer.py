"""What the last layer gets at its end: directories of the user, and what few images ask for."""

from __future__ import annotations

from msgspec.structs import replace

from nix2oci.host.progress import Progress
from nix2oci.model.slim_rules import EVERYTHING
from nix2oci.pipeline.held import store_files
from nix2oci.pipeline.on_base import with_directories, with_user
from nix2oci.pipeline.prepared import Prepared


def finished(prepared: Prepared, progress: Progress) -> Prepared:
    """The image with all of its last layer, and what is left out of the others decided.

    Raises what looking into the store raises, and what of a wish cannot be.
    """
    spec, tree, on = prepared.spec, prepared.rootfs, prepared.on_base
    system, closure, slim = prepared.package.system, prepared.closure, None
    spec = with_user(spec, tree, on)
    tree = with_directories(tree, on, spec, system, closure.store_dir)
    if spec.arbitrary_uid:
        from nix2oci.pipeline.arbitrary_uid import for_arbitrary_uid  # noqa: PLC0415  # few do

        tree, spec = for_arbitrary_uid(tree, on, spec, system)
    if spec.slim:
        from nix2oci.pipeline.slim import decide_slim  # noqa: PLC0415  # few images are slim

        files = store_files(closure, prepared.store, prepared.notes)
        slim = decide_slim(spec.slim, spec, tree, files, progress)
    if spec.nix_db:
        from nix2oci.pipeline.nix_database import with_nix_database  # noqa: PLC0415  # few do

        rules = slim.rules if slim else EVERYTHING
        tree = with_nix_database(tree, prepared.shells, prepared.store, rules)
    return replace(prepared, spec=spec, rootfs=tree.with_opaque(), slim=slim)

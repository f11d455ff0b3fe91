"""What a bill of materials says of store paths, found while these are held."""

from __future__ import annotations

from nix2oci.model.closure import StorePath
from nix2oci.pipeline.prepare import Prepared
from nix2oci.pipeline.progress import Progress
from nix2oci.trust.components import PackageFacts
from nix2oci.trust.knowledge import Knowledge, known_of


def knowledge_of(prepared: Prepared, progress: Progress) -> Knowledge:
    """Of all that the image holds, a base image's own apart; raises `StoreError`.

    What was found in files is noted in `prepared.notes`, and kept when these are.
    """
    progress.step("looking for packages of languages")
    return known_of(prepared.closure, prepared.store, prepared.notes, _evaluated(prepared))


def _evaluated(prepared: Prepared) -> dict[StorePath, PackageFacts]:
    """What evaluation knows of outputs: of those that the very derivation makes."""
    found: dict[StorePath, PackageFacts] = {}
    for built in prepared.built:
        package = built.package
        facts = PackageFacts(
            package.name, package.version, package.license, package.homepage, package.description
        )
        drvs = {each.path for each in package.wanted if each.path.endswith(".drv")}
        own = built.roots if drvs and not package.program else ()
        found |= dict.fromkeys((path for path in own if path in prepared.closure), facts)
        for path, info in prepared.closure.infos.items():
            if info.deriver in drvs:
                found[path] = facts
    return found

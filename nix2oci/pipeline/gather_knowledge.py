"""What a bill of materials says of store paths, found while these are held."""

from __future__ import annotations

import hashlib

from msgspec import convert
from msgspec.structs import replace

from nix2oci.errors import NixError, StoreError
from nix2oci.host.progress import Progress
from nix2oci.model.closure import StorePath
from nix2oci.nix.client import NixClient
from nix2oci.nix.package_meta import locked_name, nixpkgs_of, package_meta
from nix2oci.nix.store_files import StoreFiles
from nix2oci.pipeline.prepared import Prepared
from nix2oci.text import count
from nix2oci.trust.components import PackageFacts
from nix2oci.trust.knowledge import Knowledge, known_of, packages_of_tree


def knowledge_of(nix: NixClient, prepared: Prepared, progress: Progress) -> Knowledge:
    """Of all that the image holds, a base image's own apart; raises `StoreError`.

    What was found in files is noted in `prepared.notes`, and kept when these are.
    """
    progress.step("looking for packages of languages")
    evaluated = {**_from_nixpkgs(nix, prepared, progress), **_evaluated(prepared)}
    closure, store = prepared.closure, prepared.store
    files = StoreFiles.of(closure, store.root, prepared.notes, store.fetch)
    entries = store.entries if nix.origin else None
    found = known_of(closure, files, entries, _derivations(nix), evaluated)
    outside = packages_of_tree(prepared.rootfs, prepared.closure.store_dir)
    return replace(found, outside=outside)


def _derivations(nix: NixClient) -> str:
    """Where derivations may lie: their names say what is in them, whichever store has them."""
    try:
        return nix.physical()
    except StoreError:
        return ""


def _from_nixpkgs(
    nix: NixClient, prepared: Prepared, progress: Progress
) -> dict[StorePath, PackageFacts]:
    """What the nixpkgs of the flake says of the store paths that it makes.

    Kept with the store path, under the very nixpkgs that said it. Where it cannot be asked, that
    is said, and nothing is known.
    """
    package, closure, notes = prepared.package, prepared.closure, prepared.notes
    try:
        nixpkgs = nixpkgs_of(nix, package.installable)
        if nixpkgs is None:
            return {}
        locked = locked_name(nix, nixpkgs)
        source = hashlib.sha256(f"{locked} {package.system}".encode()).hexdigest()[:32]
        question = f"meta {source}" if locked else ""
        known = {path: notes.facts(info).get(question) for path, info in closure.infos.items()}
        new = [path for path, facts in known.items() if facts is None]
        if new:
            progress.step(f"asking nixpkgs what it says of {count(len(new), 'store path')}")
            for path, facts in package_meta(nix, nixpkgs, package.system, new).items():
                known[path] = facts
                if question:
                    notes.record(closure.infos[path], question, facts)
    except NixError as err:
        progress.step(f"warning: licences and CPEs of most packages are not known: {err}")
        return {}
    return {path: convert(facts, PackageFacts) for path, facts in known.items() if facts}


def _evaluated(prepared: Prepared) -> dict[StorePath, PackageFacts]:
    """What evaluation knows of outputs: of those that the very derivation makes."""
    found: dict[StorePath, PackageFacts] = {}
    for built in prepared.built:
        package = built.package
        is_path = package.installable.kind == "path"  # its name says less than the store path's
        facts = PackageFacts(
            "" if is_path else package.name,
            "" if is_path else package.version,
            package.license,
            package.homepage,
            package.description,
            package.cpe,
            package.purls,
        )
        drvs = {each.path for each in package.wanted if each.path.endswith(".drv")}
        own = built.roots if (drvs or is_path) and not package.program else ()
        found |= dict.fromkeys((path for path in own if path in prepared.closure), facts)
        for path, info in prepared.closure.infos.items():
            if info.deriver in drvs:
                found[path] = facts
    return found

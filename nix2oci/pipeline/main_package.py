"""What was named first is a package, or the user is told what it is and how to name it."""

from __future__ import annotations

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError, Nix2OCIError
from nix2oci.nix.client import NixClient
from nix2oci.nix.no_package import kind_of_output
from nix2oci.nix.package import Package
from nix2oci.nix.store_files import StoreFiles
from nix2oci.oci.spec import Platform
from nix2oci.pipeline.describe import NO_PROGRAM
from nix2oci.pipeline.prepared import Prepared


def check_is_package(prepared: Prepared, spec: ImageSpec) -> None:
    """Raise `ConfigError` where an image is to start what is an image already, or one file.

    Who names a path to start wants just that, and an image of data starts nothing.
    """
    first, named = prepared.built[0], "".join(spec.entrypoint[:1])
    if first.program or named.startswith("/") or named == NO_PROGRAM:
        return
    store = prepared.store
    disk = StoreFiles.of(
        *(prepared.closure, store.root, prepared.notes, store.fetch), case_hack=store.case_hack
    )
    kinds = [kind_of_output(disk, path) for path in first.roots if path in prepared.closure.infos]
    if kinds and (found := kinds[0]) and all(kinds):
        kind, hint = found
        text = first.package.installable.text
        raise ConfigError(f"cannot make an image of '{text}': it is {kind}", hint=hint)


def built_for(nix: NixClient, package: Package, processor: str) -> str | None:
    """How to build a package that was made for another processor; None where that is not known.

    Nix looks for a name among what is for the platform; this one is among what is for the machine
    that makes it, so that it has to be named as a whole.
    """
    try:
        platform = Platform.of_system(f"{processor}-linux")
    except Nix2OCIError:
        return None
    whole = whole_attribute(nix, package)
    return f"if it is meant to be: nix2oci build '{whole}' --platform {platform}" if whole else None


def whole_attribute(nix: NixClient, package: Package) -> str | None:
    """The flake and the attribute path that Nix took for the name of a package."""
    named = package.installable
    if named.kind != "flake":
        return named.text
    groups = ("apps",) if package.program else ("packages", "legacyPackages")
    attributes = [f"{group}.{nix.system()}.{named.attr or 'default'}" for group in groups]
    for attribute in (*attributes, named.attr):
        try:
            nix.evaluate(nix.installable(named.at(attribute)))
        except Nix2OCIError:
            continue
        return named.at(attribute)
    return None

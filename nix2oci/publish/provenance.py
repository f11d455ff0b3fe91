"""Where an image comes from: a SLSA v1 provenance predicate (slsa.dev/spec/v1.0/provenance).

docs/provenance.md defines its fields. It is a function of what was asked for, what evaluation
locked and what Nix recorded: no clock, no environment, no place of this machine, no credentials.
What is not known is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from nix2oci.config.keys import Document
from nix2oci.model.closure import StorePath
from nix2oci.nix.client import NixClient
from nix2oci.nix.evidence import Evidence, derivation_digests, evidence
from nix2oci.nix.installable import Installable
from nix2oci.nix.locked_sources import LockedSource, locked_sources, public_reference, public_text
from nix2oci.nix.options import values_of
from nix2oci.oci.layer.blob import layer_form
from nix2oci.oci.spec import Platform, canonical_json, rfc3339
from nix2oci.pipeline.build import WrittenImage
from nix2oci.pipeline.templates import launcher_digest
from nix2oci.trust.provenance_claims import BUILD_TYPE, PREDICATE
from nix2oci.trust.trust_document import IN_TOTO, TrustDocument

LOCAL_BUILDER = "urn:nix2oci:builder:local"
"""Whoever ran it: nothing is known of them."""

Json = dict[str, object]


class Recipe(Struct, frozen=True):
    """What a build was told that decides bytes."""

    named: tuple[Installable, ...]
    """Those that the user named; the first one names the image."""
    document: Document
    """What nix2oci.yaml says of the image."""
    config: str
    """The file, where the user named one; `""` for that beside the flake."""
    flags: Mapping[str, object]
    """What flags say of the image, by name."""
    options: tuple[str, ...]
    """Those of Nix."""


class Builder(Struct, frozen=True):
    """Who makes it, and when if that is to be said."""

    id: str
    times: tuple[datetime, datetime] | None = None
    """Begin and end."""
    version: str = ""
    """Of nix2oci."""


def provenance_document(
    images: Sequence[WrittenImage], nix: NixClient, recipe: Recipe, builder: Builder
) -> TrustDocument:
    """The provenance of an image, or of an index of several, without another run of Nix.

    Raises `NixOutputError`.
    """
    sources = _flakes(nix, recipe.named)
    definition: Json = {
        "buildType": BUILD_TYPE,
        "externalParameters": _external(images, recipe, sources),
        "internalParameters": _internal(images, builder.version),
        "resolvedDependencies": [*_dependencies(images, nix, sources)],
    }
    details: Json = {"builder": {"id": builder.id}, "byproducts": [*_store_paths(images, nix)]}
    if builder.times:
        began, ended = map(rfc3339, builder.times)
        details["metadata"] = {"startedOn": began, "finishedOn": ended}
    data = canonical_json({"buildDefinition": definition, "runDetails": details})
    return TrustDocument("provenance", IN_TOTO, PREDICATE, data)


Flakes = Mapping[str, tuple[LockedSource, ...]]
"""By flake reference as it was typed: the flake, and then its inputs."""


def _flakes(nix: NixClient, named: Iterable[Installable]) -> Flakes:
    of_flakes = [each for each in named if each.kind == "flake"]
    return {each.flake_ref: locked_sources(nix.metadata(each)) for each in of_flakes}


# --- what was asked for --------------------------------------------------------------------------


def _external(images: Sequence[WrittenImage], recipe: Recipe, flakes: Flakes) -> Json:
    main = flakes.get(recipe.named[0].flake_ref, ())
    overridden = {name for name, _ in values_of(recipe.options, "--override-input")}
    found: Json = {
        "installables": [_installable(each, flakes) for each in recipe.named],
        "platforms": sorted(
            str(Platform.of_system(image.prepared.package.system)) for image in images
        ),
        "impure": "--impure" in recipe.options,
        "overrides": [each.name for each in main if each.name in overridden],
        "configuration": public(recipe.document),
        "configurationFile": public_text(recipe.config),
        "flags": public(_given(recipe.flags)),
    }
    return {key: value for key, value in found.items() if value not in ({}, [], "")}


def _systems(images: Sequence[WrittenImage]) -> list[str]:
    return [image.prepared.package.system for image in images]


def _installable(each: Installable, flakes: Flakes) -> Json:
    """As it was typed, and what that was locked to; without what only this machine knows."""
    locked = flakes[each.flake_ref][0].reference if each.kind == "flake" else ""
    found = {
        "flake": public_reference(each.flake_ref) if each.kind == "flake" else "",
        "locked": locked,
        "attribute": each.attr,
        "storePath": each.store_path,
    }
    outputs = list(each.output_names)
    return {key: value for key, value in found.items() if value} | (
        {"outputs": outputs} if outputs else {}
    )


def _given(flags: Mapping[str, object]) -> Json:
    return {name: value for name, value in flags.items() if value is not None and value != ()}


def public(value: object) -> object:
    """A value of JSON without credentials in the URLs that are in its texts."""
    if isinstance(value, str):
        return public_text(value)
    if isinstance(value, Mapping):
        return {str(key): public(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [public(each) for each in value]
    return value if isinstance(value, bool | int) or value is None else str(value)


def _internal(images: Sequence[WrittenImage], version: str) -> Json:
    """The versions that decide bytes."""
    with_launchers = [image for image in images if image.prepared.shells.launchers]
    machines = sorted({system.partition("-")[0] for system in _systems(with_launchers)})
    launchers = {machine: launcher_digest(machine) for machine in machines}
    found: Json = {
        "nix2oci": version,
        "compressor": images[0].compressor,
        "layerForm": ", ".join(map(layer_form, images[0].prepared.spec.compressions.all)),
    }
    return {**found, "launchers": launchers} if launchers else found


# --- what it was made of -------------------------------------------------------------------------


def _dependencies(images: Sequence[WrittenImage], nix: NixClient, flakes: Flakes) -> Iterator[Json]:
    for number, (ref, found) in enumerate(flakes.items()):
        top = "flake" if not number else f"flake {public_reference(ref) or number + 1}"
        for each in found:
            yield from _source(each, f"{top}: {each.name}" if each.name else top)
    wanted = [
        target.path
        for image in images
        for built in image.prepared.built
        for target in (*built.package.wanted, *built.package.program_wanted)
        if target.path.endswith(".drv")
    ]
    for path, digest in derivation_digests(nix, wanted).items():
        yield {"uri": f"nix:{path}", "digest": {"sha256": digest}}
    bases = [image.prepared.on_base.base for image in images if image.prepared.on_base]
    for base in {each.digest: each for each in bases}.values():
        yield {"name": f"base image {base.name}", "digest": {"sha256": base.digest.hex}}
    indexes = {fleet.digest for image in images if (fleet := image.prepared.plan.fleet)}
    for digest in sorted(indexes):
        yield {"name": "popularity index", "digest": {"sha256": digest.removeprefix("sha256:")}}


def _source(each: LockedSource, name: str) -> Iterator[Json]:
    digest = {"gitCommit": each.commit, "narSha256": each.nar_hash}
    found: Json = {
        "name": name,
        "uri": each.reference,
        "digest": {key: value for key, value in digest.items() if value},
        "annotations": {"dirty": True} if each.is_dirty else {},
    }
    if each.reference or each.commit or each.nar_hash:
        yield {key: value for key, value in found.items() if value}


def _store_paths(images: Sequence[WrittenImage], nix: NixClient) -> Iterator[Json]:
    """Each store path of the images, with what speaks for it."""
    known = evidence(nix)
    for path in sorted({path for image in images for path in image.prepared.closure}):
        if found := known.get(path):
            yield _store_path(path, found)


def _store_path(path: StorePath, found: Evidence) -> Json:
    notes: Json = {
        "narSize": found.info.nar_size,
        "references": sorted(each.base for each in found.info.references),
        "deriver": found.deriver,
        "signatures": list(found.signatures),
        "builtHere": found.is_ultimate,
        "contentAddress": found.content_address,
    }
    return {
        "uri": f"nix:{path}",
        "digest": {"narSha256": found.info.nar_hash.hex()},
        "annotations": {key: value for key, value in notes.items() if value},
    }

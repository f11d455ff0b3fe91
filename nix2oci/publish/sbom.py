"""Bills of materials: of an image that was written, of a plan, and in which formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from nix2oci.model.closure import StorePath, format_nar_hash, store_path_of
from nix2oci.model.slim_rules import EVERYTHING, RuleSet
from nix2oci.oci.base_image import BaseImage
from nix2oci.oci.spec import Digest, Platform, store_paths_digest
from nix2oci.pipeline.build import WrittenImage
from nix2oci.pipeline.debug_twin import Twin
from nix2oci.pipeline.platforms import Published
from nix2oci.pipeline.prepared import Prepared
from nix2oci.plan.debug_layer import SUFFIX
from nix2oci.publish.image_sbom import described
from nix2oci.trust.components import (
    NO_FACTS,
    BaseComponent,
    Bill,
    LanguagePackage,
    StoreComponent,
    Subject,
)
from nix2oci.trust.cyclonedx import cyclonedx
from nix2oci.trust.knowledge import Knowledge
from nix2oci.trust.spdx import spdx
from nix2oci.trust.trust_document import CYCLONEDX, SPDX, TrustDocument

SbomFormat = Literal["cyclonedx", "spdx"]
"""A format of bills of materials, in the order in which scanners are to find them."""

_WRITERS: Mapping[SbomFormat, tuple[str, str, Callable[..., bytes]]] = {
    "cyclonedx": (CYCLONEDX, "https://cyclonedx.org/bom", cyclonedx),
    "spdx": (SPDX, "https://spdx.dev/Document", spdx),
}
FILE_ENDINGS: Mapping[str, str] = {"cyclonedx": ".cdx.json", "spdx": ".spdx.json"}
"""How the names of such files end, by which scanners know them."""

_TOOLS = "packages of languages in the tools: their files were not looked through"
_UNREAD = "packages of languages: files were not looked through"


def sbom_documents(
    image: WrittenImage,
    formats: Sequence[SbomFormat],
    *,
    guess_cpes: bool = False,
    twin: bool = False,
) -> tuple[TrustDocument, ...]:
    """The bill of materials of an image, or of its debug twin, in each format; CycloneDX first.

    A function of the image and of what Nix knows of its store paths. The image is to be built for
    a destination that `describes`, else packages of languages are missing, and it says so.
    """
    prepared = image.prepared
    digest = image.image.descriptor.digest
    subject = Subject(
        image.identity.name.repository.rpartition("/")[2],
        digest,
        image.identity.created,
        Platform.of_system(prepared.package.system),
        described(image.identity.annotations),
    )
    layers = _diff_ids(image)
    bill = planned_bill(prepared, subject, image.known, layers)
    if twin and image.twin:
        bill = _with_tools(bill, image.twin)
    return documents_of(bill, formats, guess_cpes=guess_cpes)


def sbom_files(published: Sequence[Published]) -> dict[str, bytes]:
    """The content of a file for each image and format, by its name.

    That is the name of the image, with its tag where several have that name, and where it is for
    one of several platforms with that.
    """
    found: dict[str, bytes] = {}
    for each in published:
        for image, platform in zip(each.images, each.platforms, strict=True):
            own = image.identity.name
            several = sum(other.main.name.repository == own.repository for other in published) > 1
            name = own.repository.replace("/", "-") + (f"-{own.tag}" if several else "")
            suffix = f"-{platform.architecture}{platform.variant or ''}"
            name += suffix if len(each.images) > 1 else ""
            for twin in (False, True) if image.twin else (False,):
                for document in sbom_documents(image, tuple(_WRITERS), twin=twin):
                    ending = (SUFFIX if twin else "") + FILE_ENDINGS[document.kind]
                    found[name + ending] = document.data
    return found


def documents_of(
    bill: Bill, formats: Sequence[SbomFormat], *, guess_cpes: bool = False
) -> tuple[TrustDocument, ...]:
    """A bill in each of the formats; CycloneDX first, as scanners take the first that they find."""
    return tuple(
        TrustDocument(kind, media_type, predicate_type, write(bill, guess_cpes=guess_cpes))
        for kind, (media_type, predicate_type, write) in _WRITERS.items()
        if kind in formats
    )


def plan_subject(prepared: Prepared, name: str, created: datetime) -> Subject:
    """An image that is not written: it has the digest of its store paths for a name."""
    infos = prepared.closure.infos
    digest = store_paths_digest({str(path): info.nar_hash for path, info in infos.items()})
    platform = Platform.of_system(prepared.package.system)
    return Subject(name, digest, created, platform, is_written=False)


def planned_bill(
    prepared: Prepared,
    subject: Subject,
    known: Knowledge | None,
    layers: Mapping[StorePath, Digest],
) -> Bill:
    """The bill of what was decided, with all that the image holds and what was left out of it.

    `layers` are diff IDs, of an image that is written.
    """
    closure = prepared.closure
    replaced: dict[StorePath | None, list[str]] = {}
    for file in sorted(map(os.fsdecode, prepared.shells.launchers)):
        replaced.setdefault(store_path_of(file, closure.store_dir), []).append(file)
    found, rules = known or Knowledge(), prepared.slim.rules if prepared.slim else EVERYTHING
    components = tuple(
        StoreComponent(
            path,
            closure.references(path),
            format_nar_hash(info.nar_hash),
            str(layers.get(path, "")),
            info.deriver,
            found.facts.get(path, NO_FACTS),
            tuple(replaced.get(path, ())),
            tuple(_left(path, found.packages.get(path, ()), rules)),
            str(rules) if rules.leaves_something_out else "",
        )
        for path, info in closure.infos.items()
    )
    return Bill(
        subject,
        tuple(sorted(closure.roots)),
        components,
        tuple(sorted(found.outside)),
        base=_base(prepared.on_base.base) if prepared.on_base else None,
        dropped=tuple(sorted(info.path for info in prepared.shells.dropped)),
        unknown=() if known else (_UNREAD,),
    )


def _with_tools(bill: Bill, twin: Twin) -> Bill:
    """The bill of the debug twin: the same with its tools and what they need, in the top layer.

    Of the tools themselves only programs are there, and not in the store: they have no NAR hash.
    """
    known = {each.path for each in bill.components}
    infos = {info.path: info for info in (*twin.tools.paths, *twin.tools.outputs)}
    there = infos.keys() | known
    tools = [
        StoreComponent(
            info.path,
            tuple(other for other in info.references if other != info.path and other in there),
            format_nar_hash(info.nar_hash) if info in twin.tools.paths else "",
            str(twin.layer.diff_id),
            info.deriver,
        )
        for info in infos.values()
        if info.path not in known
    ]
    needed = {other for each in tools for other in each.references}
    tops = (each.path for each in tools if each.path not in needed)
    return replace(
        bill,
        subject=replace(bill.subject, digest=twin.image.descriptor.digest),
        roots=tuple(sorted({*bill.roots, *tops})),
        components=tuple(sorted((*bill.components, *tools), key=lambda each: each.path)),
        dropped=tuple(path for path in bill.dropped if path not in there),
        unknown=(*bill.unknown, _TOOLS),
    )


def _left(
    path: StorePath, packages: Iterable[LanguagePackage], rules: RuleSet
) -> Iterator[LanguagePackage]:
    """The packages of languages whose files no rule leaves out."""
    for each in packages:
        inside = os.fsencode(each.file.removeprefix(f"{path}/"))
        if not rules.leaves_out(inside):
            yield each


def _base(base: BaseImage) -> BaseComponent:
    return BaseComponent(base.name, str(base.digest))


def _diff_ids(image: WrittenImage) -> dict[StorePath, Digest]:
    """The layer of each store path, those of the base image's own too."""
    found: dict[StorePath, Digest] = {}
    prepared = image.prepared
    if prepared.on_base:
        base = prepared.on_base.base
        for diff_id, contents in zip(base.config.diff_ids, base.contents, strict=True):
            for path in prepared.on_base.present:
                if str(path) in contents.store_paths:
                    found.setdefault(path, diff_id)
    for layer, plan in zip(image.layers, prepared.plan.layers, strict=False):
        found |= dict.fromkeys(plan.paths, layer.diff_id)
    return found

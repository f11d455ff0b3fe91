"""Why an image is not what was made again: what was another thing when it was made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from nix2oci.compare.difference import Change
from nix2oci.compare.layer_members import MOVED
from nix2oci.compare.rebuilt_image import Rebuilt
from nix2oci.model.annotation_keys import POPULARITY
from nix2oci.nix.locked_sources import LockedSource
from nix2oci.oci.base_image import BASE_DIGEST
from nix2oci.oci.layer.blob import layer_form, slim_rules
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import LAYER_FORM, PREDEFINED
from nix2oci.pipeline.build import WrittenImage
from nix2oci.pipeline.templates import launcher_digest
from nix2oci.text import and_more, count
from nix2oci.trust.provenance_claims import Claims, Resource

_REVISION = f"{PREDEFINED}revision"
_SHOWN = 12
"""Characters of a digest."""
_NAMED = 3
"""Settings."""


class Origins(Struct, frozen=True):
    """What both images are said to come of."""

    claims: Claims | None
    """Of the image."""
    sources: Sequence[LockedSource]
    """Of the rebuilt one, the flake first."""
    version: str
    """Of this nix2oci."""


def reasons(
    source: ImageSource, found: Rebuilt, written: WrittenImage, origins: Origins
) -> list[str]:
    """What explains the difference, the first cause first; empty where nothing does."""
    claims, sources, version = origins.claims, origins.sources, origins.version
    commit = [*_commit(source, written)]
    told = [
        *_damage(found),
        *commit,
        *(_inputs(claims, sources[bool(commit) :]) if claims else ()),
        *(_conditions(claims) if claims else ()),
        *_base(source, written),
        *_popularity(source, written),
        *_compressor(source, found, written),
        *_launcher(found, written, claims),
    ]
    if found.changes and not told:
        told.append(f"another nixpkgs, or another input: {_changed(found.changes)}")
    if not told and found.place and found.place.what == MOVED:
        told.append("layers are planned in another way: other settings, or another nix2oci")
    if not told and found.place and found.place.store_path:
        told += _store_path(found.place.store_path, written, claims)
    was = claims.internal.nix2oci if claims else version
    if not told and was != version:
        told.append(f"another version of nix2oci: {was} made the image, this is {version}")
    if not told and found.settings:
        names = and_more([each.name for each in found.settings], _NAMED)
        told.append(f"other settings than the image was made with: {names}")
    if not told and found.place:
        otherwise = "" if claims else ", or made by another version of nix2oci"
        told.append(f"the image was changed after it was made{otherwise}")
    return told


def _damage(found: Rebuilt) -> Iterator[str]:
    for number, pair in enumerate(found.layers, 1):
        if pair.found != pair.said:
            yield f"layer {number} was changed where it is kept: its manifest names {pair.said}"


def _commit(source: ImageSource, written: WrittenImage) -> Iterator[str]:
    was = source.manifest().annotations.get(_REVISION, "")
    now = written.identity.annotations.get(_REVISION, "")
    if was != now:
        yield f"another commit: the image is of {was or 'none'}, and {now or 'none'} was rebuilt"
    if was.endswith("-dirty"):
        yield "the image is of a tree with changes, which no commit has"


def _inputs(claims: Claims, sources: Sequence[LockedSource]) -> Iterator[str]:
    """Inputs of the flake that are locked to something else; the flake itself by its files."""
    for each in sources:
        name = f"flake: {each.name}" if each.name else "flake"
        claimed = claims.source(name)
        was, now = claimed.digest.get("narSha256", ""), each.nar_hash
        if was and now and was != now:
            what = f"another {each.name}" if each.name else "other files of the flake"
            yield f"{what}: {_named(claimed)} when it was made, {_locked(each)} here"


def _named(claimed: Resource) -> str:
    return claimed.uri or f"NAR hash {claimed.digest['narSha256'][:_SHOWN]}"


def _locked(each: LockedSource) -> str:
    return each.reference or f"NAR hash {each.nar_hash[:_SHOWN]}"


def _conditions(claims: Claims) -> Iterator[str]:
    if claims.external.impure:
        yield "an impure input: it was evaluated with --impure, on a machine that nobody describes"
    if claims.source("flake").annotations.get("dirty") is True:
        yield "the flake had changes that no commit has"


def _base(source: ImageSource, written: WrittenImage) -> Iterator[str]:
    was = source.manifest().annotations.get(BASE_DIGEST, "")
    on = written.prepared.on_base
    now = str(on.base.digest) if on else ""
    if was != now:
        yield f"another base image: {was or 'none'} in the image, {now or 'none'} here"


def _popularity(source: ImageSource, written: WrittenImage) -> Iterator[str]:
    was = source.manifest().annotations.get(POPULARITY, "")
    fleet = written.prepared.plan.fleet
    now = fleet.digest if fleet else ""
    if was != now:
        yield f"another popularity index: {was or 'none'} in the image, {now or 'none'} here"


def _compressor(source: ImageSource, found: Rebuilt, written: WrittenImage) -> Iterator[str]:
    on = written.prepared.on_base
    below = len(on.base.layers) if on else 0
    forms = (layer.annotations.get(LAYER_FORM, "") for layer in source.layers()[below:])
    was = dict.fromkeys(slim_rules(form)[0] for form in forms if form)
    now = dict.fromkeys(map(layer_form, written.prepared.spec.compressions.all))
    if was.keys() - now.keys():
        yield f"another compressor: {_quoted(was)} made the image, and {_quoted(now)} is here"
    elif any(pair.has_same_contents and not pair.is_same for pair in found.layers):
        yield "another compressor: the files are the same, and their compressed form is not"


def _quoted(forms: Iterable[str]) -> str:
    return " and ".join(f"'{form}'" for form in forms)


def _launcher(found: Rebuilt, written: WrittenImage, claims: Claims | None) -> Iterator[str]:
    machine = written.prepared.package.system.partition("-")[0]
    was = claims.internal.launchers.get(machine, "") if claims else ""
    launchers = {os.fsdecode(path) for path in written.prepared.shells.launchers}
    at_one = found.place is not None and found.place.path in launchers
    if not launchers or not (was or at_one):
        return
    now = launcher_digest(machine)
    if was != now and (was or not found.changes):
        yield f"another launcher: {was[:_SHOWN] or 'unknown'} in the image, {now[:_SHOWN]} here"


def _changed(changes: Sequence[Change]) -> str:
    first = changes[0]
    sides = [str(side.path) for side in (first.old, first.new) if side]
    more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"{count(len(changes), 'store path')} differ, the first {' and '.join(sides)}{more}"


def _store_path(path: str, written: WrittenImage, claims: Claims | None) -> Iterator[str]:
    """Why a store path of the same name has other bytes."""
    was = claims.nar_hash(path) if claims else ""
    infos = {str(each): info for each, info in written.prepared.closure.infos.items()}
    now = infos[path].nar_hash.hex() if path in infos else ""
    if was and now and was != now:
        hashes = f"NAR hash {was[:_SHOWN]} when it was made, {now[:_SHOWN]} here"
        yield f"the derivation of {path} gives other bytes each time: {hashes}"
    elif was and now:
        yield "the image was changed after it was made: Nix had the bytes that it has here"
    else:
        yield "the image was changed, or the derivation gives other bytes each time"

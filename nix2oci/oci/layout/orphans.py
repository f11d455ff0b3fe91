"""What a layout lists about images that it has no more.

Only what is made here goes with its image: the next build makes it again. What others attached
keeps the image that it is about.
"""

from __future__ import annotations

import os

from nix2oci.errors import OutputError
from nix2oci.oci.artifact import is_made_here
from nix2oci.oci.documents import read_manifest
from nix2oci.oci.fields import Fields, Json
from nix2oci.oci.layout.target_checks import reachable, read_json, tags_of
from nix2oci.oci.spec import BLOBS, REF_NAME, Descriptor


def without_orphans(layout: str, index: Fields, before: frozenset[str]) -> list[Json]:
    """The entries of an index, without those about what was there `before` and is gone.

    What is about something that never was there stays as well.
    """
    entries = index["manifests"].objects()
    if not before or all(tags_of(index)):
        return [entry.values for entry in entries]
    about = [(entry, _subject(layout, entry)) for entry in entries]
    kept = [entry for entry, subject in about if subject not in before]
    waiting = [(entry, subject) for entry, subject in about if subject in before]
    while waiting:
        there = reachable(layout, Fields({"manifests": [each.values for each in kept]}))
        found = [entry for entry, subject in waiting if there is None or subject in there]
        if not found:
            break
        kept += found
        waiting = [pair for pair in waiting if pair[0] not in found]
    return [entry.values for entry in entries if entry in kept]


def _subject(layout: str, entry: Fields) -> str | None:
    """The hex digest of what a manifest of ours is about; None for all else."""
    described = Descriptor.read(Fields.of(dict(entry.values)))
    if described is None or REF_NAME in described.annotations:
        return None
    try:
        document = read_json(os.path.join(layout, BLOBS, described.digest.hex), layout)
    except OutputError:
        return None
    manifest = read_manifest(document)
    is_ours = manifest.subject is not None and is_made_here(manifest)
    return manifest.subject.digest.hex if manifest.subject and is_ours else None

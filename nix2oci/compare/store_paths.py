"""The store paths that lie in the layers of an image, each with the hash of what lies there."""

from __future__ import annotations

from collections.abc import Iterable

from nix2oci.errors import LayoutError
from nix2oci.model.annotation_keys import SHELL, SLIM
from nix2oci.model.closure import format_nar_hash
from nix2oci.oci.fields import Fields, parse_object
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import SLIMMED
from nix2oci.oci.validate.read_layers import DAMAGE, read_layers
from nix2oci.trust.listed_paths import InLayers


def in_layers(source: ImageSource, workers: int) -> tuple[InLayers, tuple[str, ...]]:
    """What lies in the layers, and what is wrong with them; each is read once.

    Raises `OutputError`, `LayoutError`.
    """
    layers, diff_ids = source.layers(), source.config().diff_ids
    hashes: dict[str, set[str]] = {}
    damage = []
    read = read_layers(source, layers, diff_ids, workers, hash_store_paths=True)
    for layer, contents in zip(layers, read, strict=True):
        for path in contents.store_paths:
            hashes.setdefault(path, set())
        for path, digest in contents.nar_hashes.items() if SLIMMED not in layer.annotations else ():
            hashes[path].add(format_nar_hash(digest))
        damage += [str(each) for each in contents.findings if each.code in {*DAMAGE, "diff-id"}]
    for path in _changed(source, hashes) & hashes.keys() if len(layers) == 1 else ():
        hashes[path] = set()
    found = {path: frozenset(known) for path, known in hashes.items()}
    return InLayers(found), tuple(damage)


def _changed(source: ImageSource, paths: Iterable[str]) -> set[str]:
    """Store paths that are not as Nix made them, of an image of one layer, which has no originals.

    In one a launcher is in the place of a wrapper, or a script without its shell is hidden; of a
    slim image it may be any.
    """
    notes = source.manifest().annotations
    if SLIM in notes:
        return set(paths)
    try:
        record = Fields.of(parse_object(notes.get(SHELL, "{}").encode(), SHELL))
        wrappers = record["wrappers"].objects()
    except LayoutError:
        return set()
    files = [each["file"].text() or "" for each in wrappers if each["became"].text()]
    return {"/".join(file.split("/")[:4]) for file in (*files, *record["hidden"].texts())}

"""Whether an image could be made again: what `verify --rebuild` says, and prints with `--json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nix2oci.compare.rebuilt_image import LayerPair, Rebuilt
from nix2oci.text import and_more

Json = dict[str, object]
Result = tuple[Rebuilt, Sequence[str]]
"""What became of the image of one platform, and why it is not the same."""

_SHOWN = 3


def rebuilt_document(image: str, results: Sequence[Result]) -> Json:
    """All of it; digests and diff IDs of layers are base layer first."""
    return {
        "image": image,
        "reproduced": all(found.is_same for found, _ in results),
        "platforms": [_document(*each) for each in results],
    }


def _document(found: Rebuilt, reasons: Sequence[str]) -> Json:
    first = found.place
    return {
        "platform": str(found.platform),
        "reproduced": found.is_same,
        "digest": str(found.digest),
        "rebuilt": str(found.made),
        "layers": [_layer(pair) for pair in found.layers],
        "first_layer": found.number,
        "store_path": (first and first.store_path) or None,
        "path": (first and first.path) or None,
        "difference": (first and first.what) or None,
        "settings": [
            {"name": each.name, "image": each.old, "rebuilt": each.new} for each in found.settings
        ],
        "store_paths": [
            {
                "image": str(each.old.path) if each.old else None,
                "rebuilt": str(each.new.path) if each.new else None,
            }
            for each in found.changes
        ],
        "reasons": list(reasons),
    }


def _layer(pair: LayerPair) -> Json:
    return {
        "digest": str(pair.found) if pair.found else None,
        "diff_id": pair.found_diff_id or None,
        "rebuilt_digest": str(pair.made) if pair.made else None,
        "rebuilt_diff_id": pair.made_diff_id or None,
    }


def rebuilt_lines(image: str, results: Sequence[Result]) -> Iterator[str]:
    """A line for each platform and, below one that differs, where and why."""
    for found, reasons in results:
        if found.is_same:
            yield f"{image} is reproduced for {found.platform}: {found.digest}"
            continue
        yield f"{image} is not reproduced for {found.platform}: {_digests(found)}"
        yield from (f"  {line}" for line in _where(found))
        yield from (f"  why: {reason}" for reason in reasons)


def _digests(found: Rebuilt) -> str:
    if found.digest == found.made:
        return "a layer is not what its manifest says"
    return f"{found.digest} is the image, {found.made} was rebuilt"


def _where(found: Rebuilt) -> Iterator[str]:
    if found.number is not None:
        pair = found.layers[found.number - 1]
        sides = f"{pair.found or 'none'} in the image, {pair.made or 'none'} rebuilt"
        only_form = "; the same files in another compressed form" if pair.has_same_contents else ""
        number = f"layer {found.number} of {len(found.layers)}"
        yield f"{number} is the first that differs: {sides}{only_form}"
    if found.place:
        of, path = found.place.store_path, found.place.path
        within = path.removeprefix(of).strip("/") if of else ""
        yield f"{of}: {within} {found.place.what}" if within else f"{path} {found.place.what}"
    if found.changes:
        held = [each.new or each.old for each in found.changes]
        names = [str(each.path) for each in held if each]
        yield f"other store paths, {len(names)}: {and_more(names, _SHOWN)}"
    for each in found.settings:
        yield f"{each.name}: {each.old or 'none'} in the image, {each.new or 'none'} rebuilt"

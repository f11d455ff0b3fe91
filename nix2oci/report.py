"""What was planned or built, as documents for machines; what `--json` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nix2oci.build import Planned, WrittenImage
from nix2oci.nix.closure import Closure, PathInfo
from nix2oci.oci.layer import Layer
from nix2oci.oci.spec import rfc3339
from nix2oci.plan.known import known
from nix2oci.plan.layering import LayerPlan, Plan
from nix2oci.plan.shell import Mention, Shells
from nix2oci.plan.tree import display
from nix2oci.plan.wrappers import Wrapper
from nix2oci.plan.wrappers.binary import BinaryWrapper
from nix2oci.plan.wrappers.chain import Chain
from nix2oci.plan.wrappers.explain import chain_document, refusal_document, wrapper_document
from nix2oci.plan.wrappers.refusal import Refusal
from nix2oci.twin import Twin

Json = dict[str, Any]


def plan_document(closure: Closure, plan: Plan, shells: Shells | None = None) -> Json:
    """A plan: sizes in bytes of NAR, layers base layer first; `shell` null where none was read."""
    return {
        "nar_size": closure.nar_size,
        "roots": [str(path) for path in closure.roots],
        "layers": [_planned_layer(layer) for layer in plan.layers],
        "shell": shell_document(shells) if shells else None,
    }


def build_document(built: WrittenImage) -> Json:
    """An image that was written: digests, sizes in bytes of blob and of tar, base layer first."""
    planned: Planned = built.planned
    plans: list[LayerPlan | None] = [*planned.plan.layers, None]
    return {
        "name": str(built.decided.name),
        "digest": str(built.image.descriptor.digest),
        "image_id": str(built.image.id),
        "created": rfc3339(built.decided.created),
        "entrypoint": list(built.decided.entrypoint),
        "compressor": built.compressor,
        "size": sum(layer.size for layer in built.layers),
        "nar_size": planned.closure.nar_size,
        "roots": [str(path) for path in planned.closure.roots],
        "layers": [
            _written_layer(layer) | (_planned_layer(plan) if plan else {"paths": []})
            for layer, plan in zip(built.layers, plans, strict=False)
        ],
        "shell": shell_document(planned.shells),
        "debug": debug_document(built.twin) if built.twin else None,
    }


def debug_document(twin: Twin) -> Json:
    """The debug twin, and the one layer that it has more than the image."""
    return {
        "name": str(twin.name),
        "digest": str(twin.image.descriptor.digest),
        "image_id": str(twin.image.id),
        "tools": twin.tools.title,
        "layer": _written_layer(twin.layer)
        | {
            "paths": [str(info.path) for info in twin.tools.paths],
            "nar_size": sum(info.nar_size for info in twin.tools.paths),
        },
    }


def shell_document(shells: Shells) -> Json:
    """Wrappers and what became of them, what was dropped, and what still names a shell."""
    return {
        "mode": str(shells.mode),
        "wrappers": [*_wrappers(shells)],
        "dropped": [_path(info) for info in shells.dropped],
        "saved": shells.saved,
        "staying": [
            {
                "path": str(each.shell),
                "nar_size": shells.closure.infos[each.shell].nar_size,
                "wanted": each.wanted or None,
                "files": [_mention(mention) for mention in each.mentions],
            }
            for each in shells.staying
        ],
        "droppable": [_path(info) for info in shells.droppable],
        "broken": [_mention(mention) for mention in shells.broken],
        "calls": {display(path): list(names) for path, names in shells.calls.items()},
    }


def _wrappers(shells: Shells) -> Iterator[Json]:
    """Every script whose first line names a shell, and the wrapper binaries among the programs."""
    binaries = {p: c for p, c in shells.programs.items() if isinstance(_first(c), BinaryWrapper)}
    for path, chain in sorted({**binaries, **shells.scripts}.items()):
        first = _first(chain)
        was = first if isinstance(first, Wrapper | BinaryWrapper) else None
        refusal = chain.target or (first if isinstance(first, Refusal) else None)
        yield {
            "file": display(path),
            "became": "launcher" if path in shells.launchers else None,
            "refusal": refusal_document(refusal) if refusal else None,
            "obstacle": shells.unmade.get(path),
            "was": wrapper_document(was, chain) if was else None,
            "chain": chain_document(chain),
        }


def _first(chain: Chain) -> object:
    """What the first file of a chain is that is no link."""
    return next((s.what for s in chain.steps if not isinstance(s.what, bytes)), None)


def _mention(mention: Mention) -> Json:
    kind = known(mention)
    return {
        "file": display(mention.file),
        "kind": str(mention.kind),
        "line": mention.line,
        "text": display(mention.text),
        "shell": str(mention.shell),
        "loss": kind.loss if kind else None,
    }


def _path(info: PathInfo) -> Json:
    return {"path": str(info.path), "nar_size": info.nar_size}


def _planned_layer(layer: LayerPlan) -> Json:
    return {
        "paths": [str(path) for path in layer.paths],
        "nar_size": layer.nar_size,
        "popularity": layer.popularity,
    }


def _written_layer(layer: Layer) -> Json:
    return {
        "digest": str(layer.digest),
        "diff_id": str(layer.diff_id),
        "media_type": layer.media_type,
        "size": layer.size,
        "tar_size": layer.tar_size,
    }

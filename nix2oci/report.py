"""What was planned or built, as documents for machines; what `--json` prints."""

from __future__ import annotations

from typing import Any

from nix2oci.build import WrittenImage
from nix2oci.nix.closure import Closure
from nix2oci.oci.layer import Layer
from nix2oci.oci.spec import rfc3339
from nix2oci.plan.layering import LayerPlan, Plan

Json = dict[str, Any]


def plan_document(closure: Closure, plan: Plan) -> Json:
    """A plan: sizes in bytes of NAR, layers base layer first."""
    return {
        "nar_size": closure.nar_size,
        "roots": [str(path) for path in closure.roots],
        "layers": [_planned_layer(layer) for layer in plan.layers],
    }


def build_document(built: WrittenImage) -> Json:
    """An image that was written: digests, sizes in bytes of blob and of tar, base layer first."""
    plans: list[LayerPlan | None] = [*built.planned.plan.layers, None]
    return {
        "name": str(built.decided.name),
        "digest": str(built.image.descriptor.digest),
        "image_id": str(built.image.id),
        "created": rfc3339(built.decided.created),
        "entrypoint": list(built.decided.entrypoint),
        "compressor": built.compressor,
        "size": sum(layer.size for layer in built.layers),
        "nar_size": built.planned.closure.nar_size,
        "roots": [str(path) for path in built.planned.closure.roots],
        "layers": [
            _written_layer(layer) | (_planned_layer(plan) if plan else {"paths": []})
            for layer, plan in zip(built.layers, plans, strict=False)
        ],
    }


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

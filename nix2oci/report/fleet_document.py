"""What the images of a run have in common, as `plan --all --json` prints it."""

from __future__ import annotations

from collections.abc import Mapping

from nix2oci.compare.shared_layers import fleet_layers, stored_again
from nix2oci.pipeline.prepared import Prepared
from nix2oci.report.json_documents import plan_document


def fleet_document(images: Mapping[str, Prepared]) -> dict[str, object]:
    """Sizes in bytes of NAR; layers that most images have first."""
    layers = fleet_layers({name: each.plan for name, each in images.items()})
    infos = {path: info for each in images.values() for path, info in each.closure.infos.items()}
    return {
        "nar_size": sum(layer.nar_size * len(layer.images) for layer in layers),
        "stored": sum(layer.nar_size for layer in layers),
        "layers": [
            {
                "images": list(layer.images),
                "nar_size": layer.nar_size,
                "paths": [str(path) for path in layer.paths],
            }
            for layer in layers
        ],
        "stored_again": [
            {"path": str(path), "nar_size": infos[path].nar_size, "layers": count}
            for path, count in stored_again(layers).items()
        ],
        "images": [
            {
                "image": name,
                **plan_document(
                    *(each.closure, each.plan, each.shells, each.on_base, each.survey),
                    stored=each.spec.compressions,
                    built=each.built,
                ),
            }
            for name, each in images.items()
        ],
    }

"""What was planned or built, as documents for machines; what `--json` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nix2oci.errors import Nix2OCIError
from nix2oci.model.closure import Closure
from nix2oci.model.closure_contents import ClosureContents
from nix2oci.oci.engines import Loaded
from nix2oci.oci.inherit import Inherited
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import Compressions, stored_as
from nix2oci.oci.spec import Platform, rfc3339
from nix2oci.pipeline.stored_as import of_store_layer
from nix2oci.pipeline.templates import is_other_launcher, launcher_digest
from nix2oci.plan.development import development_files
from nix2oci.plan.layers.layering import LayerPlan, Plan
from nix2oci.plan.layers.popularity import Popularity
from nix2oci.plan.shell import ShellDecision
from nix2oci.plan.shell_record import shell_document
from nix2oci.text import display

if TYPE_CHECKING:
    from nix2oci.nix.realise import Built
    from nix2oci.pipeline.build import WrittenImage
    from nix2oci.pipeline.debug_twin import Tools, Twin
    from nix2oci.pipeline.on_base import Overlay
    from nix2oci.pipeline.platforms import Published
    from nix2oci.pipeline.prepared import Prepared
    from nix2oci.pipeline.slim import Saving, SlimSavings
    from nix2oci.plan.slim import SlimDecision
    from nix2oci.publish.image_target import ImageTarget

Json = dict[str, object]


def plan_document(
    closure: Closure,
    plan: Plan,
    shells: ShellDecision | None = None,
    on: Overlay | None = None,
    found: ClosureContents | None = None,
    *,
    stored: Compressions,
    slim: SlimSavings | None = None,
    built: Sequence[Built] = (),
) -> Json:
    """A plan: sizes in bytes of NAR, layers base layer first; `shell` null where none was read.

    `stored` is what the user asked for.
    """
    return {
        "nar_size": closure.nar_size,
        "roots": [str(path) for path in closure.roots],
        "unpinned": _unpinned(built),
        "sizes": {str(path): info.nar_size for path, info in closure.infos.items()},
        "popularity": _index(plan.fleet) if plan.fleet else None,
        "kept": {"from": plan.kept.where, "excess": plan.kept.excess} if plan.kept else None,
        "layers": [
            {**_planned_layer(layer), "compression": of_store_layer(layer, stored).asked}
            for layer in plan.layers
        ],
        "base": base_document(on) if on else None,
        "left_out": left_out_document(found) if found else None,
        "slim": slim_document(slim.decision, slim.savings) if slim else None,
        "development": development_document(closure),
        "shell": shell_document(shells) if shells else None,
    }


def development_document(closure: Closure) -> list[Json]:
    """Compilers, headers and the like, the largest first."""
    return [
        {"path": str(path), "nar_size": closure.infos[path].nar_size}
        for path in development_files(closure)
    ]


def left_out_document(found: ClosureContents) -> list[Json]:
    """What outputs have that the root does not show."""
    return [
        {"path": str(each.owner), "names": [display(name) for name in each.names]}
        for each in found.left_out
    ]


def slim_document(slim: SlimDecision, savings: Iterable[Saving] = ()) -> Json:
    """The rules by which something is left out of store paths, and what speaks against them.

    `savings` is what each would save, in bytes of the files by themselves.
    """
    saved = {
        each.rule: {"files": each.files, "size": each.size, "compressed": each.compressed}
        for each in savings
    }
    more = {"savings": saved} if saved else {}
    return {"rules": list(slim.rules.names), "against": dict(slim.against), **more}


def _index(fleet: Popularity) -> Json:
    return {"closures": len(fleet.images), "digest": fleet.digest}


def delivered_document(
    made: Published,
    target: ImageTarget,
    loaded: Loaded | None,
    pushed: Sequence[Mapping[str, object]],
) -> Json:
    """What was published and where it went; `reference` is what is printed without `--json`."""
    engine = target.engine
    here = [target.references(each.names, made.main.names) for each in made.named]
    where = [{key: sent[key] for key in ("reference", "references")} for sent in pushed] or [
        {"reference": each[0] if each else None, "references": list(each)} for each in here
    ]
    document = {**where[0], **published_document(made)}
    if isinstance(twin := document["debug"], dict):
        document["debug"] = {**where[1], **twin}
    document["loaded"] = (
        {"engine": engine.name, "id": str(loaded.id)} if engine and loaded else None
    )
    document["pushed"] = pushed[0] if pushed else None
    return document


def fleet_entry(
    name: str, document: Mapping[str, object] | None, error: Nix2OCIError | None
) -> Json:
    """What `build --all` says of one image: what it is, or why there is none."""
    if error is not None or document is None:
        said = {"message": str(error), "exit_code": error.exit_code} if error else None
        return {"image": name, "error": said}
    return {"image": name, "error": None, **document}


def published_document(made: Published) -> Json:
    """What was published: an image as `build_document` has it, or the index of several."""
    if len(made.images) == 1:
        return build_document(made.images[0])
    main, twin = made.main, made.twin
    return {
        "name": str(main.name),
        "digest": str(main.descriptor.digest),
        "platforms": [build_document(image) for image in made.images],
        "debug": {"name": str(twin.name), "digest": str(twin.descriptor.digest)} if twin else None,
    }


def build_document(built: WrittenImage) -> Json:
    """An image that was written: digests, sizes in bytes of blob and of tar, base layer first."""
    prepared: Prepared = built.prepared
    plans: list[LayerPlan | None] = [*prepared.plan.layers, None]
    reused = [layer for layer in built.layers if layer.digest in built.reused]
    return {
        "name": str(built.identity.name),
        "platform": str(Platform.of_system(prepared.package.system)),
        "digest": str(built.image.descriptor.digest),
        "image_id": str(built.image.id),
        "created": rfc3339(built.identity.created),
        "entrypoint": list(built.identity.entrypoint),
        "compressor": built.compressor,
        "launcher": _launcher(prepared),
        "size": sum(layer.size for layer in built.image.layers),
        "nar_size": prepared.closure.nar_size,
        "read": {"files": built.read.files, "bytes": built.read.bytes},
        "reused": {"layers": len(reused), "size": sum(layer.size for layer in reused)},
        "roots": [str(path) for path in prepared.closure.roots],
        "unpinned": _unpinned((*prepared.built, *((built.twin.tools,) if built.twin else ()))),
        "layers": [
            _written_layer(layer)
            | {"reused": layer in reused}
            | (_planned_layer(plan) if plan else {"paths": []})
            for layer, plan in zip(built.layers, plans, strict=False)
        ],
        "base": base_document(prepared.on_base) if prepared.on_base else None,
        "inherited": inherited_document(built.inherited),
        "left_out": left_out_document(prepared.survey),
        "slim": slim_document(prepared.slim) if prepared.slim else None,
        "development": development_document(prepared.closure),
        "shell": shell_document(prepared.shells),
        "debug": debug_document(built.twin) if built.twin else None,
    }


def _launcher(prepared: Prepared) -> Json | None:
    """The launcher without operations that those of the image are made of, None without any."""
    if not prepared.shells.launchers:
        return None
    machine = prepared.package.system.partition("-")[0]
    digest = f"sha256:{launcher_digest(machine)}"
    return {"digest": digest, "released": not is_other_launcher(machine)}


def _unpinned(built: Iterable[Built | Tools]) -> list[Json]:
    """What only the flake registry of this machine knows, and what it was."""
    named = [each.package.installable for each in built]
    return [{"installable": one.text, "url": one.became} for one in named if one.became]


def base_document(on: Overlay) -> Json:
    """The base image, and what became of its files and store paths."""
    return {
        "name": on.base.name,
        "digest": str(on.base.digest),
        "layers": len(on.base.layers),
        "size": sum(layer.size for layer in on.base.layers),
        "paths": [str(path) for path in on.present],
        "replaced": [
            {"file": "/" + display(path), "by": owner} for path, owner in on.over.replaced.items()
        ],
        "kept": ["/" + display(path) for path in on.over.kept],
    }


def inherited_document(inherited: Iterable[Inherited]) -> list[Json]:
    """What became of each part of the base's configuration."""
    return [
        {"key": row.key, "base": row.base, "image": row.image, "won": row.won} for row in inherited
    ]


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


def _planned_layer(layer: LayerPlan) -> Json:
    return {
        "paths": [str(path) for path in layer.paths],
        "nar_size": layer.nar_size,
        "popularity": layer.popularity,
        "risk": layer.risk,
        "shared_by": layer.shared_by,
    }


def _written_layer(layer: Layer) -> Json:
    return {
        "digest": str(layer.digest),
        "diff_id": str(layer.diff_id),
        "media_type": layer.media_type,
        "compression": stored_as(layer.media_type, layer.annotations),
        "size": layer.size,
        "tar_size": layer.tar_size,
    }

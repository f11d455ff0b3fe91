"""The second half of `nix2oci build`: from evaluated packages to the image and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nix2oci.cache.directory import Cache
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.render.built import say_published
from nix2oci.cli.steps.engine import load
from nix2oci.cli.steps.output_place import say_unless_ignored
from nix2oci.cli.steps.read_hints import say_warnings
from nix2oci.cli.steps.read_spec import created
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.options.files import FileOptions
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.plan import PlanOptions
from nix2oci.oci.engines import Loaded
from nix2oci.oci.reference import Reference
from nix2oci.pipeline.debug_twin import twin_names
from nix2oci.pipeline.describe import image_names
from nix2oci.pipeline.destination import Destination
from nix2oci.pipeline.image_target import ImageTarget
from nix2oci.pipeline.on_base import LOCAL, Opener
from nix2oci.pipeline.platforms import Evaluated, Named, Published, publish
from nix2oci.pipeline.write_file import write_file
from nix2oci.plan.layers.layering import LayerHints
from nix2oci.report.json_documents import delivered_document

if TYPE_CHECKING:
    from nix2oci.cli.steps.delivery import Delivery

Document = Mapping[str, Any]


def publish_image(
    builds: Sequence[Evaluated],
    spec: ImageSpec,
    target: ImageTarget,
    files: FileOptions,
    options: PlanOptions,
    *,
    cache: Cache | None,
    hints: LayerHints | None,
    opener: Opener = LOCAL,
) -> None:
    """Build the image, say what was made on stderr, and print its reference or the report."""
    output = options.output
    if missing := target.missing_directory:
        console.progress(output).step(f"making directory {missing}")
    names = image_names(spec, builds[0][1][0])
    if spec.debug:
        twin_names(names)  # said now, not after an hour of building
    delivery = _delivery(names, spec, target, options)
    with target.with_file() as file:
        destination = Destination(
            file.open,
            created(spec),
            context.cores(),
            cache,
            reads_zstd=target.output_format != "archive",
            existing=delivery.existing if delivery else None,
            opener=opener,
        )
        made = publish(builds, spec, destination, console.progress(output), hints)
        for image in made.images:
            say_warnings(image.prepared.closure, image.prepared.plan, hints, output)
        twin = target.references(made.twin.names, made.main.names) if made.twin else ()
        name = target.name(made.main.names)
        say_published(made, spec, name, twin[0] if twin else None, output)
        if file.in_git and file.output_format == "archive":
            say_unless_ignored(file.path_of(made.main.name), output)
        loaded = _load(made, file, output)
        pushed = delivery.send(file.path_of(made.main.name), made.named) if delivery else ()
    document = delivered_document(made, target, loaded, pushed)
    _write_files(made, target, document, files)
    _report(document, as_json=output.as_json)


def _delivery(
    names: Sequence[Reference], spec: ImageSpec, target: ImageTarget, options: PlanOptions
) -> Delivery | None:
    """What the registry says before anything is built, where the image is to go to one."""
    if target.push is None:
        return None
    from nix2oci.cli.steps.delivery import prepare_delivery  # only this needs a registry

    return prepare_delivery(target.push, names, spec, options, needs_all=target.needs_all)


def _load(made: Published, file: ImageTarget, output: OutputOptions) -> Loaded | None:
    """Load the image and its debug twin, if an engine is to have them; the image's answer."""
    if file.engine is None:
        return None
    path = file.path_of(made.main.name)
    loaded = [
        load(file.engine, path, each.names, made.platforms, output, again=number > 0)
        for number, each in enumerate(made.named)
    ]
    return loaded[0]


def _write_files(
    made: Published, target: ImageTarget, document: Document, files: FileOptions
) -> None:
    """The files that --metadata and --image-refs name."""
    if files.metadata:
        write_file(files.metadata, console.json_text(document).encode())
    if files.image_refs:
        lines = [
            f"{name.at(each.descriptor.digest)}\n"
            for each in made.named
            for name in _names(each, made, target)
        ]
        write_file(files.image_refs, "".join(lines).encode())


def _names(image: Named, made: Published, target: ImageTarget) -> Sequence[Reference]:
    """Those of an image where it was pushed to, else its own."""
    return target.push.references(image.names, made.main.names) if target.push else image.names


def _report(document: Document, *, as_json: bool) -> None:
    if as_json:
        console.result_json(document, err=document["reference"] is None)
    else:
        console.result(*document["references"])

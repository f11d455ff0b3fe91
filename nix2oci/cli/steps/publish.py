"""The second half of `nix2oci build`: from evaluated packages to the image and the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from nix2oci.cache.layer_store import Uploads
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.render.built import say_published
from nix2oci.cli.steps.engine import load
from nix2oci.cli.steps.order import Order
from nix2oci.cli.steps.read_hints import say_warnings
from nix2oci.cli.steps.read_spec import created
from nix2oci.config.options.files import FileOptions
from nix2oci.config.options.output import OutputOptions
from nix2oci.nix.host import is_ignored
from nix2oci.oci.engines import Loaded
from nix2oci.oci.reference import Reference
from nix2oci.pipeline.debug_twin import twin_names
from nix2oci.pipeline.describe import image_names
from nix2oci.pipeline.destination import Destination
from nix2oci.pipeline.on_base import LOCAL, Opener
from nix2oci.pipeline.platforms import Evaluated, Named, Published, publish
from nix2oci.publish.image_target import ImageTarget
from nix2oci.publish.write_file import write_file, write_into
from nix2oci.report.json_documents import delivered_document
from nix2oci.report.terminal import development

if TYPE_CHECKING:
    from nix2oci.oci.registry.repository import Repository
    from nix2oci.publish.attachments import Attachments
    from nix2oci.publish.delivery import Delivery, Sent

Document = Mapping[str, Any]


class Delivered(Struct, frozen=True):
    """An image that is where it was to go."""

    made: Published
    document: Document
    """What --json prints of it."""
    refs: tuple[str, ...]
    """The lines of --image-refs."""


def publish_image(builds: Sequence[Evaluated], order: Order) -> None:
    """Build the image, say what was made on stderr, and print its reference or the report."""
    names = image_names(order.spec, builds[0][1][0])
    if missing := order.target.missing_directory:
        console.progress(order.options.output).step(f"making directory {missing}")
    with order.open_base() as opener:
        delivery = prepared_delivery(names, order)
        done = deliver(publish_of(builds, order), order, delivery, opener=opener)
    files = order.setup.run.files
    write_files(done.document, [done], files)
    if files.provenance:
        from nix2oci.cli.steps.provenance import provenance  # few ask for it

        write_file(files.provenance, provenance(done.made.images, order).data)
    if order.options.output.as_json:
        console.result_json(done.document, err=done.document["reference"] is None)
    else:
        console.result(*done.document["references"])


def publish_of(builds: Sequence[Evaluated], order: Order) -> Callable[[Destination], Published]:
    """What builds and writes one image by itself."""
    progress = console.progress(order.options.output)
    return partial(publish, builds, order.spec, progress=progress, hints=order.hints)


def prepared_delivery(
    names: Sequence[Reference], order: Order, before: Sequence[Repository] = ()
) -> Delivery | None:
    """What can be said before Nix builds anything, by registries too, where they get the image.

    Repositories `before` got other images of the run.
    """
    target, spec = order.target, order.spec
    if spec.debug:
        twin_names(names)  # said now, not after an hour of building
    if target.push is None:
        return None
    from nix2oci.cli.steps.registry_run import registry_run  # only this needs a registry
    from nix2oci.cli.steps.send import send
    from nix2oci.publish.delivery import prepare_delivery

    registry, output = order.options.registry, order.options.output
    push, clients = partial(send, registry=registry, output=output), registry_run(registry, output)
    return prepare_delivery(
        *(target.push, names, spec, clients.clients, push),
        needs_all=target.needs_all,
        before=before,
    )


def deliver(
    make: Callable[[Destination], Published],
    order: Order,
    delivery: Delivery | None,
    *,
    opener: Opener = LOCAL,
) -> Delivered:
    """Make an image and put it where it is to go, and say what was made."""
    target, spec, output = order.target, order.spec, order.options.output
    with target.with_file() as file, _sending_early(delivery, file) as uploads:
        destination = Destination(
            file.open,
            created(spec),
            context.cores(),
            order.setup.cache,
            reads_zstd=target.output_format != "archive",
            existing=delivery.existing if delivery else None,
            opener=opener,
            uploads=uploads,
            contents=order.contents,
            describes=order.describes,
        )
        made = make(destination)
        for image in made.images:
            say_warnings(image.prepared.closure, image.prepared.plan, order.hints, output)
            for line in development.lines(image.prepared.closure, order.explained_as):
                console.progress(output).step(line)
        twin = target.references(made.twin.names, made.main.names) if made.twin else ()
        name = target.name(made.main.names)
        say_published(made, spec, name, twin[0] if twin else None, output)
        if file.in_git and file.output_format == "archive":
            say_unless_ignored(file.path_of(made.main.name), output)
        loaded = _load(made, file, output)
        attachments = _attach(made, order)
        path = file.path_of(made.main.name)
        sent = delivery.send(path, made.named, attachments) if delivery else ()
    pushed, attached = _sent_documents(sent, attachments)
    document = {**delivered_document(made, target, loaded, pushed), "attached": attached}
    refs = (
        f"{name.at(each.descriptor.digest)}\n"
        for each in made.named
        for name in _names(each, made, target)
    )
    return Delivered(made, document, tuple(refs))


def _sending_early(
    delivery: Delivery | None, file: ImageTarget
) -> AbstractContextManager[Uploads | None]:
    return delivery.sending_early(file.path or "") if delivery else nullcontext()


def _sent_documents(
    sent: Sequence[Sent], attachments: Attachments | None
) -> tuple[Sequence[Document], Sequence[Document]]:
    """What was pushed, and what is attached."""
    if not sent and not attachments:
        return (), ()
    from nix2oci.report.images import attached_documents, pushed_document  # start-up counts

    artifacts = attachments.artifacts if attachments else ()
    return [pushed_document(*each) for each in sent], attached_documents(artifacts)


def _attach(made: Published, order: Order) -> Attachments | None:
    """What goes with the image beside its bytes, made, and written where a layout stays."""
    if not order.attaching:
        return None
    from nix2oci.cli.steps.attach_built import attach_to  # few images have anything

    return attach_to(made, order.attaching, order)


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


def write_files(document: object, done: Sequence[Delivered], files: FileOptions) -> None:
    """The files that --metadata, --image-refs and the like name."""
    if files.metadata:
        write_file(files.metadata, console.json_text(document).encode())
    if files.sbom_dir:
        from nix2oci.publish.sbom import sbom_files  # seldom wanted

        write_into(files.sbom_dir, sbom_files([each.made for each in done]))
    if files.image_refs:
        write_file(files.image_refs, "".join(ref for each in done for ref in each.refs).encode())
    if files.github:
        from nix2oci.cli.steps.github_job import tell_job  # only jobs are told

        tell_job([each.document for each in done])


def _names(image: Named, made: Published, target: ImageTarget) -> Sequence[Reference]:
    """Those of an image where it was pushed to, else its own."""
    return target.push.references(image.names, made.main.names) if target.push else image.names


def say_unless_ignored(path: str, output: OutputOptions) -> None:
    """Say that git would take an archive, which may become a source of the flake."""
    if is_ignored(path, context.child_environment()) is False:
        console.progress(output).step(f"git does not ignore {path}: add it to .gitignore")

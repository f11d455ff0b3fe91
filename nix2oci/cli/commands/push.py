"""`nix2oci push`: an image, or an index, from a file to a registry."""

from __future__ import annotations

import click
from msgspec.structs import replace

from nix2oci.cli.render import console
from nix2oci.cli.steps.send import send
from nix2oci.config.options.group import argument, command, repeated
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.errors import ConfigError, NotAttachedError
from nix2oci.oci.layout.source import open_layout
from nix2oci.oci.reference import Reference, parse_reference
from nix2oci.oci.registry.push import check_digest
from nix2oci.oci.registry.push_set import read_push_set
from nix2oci.oci.registry.repository import distinct
from nix2oci.publish.delivery import at_the_end, by_repository, earlier_in, telling
from nix2oci.publish.registry_options import pushing
from nix2oci.report.images import pushed_document, pushed_references


@command(
    "push",
    argument("image"),
    click.Argument(["refs"], nargs=-1, required=True, metavar="REF..."),
    click.Option(
        ["--jobs"],
        metavar="N",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        help="How many blobs are sent at once.",
    ),
    repeated(
        "--mount-from",
        "REPOSITORY",
        "A repository of the same registry that may have some of the layers already.",
    ),
    REGISTRY,
    OUTPUT,
)
def push(
    *,
    image: str,
    refs: tuple[str, ...],
    jobs: int,
    mount_from: tuple[str, ...],
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Push IMAGE to a registry as REF, and print the reference that has its digest.

    IMAGE is a layout directory or an archive, as PATH, PATH:TAG or what `nix2oci build` printed.
    REF is REGISTRY/REPOSITORY:TAG, and may be given several times, for one registry or more.
    Credentials are those of docker and podman, or of the variables NIX2OCI_USERNAME and
    NIX2OCI_PASSWORD.
    """
    to = tuple(map(_reference, refs))
    others = [_repository(text) for text in mount_from]
    layout, tag = open_layout(image)
    push_set = read_push_set(layout, tag)
    for each in to:
        check_digest(push_set, each)
    to = distinct(to)
    there = by_repository(to)
    registries = tuple(dict.fromkeys(place.registry for place in there))
    registry = replace(pushing(registry, registries), jobs=jobs)
    arrived: list[Reference] = []
    sent = []
    with telling(arrived), at_the_end(NotAttachedError) as kept:
        for place, references in there.items():
            with kept():
                pushed = send(
                    *(push_set, layout.blobs, references),
                    registry=registry,
                    output=output,
                    arrived=arrived,
                    mount_from=[*earlier_in(place, there), *others],
                )
                sent.append(pushed)
    document = pushed_document([(push_set, pushed) for pushed in sent], to)
    if output.as_json:
        console.result_json(document)
    else:
        console.result(*pushed_references(to, sent[0].descriptor.digest))


def _reference(text: str) -> Reference:
    found = parse_reference(text)
    is_named = found.tag is not None or found.digest is not None
    return found if is_named else replace(found, tag="latest")


def _repository(text: str) -> str:
    if Reference.parse(text) != Reference(text):
        raise ConfigError(
            f"cannot mount from '{text}': it is more than a repository",
            hint="name it as REF does, without the registry and the tag",
        )
    return text

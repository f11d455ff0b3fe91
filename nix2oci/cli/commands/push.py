"""`nix2oci push`: an image, or an index, from a file to a registry."""

from __future__ import annotations

import click
from msgspec.structs import replace

from nix2oci.cli.options.group import argument, command, repeated
from nix2oci.cli.options.output import OUTPUT, OutputOptions
from nix2oci.cli.options.registry import REGISTRY, RegistryOptions
from nix2oci.cli.render import console
from nix2oci.cli.steps.registry import parse_reference
from nix2oci.cli.steps.send import send
from nix2oci.errors import ConfigError
from nix2oci.oci.layout.source import open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client_options import Repository
from nix2oci.oci.registry.push import read_push_set
from nix2oci.report.images import pushed_document


@command(
    "push",
    argument("image"),
    argument("ref"),
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
    ref: str,
    jobs: int,
    mount_from: tuple[str, ...],
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Push IMAGE to a registry as REF, and print the reference that has its digest.

    IMAGE is a layout directory or an archive, as PATH, PATH:TAG or what `nix2oci build` printed.
    REF is REGISTRY/REPOSITORY:TAG. Credentials are those of docker and podman, or of the variables
    NIX2OCI_USERNAME and NIX2OCI_PASSWORD.
    """
    to = parse_reference(ref)
    if to.tag is None and to.digest is None:
        to = replace(to, tag="latest")
    others = [_repository(text) for text in mount_from]
    layout, tag = open_layout(image)
    push_set = read_push_set(layout, tag)
    registry = replace(registry.pushing_to(Repository.of(to).registry), jobs=jobs)
    pushed = send(push_set, layout.blobs, to, registry, output, mount_from=others)
    if output.as_json:
        console.result_json(pushed_document(push_set, pushed))
    else:
        console.result(str(pushed))


def _repository(text: str) -> str:
    if Reference.parse(text) != Reference(text):
        raise ConfigError(
            f"cannot mount from '{text}': it is more than a repository",
            hint="name it as REF does, without the registry and the tag",
        )
    return text

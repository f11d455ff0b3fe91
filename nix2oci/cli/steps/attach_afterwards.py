"""Attaching to images that are in a registry already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from nix2oci import text
from nix2oci.cli.render import console
from nix2oci.cli.steps.registry import open_reference
from nix2oci.cli.steps.registry_run import registry_run
from nix2oci.compare.attached import images_of
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.oci.artifact import WithBytes
from nix2oci.oci.layout.source import Blobs, ImageSource, Layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.push import push_about
from nix2oci.oci.registry.push_set import PushSet
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.spec import Descriptor, Digest
from nix2oci.publish.registry_options import pushing
from nix2oci.report.images import referrers_document


class RemoteImage(Struct, frozen=True):
    """An image in a registry, which something is attached to."""

    name: Reference
    registry: RegistryOptions
    output: OutputOptions
    layout: Layout
    top: Descriptor
    images: tuple[ImageSource, ...]

    @classmethod
    def open(
        cls, name: Reference, written: str, registry: RegistryOptions, output: OutputOptions
    ) -> RemoteImage:
        """What a reference names, where the user has `written` that; raises as `open_reference`."""
        registry = pushing(registry, [Repository.of(name).registry])
        layout = open_reference(name, written, registry, output)
        (top,) = layout.entries()
        images = images_of(layout, None)
        plain = Descriptor(top.media_type, top.digest, top.size)
        return cls(name, registry, output, layout, plain, images)

    @property
    def subjects(self) -> tuple[Descriptor, ...]:
        """The manifests of the images, and the index of several."""
        listed = (*(each.descriptor for each in self.images), self.top)
        return tuple({each.digest: each for each in listed}.values())

    @property
    def place(self) -> Repository:
        return Repository.of(self.name)

    def attach(self, more: PushSet, data: Mapping[Digest, bytes], below: Blobs | None) -> None:
        """Attach, and say what; raises as `push_about`."""
        clients = registry_run(self.registry, self.output).clients
        push_about(self.top.digest, more, WithBytes(data, below), self.place, clients)
        number = text.count(len(more.referrers) + len(more.signatures), "manifest")
        console.progress(self.output).step(f"attached to {self.place}@{self.top.digest}: {number}")


def print_attached(done: Sequence[tuple[RemoteImage, PushSet]], output: OutputOptions) -> None:
    """The references of images that something was attached to, with their digests."""
    if output.as_json:
        console.result_json(
            [
                {"reference": f"{image.place}@{image.top.digest}", **referrers_document(more)}
                for image, more in done
            ]
        )
        return
    console.result(*(f"{image.place}@{image.top.digest}" for image, _ in done))

"""`build --push`: what is asked of the registry before the build, and what it gets afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.cli.options.plan import PlanOptions
from nix2oci.cli.steps.registry_run import registry_run
from nix2oci.cli.steps.send import send
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layout.source import open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client_options import Repository
from nix2oci.oci.registry.existing_layers import ExistingLayers, RemoteOrLocalBlobs
from nix2oci.oci.registry.push import read_push_set
from nix2oci.pipeline.destination import FindExisting
from nix2oci.pipeline.image_target import PushTarget
from nix2oci.pipeline.platforms import Named
from nix2oci.report.images import pushed_document


class Delivery(Struct, frozen=True):
    """Images on their way to a repository."""

    target: PushTarget
    options: PlanOptions
    reuse: ExistingLayers

    @property
    def existing(self) -> FindExisting | None:
        """Which layers the registry has; None where nothing is known of any."""
        return self.reuse if self.reuse.offered else None

    def send(self, path: str, images: Sequence[Named]) -> tuple[dict[str, object], ...]:
        """Push images of the layout or archive at `path`, the main one first; what is said of each.

        The main one is the last to arrive: when it is there, all are.
        """
        registry, output = self.options.registry, self.options.output
        layout, _ = open_layout(path)
        main, _ = images[0]
        found = []
        for name, _ in reversed(images):
            to = self.target.reference(name, main)
            blobs = RemoteOrLocalBlobs(layout.blobs, self.reuse.taken, str(Repository.of(to)))
            push_set = read_push_set(replace(layout, blobs=blobs), name.tag or "latest")
            known = self.reuse.known(to)
            pushed = send(push_set, blobs, to, registry, output, known=known)
            found.append(pushed_document(push_set, pushed))
        return tuple(reversed(found))


def prepare_delivery(
    target: PushTarget,
    name: Reference,
    compression: Compression,
    options: PlanOptions,
    *,
    needs_all: bool,
) -> Delivery:
    """Ask the registry who may push there, and which layers it has, before anything is built.

    `name` is the image's; with `needs_all` no layer is left out. Raises `ConfigError` for an
    earlier image that is not trusted, `RegistryError`, and `AuthenticationError`.
    """
    to = target.reference(name)
    earlier = () if needs_all else target.earlier_images(to)
    clients = registry_run(options.registry, options.output).clients
    return Delivery(target, options, ExistingLayers(to, earlier, clients, compression))

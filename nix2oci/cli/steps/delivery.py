"""`build --push`: what is asked of the registry before the build, and what it gets afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.options.registry import RegistryOptions
from nix2oci.cli.steps.push_target import PushTarget
from nix2oci.cli.steps.registry import registry_run
from nix2oci.cli.steps.send import pushed_document, send
from nix2oci.errors import ConfigError
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layout.source import open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client_options import Repository
from nix2oci.oci.registry.existing_layers import ExistingLayers, RemoteOrLocalBlobs
from nix2oci.oci.registry.push import read_push_set
from nix2oci.pipeline.destination import FindExisting
from nix2oci.pipeline.platforms import Named


@dataclass(frozen=True, slots=True)
class Delivery:
    """Images on their way to a repository."""

    target: PushTarget
    registry: RegistryOptions
    output: OutputOptions
    reuse: ExistingLayers

    @property
    def there(self) -> FindExisting | None:
        """Which layers the registry has; None where nothing is known of any."""
        return self.reuse if self.reuse.offered else None

    def send(self, path: str, images: Sequence[Named]) -> tuple[dict[str, object], ...]:
        """Push images of the layout or archive at `path`, the main one first; what is said of each.

        The main one is the last to arrive: when it is there, all are.
        """
        layout, _ = open_layout(path)
        main, _ = images[0]
        found = []
        for name, _ in reversed(images):
            to = self.target.reference(name, main)
            blobs = RemoteOrLocalBlobs(layout.blobs, self.reuse.taken, str(Repository.of(to)))
            whole = replace(layout, blobs=blobs)
            push_set = read_push_set(whole, name.tag or "latest")
            pushed = send(
                push_set, blobs, to, self.registry, self.output, known=self.reuse.known(to)
            )
            found.append(pushed_document(push_set, pushed))
        return tuple(reversed(found))


def prepare_delivery(
    target: PushTarget,
    name: Reference,
    compression: Compression,
    registry: RegistryOptions,
    output: OutputOptions,
    *,
    needs_all: bool,
) -> Delivery:
    """Ask the registry who may push there, and which layers it has, before anything is built.

    `name` is the image's; with `needs_all` no layer is left out. Raises `ConfigError` for an
    earlier image that is not trusted, `RegistryError`, and `AuthenticationError`.
    """
    to = target.reference(name)
    place = Repository.of(to)
    earlier = () if needs_all or target.force else target.reuse or (to,)
    for reference in earlier:
        _check_trust(target, reference, place)
    registry = registry.pushing_to(place.registry)
    reuse = ExistingLayers(to, earlier, registry_run(registry, output).clients, compression)
    return Delivery(target, registry, output, reuse)


def _check_trust(target: PushTarget, reference: Reference, to: Repository) -> None:
    """Raise `ConfigError` for an image that is not to be believed about its layers."""
    place = Repository.of(reference)
    if place.registry != to.registry:
        raise ConfigError(
            f"cannot reuse layers of {reference}: it is in another registry than {to}",
            hint="push it there first: nix2oci push",
        )
    if place != to and target.trust == "repository":
        raise ConfigError(
            f"cannot reuse layers of {reference}: it is in another repository than {to}",
            hint="if you trust who pushes there: --trust-reuse registry",
        )

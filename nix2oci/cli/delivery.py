"""`build --push`: what is asked of the registry before the build, and what it gets afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nix2oci.cli import options, registries, ui
from nix2oci.cli.push import pushed_document, send
from nix2oci.cli.pushing import Push
from nix2oci.errors import ConfigError
from nix2oci.oci.layer.blob import Compression
from nix2oci.oci.layout.source import open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client_options import Repository
from nix2oci.oci.registry.existing_layers import ExistingLayers, RemoteOrLocalBlobs
from nix2oci.oci.registry.push import read_push_set
from nix2oci.pipeline.build import FindExisting
from nix2oci.pipeline.platforms import Named


@dataclass(frozen=True, slots=True)
class Delivery:
    """Images on their way to a repository."""

    push: Push
    values: dict[str, Any]
    reuse: ExistingLayers
    told: set[str]
    """Lines about the registry that were said."""

    @property
    def existing(self) -> FindExisting | None:
        """Which layers the registry has; None where nothing is known of any."""
        return self.reuse if self.reuse.offered else None

    def send(self, path: str, images: Sequence[Named]) -> tuple[dict[str, Any], ...]:
        """Push images of the layout or archive at `path`, the main one first; what is said of each.

        The main one is the last to arrive: when it is there, all are.
        """
        layout, _ = open_layout(path)
        main, _ = images[0]
        found = []
        for name, _ in reversed(images):
            to = self.push.target(name, main)
            blobs = RemoteOrLocalBlobs(layout.blobs, self.reuse.taken, str(Repository.of(to)))
            whole = replace(layout, blobs=blobs)
            push_set = read_push_set(whole, name.tag or "latest")
            pushed = send(push_set, blobs, to, self.values, told=self.told)
            found.append(pushed_document(push_set, pushed))
        return tuple(reversed(found))


def delivery(
    push: Push, name: Reference, compression: Compression, values: dict[str, Any], *, whole: bool
) -> Delivery:
    """Ask the registry who may push there, and which layers it has, before anything is built.

    `name` is the image's; with `whole` no layer is left out. Raises `ConfigError` for an earlier
    image that is not trusted, `RegistryError`, and `AuthenticationError`.
    """
    to = push.target(name)
    place = Repository.of(to)
    earlier = () if whole or push.anew else push.reuse or (to,)
    for reference in earlier:
        _check_trust(push, reference, place)
    told: set[str] = set()
    progress = ui.progress(quiet=values["quiet"])
    counter = registries.once(ui.Counter(lambda _: None, progress.step), told)
    access = registries.access(values, jobs=max(options.cores(), 4), counter=counter)
    return Delivery(push, values, ExistingLayers(place, earlier, access, compression), told)


def _check_trust(push: Push, reference: Reference, to: Repository) -> None:
    """Raise `ConfigError` for an image whose word is not to be taken."""
    place = Repository.of(reference)
    if place.registry != to.registry:
        raise ConfigError(
            f"cannot reuse layers of {reference}: it is in another registry than {to}",
            hint="push it there first: nix2oci push",
        )
    if place != to and push.trust == "repository":
        raise ConfigError(
            f"cannot reuse layers of {reference}: it is in another repository than {to}",
            hint="if you trust who pushes there: --trust-reuse registry",
        )

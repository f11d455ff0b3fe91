"""What Nix made, held while it is read: outputs, their closure, and the store with its bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.model.closure import Closure, StorePath, reachable
from nix2oci.nix.client import NixClient
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.package import Package
from nix2oci.nix.realise import Built
from nix2oci.nix.remote import NixSender, known_outputs, remote_store
from nix2oci.nix.store import LocalStore, Store
from nix2oci.pipeline.progress import Progress


class Held(Struct, frozen=True):
    """Outputs and all that they refer to. Nothing of it is collected while the block lasts."""

    built: tuple[Built, ...]
    """What Nix made of each package, in their order."""
    closure: Closure
    store: Store
    """Where the bytes of the store paths come from."""
    notes: FactCache
    """What was found in files on the way."""

    def of(self, built: tuple[Built, ...]) -> Held:
        """The same for some of the packages, with what they refer to and nothing else."""
        roots, infos = _roots(built), self.closure.infos
        paths = reachable(roots, lambda path: infos[path].references)
        closure = Closure.of((infos[path] for path in paths), roots)
        return replace(self, built=built, closure=closure, notes=self.notes.shared())


@contextmanager
def hold(
    nix: NixClient, packages: Sequence[Package], progress: Progress, notes: FactCache
) -> Iterator[Held]:
    """Build packages, or ask the origin for what they are, and hold that until the block ends."""
    if nix.origin is None:
        progress.step(nix.building)
        with nix.build(packages) as built:
            yield Held(built, nix.closure(_roots(built)), LocalStore(nix.physical()), notes)
        return
    progress.step(f"asking {nix.origin} for the closure")
    built = known_outputs(nix, packages)
    sender = nix.sender or NixSender(nix, nix.origin)
    closure = sender.closure(_roots(built))
    with remote_store(sender, closure, notes) as store:
        with progress.bytes("looking through the store paths", closure.nar_size) as report_bytes:
            store.skeleton.materialize(report_bytes)
        yield Held(built, closure, store, notes)


def _roots(built: Sequence[Built]) -> list[StorePath]:
    return [root for each in built for root in each.roots]

"""What Nix made, held while it is read: outputs, their closure, and the store with its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import CaseHackError
from nix2oci.host.differences import here
from nix2oci.host.progress import Progress
from nix2oci.model.closure import Closure, StorePath, reachable, store_path_of
from nix2oci.nix.client import NixClient
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.nix_conf import Settings
from nix2oci.nix.package import Package
from nix2oci.nix.realise import Built
from nix2oci.nix.remote import NixSender, known_outputs, remote_store
from nix2oci.nix.signatures import closure_with_signatures
from nix2oci.nix.store import LocalStore, Store, has_case_hack

if TYPE_CHECKING:
    from nix2oci.nix.store_files import StoreFiles


class Held(Struct, frozen=True):
    """Outputs and all that they refer to. Nothing of it is collected while the block lasts."""

    built: tuple[Built, ...]
    """What Nix made of each package, in their order."""
    closure: Closure
    store: Store
    """Where the bytes of the store paths come from."""
    notes: FactCache
    """What was found in files on the way."""

    @property
    def files(self) -> StoreFiles:
        """The files of the closure."""
        return store_files(self.closure, self.store, self.notes)

    def judged(self, seen: CaseHackError) -> Held:
        """The same once it is known whether the store has the case hack, by an object of it."""
        root = self.store.root
        path = store_path_of(os.fsdecode(seen.place).removeprefix(root), self.closure.store_dir)
        if path is None or path not in self.closure.infos:
            raise seen
        return replace(self, store=LocalStore(root, has_case_hack(self.closure.infos[path], root)))

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
            nix.while_it_runs(_load_what_follows)
            closure = closure_with_signatures(nix, _roots(built))
            yield Held(built, closure, local_store(nix), notes)
        return
    progress.step(f"asking {nix.origin} for the closure")
    built = known_outputs(nix, packages)
    sender = nix.sender or NixSender(nix, nix.origin)
    closure = sender.closure(_roots(built))
    with remote_store(sender, closure, notes) as store:
        with progress.bytes("looking through the store paths", closure.nar_size) as report_bytes:
            store.skeleton.materialize(report_bytes)
        yield Held(built, closure, store, notes)


def _load_what_follows() -> None:
    """What looks for shells, and writes layers on all cores: few closures need neither."""
    for module in ("nix2oci.host.forked", "nix2oci.nix.shell_evidence"):
        import_module(module)


def store_files(closure: Closure, store: Store, notes: FactCache) -> StoreFiles:
    """The files of a closure that lies in a store, and what was found in them."""
    from nix2oci.nix.store_files import StoreFiles  # noqa: PLC0415  # few ask

    return StoreFiles.of(closure, store.root, notes, store.fetch, case_hack=store.case_hack)


def local_store(nix: NixClient) -> LocalStore:
    """The store that Nix builds into, with names as its settings say. Raises as `Settings.of`."""
    settings = Settings.of(nix.env, nix.options)
    said = settings.text("use-case-hack") or here().case_hack
    case_hack = settings.flag("use-case-hack", default=True) if said else None
    return LocalStore(nix.physical(), case_hack)


def _roots(built: Sequence[Built]) -> list[StorePath]:
    return [root for each in built for root in each.roots]

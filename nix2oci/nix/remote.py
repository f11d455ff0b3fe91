"""A closure in another store: the graph, signatures, and bytes that are asked for when needed.

Nothing is built and nothing is copied to the store of this machine. A store object is read as a
NAR each time, which Nix or a binary cache sends (`store.Sender`); the outline says what decisions
need, and what is small is not asked for again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from nix2oci.errors import NixCommandError, StoreError
from nix2oci.host.scratch import temporary_directory
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.tree import Entry
from nix2oci.nix.client import NixClient
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.failure import failure
from nix2oci.nix.json_output import built_outputs, path_infos
from nix2oci.nix.nar import nar_entries
from nix2oci.nix.options import Origin, setting, store_options
from nix2oci.nix.package import Package
from nix2oci.nix.realise import Built, Outputs, assign, operands, outputs_of
from nix2oci.nix.signatures import check_signatures
from nix2oci.nix.store import Sender, not_there, store_entries
from nix2oci.nix.store_skeleton import StoreSkeleton

_NO_SUBSTITUTES = ("--option", "substitute", "false")
_NOT_VALID = re.compile(r"path '(/[^']+)' is not valid")


def known_outputs(nix: NixClient, packages: Sequence[Package]) -> tuple[Built, ...]:
    """What a build would make of packages, as evaluation knows it; nothing is built.

    Raises `StoreError` for an output whose path only a build could tell, and what goes wrong
    with Nix.
    """
    wanted = [one for package in packages for one in package.wanted + package.program_wanted]
    outputs = {one.path: {"": StorePath.parse(one.path)} for one in wanted if not one.outputs}
    known: Outputs = outputs
    if any(one.outputs for one in wanted):
        exact = nix.version.selects_outputs
        asked = [o for o in operands(packages, exact=exact) if o not in outputs]
        store = store_options(nix.options, store=setting(nix.options, "eval-store"))
        argv = ("build", "--json", "--dry-run", "--no-link", *store, *_NO_SUBSTITUTES)
        done = nix.run((*argv, "--", *asked), quiet=True)
        if done.returncode:
            raise failure(done, f"cannot find out what {' '.join(asked)} would become")
        known = {**outputs, **outputs_of(built_outputs(done.stdout))}
    return tuple(assign(package, known) for package in packages)


class NixSender(Struct, frozen=True):
    """Another store that Nix asks, as `store.Sender`."""

    nix: NixClient
    origin: Origin

    def __str__(self) -> str:
        return str(self.origin)

    def closure(self, roots: Sequence[StorePath]) -> Closure:
        """The closure of store paths as another store has it, its signatures checked.

        Raises `StoreError` when a path is not there or not trusted, `ClosureError`, and what goes
        wrong with Nix.
        """
        origin = self.origin
        _check_place(origin)
        try:
            answer = self.nix.path_info(roots, origin.url)
        except NixCommandError as err:
            lacking = _NOT_VALID.search(err.stderr)
            if lacking is None:
                raise
            raise not_there(lacking[1], origin) from err
        closure = Closure.of(path_infos(answer), roots)
        check_signatures(self.nix, origin, answer)
        return closure

    def nar(self, info: PathInfo, _: str, *, again: bool) -> Generator[bytes]:
        """As Nix sends it, each time: what it has fetched before is for it to know."""
        del again
        path, options = str(info.path), store_options(self.nix.options, store=self.origin.url)
        argv = ("store", "dump-path", *options, "--", path)
        try:
            yield from self.nix.stream(argv, f"cannot read {path} from {self}")
        except NixCommandError as err:
            raise StoreError(str(err), hint=err.hint) from err


def _check_place(origin: Origin) -> None:
    """Raise `StoreError` where a store of this machine is not: Nix would make an empty one."""
    place = origin.place
    if place and not os.path.exists(place):
        raise StoreError(
            f"cannot read {origin}: there is no {place}",
            hint=f"make a store there with: nix copy --to '{origin}' PATH",
        )


class RemoteStore(Struct, frozen=True):
    """Another store, of which `skeleton` is here; as `store.Store`.

    Every method raises `StoreError` for what it cannot give, or gives with another hash.
    """

    sender: Sender
    scratch: str
    skeleton: StoreSkeleton

    @property
    def root(self) -> str:
        return self.skeleton.root

    @property
    def case_hack(self) -> bool:
        return self.skeleton.case_hack

    def fetch(self, path: bytes) -> None:
        self.skeleton.fetch(path)

    def entries(self, info: PathInfo) -> Iterator[Entry]:
        if info.path in self.skeleton.whole:
            yield from store_entries(info, self.root, case_hack=self.case_hack)
        else:
            yield from _sent(self.sender, self.scratch, info, again=False)

    def is_right(self, info: PathInfo) -> bool:
        """What the outline was drawn of was checked as it came."""
        return info.path in self.skeleton.closure


@contextmanager
def remote_store(
    sender: Sender, closure: Closure, facts_known: FactCache | None = None
) -> Iterator[RemoteStore]:
    """A closure of another store; its outline is to be drawn, and is gone when the block ends."""
    with temporary_directory() as scratch:
        root, nars = f"{scratch}/outline", f"{scratch}/nars"
        os.mkdir(root)
        os.mkdir(nars)

        def read(info: PathInfo) -> Iterator[Entry]:
            return _sent(sender, nars, info, again=not skeleton.has_room_for(info))

        skeleton = StoreSkeleton(closure, root, read, facts_known or FactCache())
        yield RemoteStore(sender, nars, skeleton)


def _sent(sender: Sender, scratch: str, info: PathInfo, *, again: bool) -> Iterator[Entry]:
    """The entries of a store object, which is sent for at once."""
    stream = sender.nar(info, scratch, again=again)
    next(stream)  # it is on its way; when nobody refers to the stream any more, it is called off
    return nar_entries(info, stream, str(sender))

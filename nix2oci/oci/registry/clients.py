"""The clients of a run: one for each repository, so that each says only once who we are."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from nix2oci.host.http.transport import Transport
from nix2oci.oci.registry.client import Client
from nix2oci.oci.registry.client_options import ClientOptions, line_to
from nix2oci.oci.registry.parallel import Background
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.spec import Digest


class Clients:
    """Clients, made when they are first asked for and kept for the next time.

    Those of one registry have their connections in common.
    """

    def __init__(self, access: ClientOptions) -> None:
        self.access = access
        self._known: dict[Repository, tuple[frozenset[str], Client]] = {}
        self._transports: dict[str, Transport] = {}
        self._holders: dict[tuple[str, Digest], str] = {}
        self._lock = Lock()
        self.background = Background()
        """What registries are asked while Nix is at work."""

    def of(self, place: Repository, *, push: bool = False, others: Iterable[str] = ()) -> Client:
        """A client of a repository: one that may push, and read others of the same registry."""
        with self._lock:
            return self._of(place, push=push, others=others)

    def _of(self, place: Repository, *, push: bool, others: Iterable[str]) -> Client:
        wanted = frozenset((*(("push",) if push else ()), *(f"from {each}" for each in others)))
        may, client = self._known.get(place, (frozenset[str](), None))
        if client is None or not wanted <= may:
            if place.registry not in self._transports:
                self._transports[place.registry] = Transport(line_to(place, self.access))
            transport = self._transports[place.registry]
            actions = "pull,push" if push else "pull"
            client = Client(place, self.access, actions, others, transport)
            self._known[place] = wanted, client
        return client

    def holder(self, place: Repository, digest: Digest) -> str | None:
        """A repository of the same registry that has a blob, as far as this run knows."""
        return self._holders.get((place.registry, digest))

    def note_holder(self, place: Repository, digests: Iterable[Digest]) -> None:
        """Blobs are in a repository: others of the registry can be given them from there."""
        for digest in digests:
            self._holders.setdefault((place.registry, digest), place.repository)

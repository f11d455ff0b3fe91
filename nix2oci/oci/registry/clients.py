"""The clients of a run: one for each repository, so that each says only once who we are."""

from __future__ import annotations

from collections.abc import Iterable

from nix2oci.oci.registry.client import Client
from nix2oci.oci.registry.client_options import ClientOptions, Repository


class Clients:
    """Clients, made when they are first asked for and kept for the next time."""

    def __init__(self, access: ClientOptions) -> None:
        self.access = access
        self._known: dict[Repository, tuple[frozenset[str], Client]] = {}

    def of(self, place: Repository, *, push: bool = False, others: Iterable[str] = ()) -> Client:
        """A client of a repository: one that may push, and read others of the same registry."""
        wanted = frozenset((*(("push",) if push else ()), *(f"from {each}" for each in others)))
        may, client = self._known.get(place, (frozenset[str](), None))
        if client is None or not wanted <= may:
            client = Client(place, self.access, "pull,push" if push else "pull", others)
            self._known[place] = wanted, client
        return client

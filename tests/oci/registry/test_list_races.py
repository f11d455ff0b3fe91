"""Two of us write the list of an image's referrers at once, and nothing is lost.

Both have a time of their own, in which requests take as long as chance has it: whoever is earlier
goes on. So every trial is another order of their requests, and the same one each time.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from urllib3 import HTTPResponse

from nix2oci.host.http.authorities import OneFile
from nix2oci.host.http.line import Line
from nix2oci.host.http.retry import Clock
from nix2oci.host.http.transport import Answer, Request
from nix2oci.oci.registry.client import Client
from nix2oci.oci.registry.client_options import ClientOptions
from nix2oci.oci.registry.environment import RegistryEnvironment
from nix2oci.oci.registry.push_set import TaggedLayer
from nix2oci.oci.registry.referrers import add_to_list, tag_of
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.registry.signature_tag import add_signature
from nix2oci.oci.spec import MANIFEST, Descriptor, Digest

TRIALS = 100
SUBJECT = Digest.of(b"an image")
SLOWEST = 0.12
"""Seconds of a request; a list is read and written within two."""


class Chance:
    """Numbers from 0 to 1, the same for each seed."""

    def __init__(self, seed: str) -> None:
        self._seed, self._drawn = seed, 0

    def draw(self) -> float:
        self._drawn += 1
        digest = hashlib.sha256(f"{self._seed} {self._drawn}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


class Turns:
    """Lets writers go on in the order of their times."""

    def __init__(self, names: list[str], chance: Chance) -> None:
        self._times = dict.fromkeys(names, 0.0)
        self._waiting: set[str] = set()
        self._chance = chance
        self._changed = threading.Condition()

    def take(self, name: str, seconds: float | None = None) -> None:
        """Let so much time pass for a writer, by default that of a request."""
        with self._changed:
            self._times[name] += self._chance.draw() * SLOWEST if seconds is None else seconds
            self._waiting.add(name)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._is_first(name), 20)
            self._waiting.discard(name)

    def _is_first(self, name: str) -> bool:
        everybody_waits = self._waiting >= self._times.keys()
        return everybody_waits and min(self._times, key=lambda n: (self._times[n], n)) == name

    def leave(self, name: str) -> None:
        with self._changed:
            del self._times[name]
            self._changed.notify_all()


class Wire:
    """The way of one writer to a repository of manifests, which takes turns with the others."""

    def __init__(self, manifests: dict[str, bytes], name: str, turns: Turns) -> None:
        self.manifests, self.name, self.turns = manifests, name, turns

    def exchange(self, request: Request) -> Answer:
        self.turns.take(self.name)
        name = request.url.rpartition("/manifests/")[2]
        if request.method == "PUT":
            assert request.body is not None
            self.manifests[name] = request.body
            return self._answer(request, 201, b"")
        found = self.manifests.get(name)
        return self._answer(request, 404 if found is None else 200, found or b"")

    @staticmethod
    def _answer(request: Request, status: int, body: bytes) -> Answer:
        response = HTTPResponse(io.BytesIO(body), status=status, preload_content=False)
        clock = Clock(lambda: 0, lambda _, __: False, lambda: 0)
        return Answer(request.method, request.url, response, Line("x", clock, OneFile()), 9)


def race(seed: int, write: Callable[[Client, str], None]) -> dict[str, bytes]:
    """What is there after two wrote at once, in an order by chance."""
    names, manifests = ["a", "b"], dict[str, bytes]()
    turns = Turns(names, Chance(f"{seed}"))

    def run(name: str) -> None:
        def wait(event: threading.Event, seconds: float) -> bool:
            turns.take(name, seconds)
            return event.is_set()

        clock = Clock(lambda: 0, wait, Chance(f"{seed}{name}").draw)
        access = ClientOptions(RegistryEnvironment(), clock)
        wire: Any = Wire(manifests, name, turns)
        try:
            write(Client(Repository("example.com", "app"), access, "pull,push", (), wire), name)
        finally:
            turns.leave(name)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, names))
    return manifests


def test_a_list_that_two_write_at_once_has_what_both_wrote() -> None:
    entries = {name: Descriptor.of(MANIFEST, name.encode()).to_json() for name in "ab"}
    lost = []
    for seed in range(TRIALS):
        found = race(seed, lambda client, name: add_to_list(client, SUBJECT, [entries[name]]))
        data = found[tag_of(SUBJECT)]
        lost += [(seed, n) for n in "ab" if str(entries[n]["digest"]).encode() not in data]
    assert lost == []


def test_so_have_the_signatures_under_a_tag() -> None:
    def write(client: Client, name: str) -> None:
        layer = Descriptor.of("application/x", b"payload", {"signature": name})
        add_signature(client, TaggedLayer("a.sig", layer), lambda _, __: None)

    for seed in range(TRIALS):
        data = race(seed, write)["a.sig"]
        assert all(f'"signature":"{name}"'.encode() in data for name in "ab")

"""An image on its way to the fake registry, as the commands push it, with a clock of its own."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace
from support.fakeregistry import CANARY, PASSWORD, USER, FakeRegistry
from support.smallimage import SmallImage

from nix2oci.errors import AuthenticationError, Nix2OCIError
from nix2oci.host.http.proxies import Proxies
from nix2oci.host.http.retry import Clock
from nix2oci.oci.layout.source import Layout, open_layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client_options import ClientOptions, Listener, Security, Timeouts
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.environment import Account, RegistryEnvironment
from nix2oci.oci.registry.push import Pushed, push
from nix2oci.oci.registry.push_set import PushSet, read_push_set
from nix2oci.oci.registry.repository import Repository

REPOSITORY = "team/web"
ALICE = Account(USER, PASSWORD)
"""For no registry yet: a desk is hers for the registry that it pushes to."""
SECRETS = (CANARY, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


@dataclass
class FakeClock:
    """Time that passes when it is waited for."""

    time: float = 1_000_000_000.0
    waited: list[float] = field(default_factory=list)

    def wait(self, event: Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.time += seconds
        return event.is_set()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.wait, lambda: 0.0)


@dataclass
class Desk:
    """Where a push is made, and everything that is said of it."""

    registry: FakeRegistry
    layout: Layout
    time: FakeClock = field(default_factory=FakeClock)
    account: Account | None = None
    files: tuple[str, ...] = ()
    """Of credentials."""
    notes: list[str] = field(default_factory=list)
    exchanges: list[str] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    address: str = ""
    """Where the registry seems to be, if that is not where it is."""
    environment: RegistryEnvironment | None = None
    """All of it, where it is not made of the rest."""
    host: str = ""
    """Stands before the registry as a proxy does, where it is set."""

    @classmethod
    def make(cls, directory: Path, registry: FakeRegistry, image: SmallImage | None = None) -> Desk:
        return cls(registry, open_layout(str((image or SmallImage()).write(directory)))[0])

    @property
    def cargo(self) -> PushSet:
        return read_push_set(self.layout)

    @property
    def blobs(self) -> list[str]:
        return [str(blob.digest) for blob in self.cargo.blobs]

    def access(self, **changes: Any) -> ClientOptions:
        proxies = Proxies(http=f"http://{self.registry.registry}") if self.host else Proxies()
        environment = changes.pop("environment", self.environment) or RegistryEnvironment(
            self.account, self.files, proxies=proxies
        )
        environment = environment.for_registry(self.reference().registry)
        listener = Listener(self.notes.append, self.exchanges.append, self.moved.append)
        access = ClientOptions(
            environment,
            self.time.clock,
            listener,
            jobs=1,
            timeouts=Timeouts(5, 5),
        )
        names = ("plain_http", "verify", "cert_dir")
        given = {name: changes.pop(name) for name in names if name in changes}
        security = Security(**{"plain_http": bool(self.host), **given})
        return replace(access, security={str(self.reference().registry): security}, **changes)

    @property
    def repository(self) -> Repository:
        return Repository.of(self.reference())

    def reference(self, tag: str | None = "1.0") -> Reference:
        return Reference(REPOSITORY, self.host or self.address or self.registry.registry, tag)

    def push(self, *, mount_from: tuple[str, ...] = (), **changes: Any) -> Pushed:
        access = changes.pop("access", None) or self.access(**changes)
        with self.remembered():
            clients = Clients(access)
            return push(
                self.cargo, self.layout.blobs, self.reference(), clients, mount_from=mount_from
            )

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Keep what a traceback of a failure would show."""
        try:
            yield
        except Nix2OCIError as err:
            self.errors += [*traceback.format_exception(err), str(err.hint)]
            raise

    def said(self) -> str:
        """Everything that anyone could read."""
        return "\n".join([*self.notes, *self.exchanges, *self.errors])

    def is_complete(self) -> bool:
        """Whether the registry has the whole image, under its tag."""
        named = self.cargo.documents[-1].descriptor
        stored: Mapping[tuple[str, str], object] = self.registry.blobs
        manifests = self.registry.manifests
        return (
            all((REPOSITORY, digest) in stored for digest in self.blobs)
            and (REPOSITORY, str(named.digest)) in manifests
            and manifests.get((REPOSITORY, "1.0")) == manifests[REPOSITORY, str(named.digest)]
        )


def refused(desk: Desk, **changes: Any) -> AuthenticationError:
    """The error of a push that is a question of who we are."""
    with pytest.raises(AuthenticationError) as caught:
        desk.push(**changes)
    assert caught.value.exit_code == 7
    return caught.value


def cause(err: Nix2OCIError) -> str:
    """What the message says after the name of the repository."""
    return str(err).partition(f"/{REPOSITORY}: ")[2]


def stored(path: Path, registry: FakeRegistry, tag: str) -> Pushed:
    """Put the image of a layout into the repository `REPOSITORY` of a registry."""
    desk = Desk(registry, open_layout(str(path))[0])
    return push(desk.cargo, desk.layout.blobs, desk.reference(tag), Clients(desk.access()))

"""How registries are talked to in one run: all that is not about one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from nix2oci.host.http.line import Advice, Line
from nix2oci.host.http.retry import Clock, Patience
from nix2oci.oci.registry.environment import RegistryEnvironment
from nix2oci.oci.registry.repository import Repository


def _nobody(_: object) -> None:
    """What is said to nobody."""


class Listener(Struct, frozen=True):
    """Who is told what happens; from any thread, also at once."""

    note: Callable[[str], None] = _nobody
    """A line for the user: which credentials are used, what is waited for, warnings."""
    exchange: Callable[[str], None] = _nobody
    """A line for each request and its answer, without anything secret."""
    moved: Callable[[int], None] = _nobody
    """Bytes of blobs that are done since the last call; negative when they must be sent again."""


class Timeouts(Struct, frozen=True):
    """Seconds."""

    connect: float = 20.0
    read: float = 60.0
    """Until something comes, and for a whole answer that is no blob."""
    helper: float = 30.0


class Security(Struct, frozen=True):
    """How connections to a registry are secured, and those to what it names."""

    plain_http: bool = False
    """Speak HTTP, with anyone who could listen."""
    may_be_plain: bool = False
    """Speak HTTP where the other side does not speak TLS."""
    verify: bool = True
    """Check certificates."""
    cert_dir: str | None = None


class ClientOptions(Struct, frozen=True):
    """How to talk to registries."""

    environment: RegistryEnvironment
    clock: Clock
    listener: Listener = Listener()
    security: Mapping[str, Security] = field(default_factory=dict)
    """By registry, as `Repository.registry` has it; the others have the defaults of `Security`."""
    jobs: int = 4
    """How many blobs are moved at once."""
    patience: Patience = field(default_factory=Patience)
    timeouts: Timeouts = Timeouts()

    def security_of(self, registry: str) -> Security:
        """How connections to a registry are secured."""
        return self.security.get(registry, Security())

    def is_plain(self, host: str) -> bool:
        """Whether the user said of a host, or `host:port`, that it has no TLS."""
        return self.security_of(host).plain_http


_ADVICE = Advice(
    untrusted="trust its authority with --cert-dir DIR, where it is *.crt, "
    "or do without with --no-tls-verify",
    no_tls="--plain-http is for registries without it",
    maybe_tls="if it speaks TLS, leave out --plain-http",
)


def line_to(place: Repository, access: ClientOptions) -> Line:
    """How the registry of a repository is spoken to."""
    security, timeouts = access.security_of(place.registry), access.timeouts
    return Line(
        place.host,
        access.clock,
        access.environment,
        access.environment.proxies,
        access.environment.user_agent,
        timeouts.connect,
        timeouts.read,
        access.jobs + 1,
        security.verify,
        security.cert_dir,
        _ADVICE,
        access.listener.exchange,
    )

"""The clients with which a run talks to registries, and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from msgspec import Struct

from nix2oci import __version__
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config.options.group import BARE
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.errors import ConfigError
from nix2oci.oci.reference import in_registry
from nix2oci.oci.registry.client_options import ClientOptions, Listener, Security
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.environment import RegistryEnvironment
from nix2oci.oci.registry.repository import registry_name


class _Speaker:
    """Says lines, and takes bytes: between the bars of a terminal while there are any."""

    def __init__(self, output: OutputOptions) -> None:
        self.between = console.Counter(lambda _: None, console.progress(output).step)
        self.counter = self.between

    def say(self, text: str) -> None:
        self.counter.step(text)

    def moved(self, count: int) -> None:
        self.counter.advance(count)


class RegistryRun(Struct, frozen=True):
    """How this run talks to registries: all of its commands and steps have the same clients."""

    clients: Clients
    speaker: _Speaker

    @contextmanager
    def moving(self, counter: console.Counter) -> Iterator[None]:
        """Have a counter take what moves, and what is said meanwhile."""
        self.speaker.counter = counter
        try:
            yield
        finally:
            self.speaker.counter = self.speaker.between


@cache
def registry_run(registry: RegistryOptions, output: OutputOptions) -> RegistryRun:
    """The clients of a run, the same each time; raises `ConfigError`."""
    speaker = _Speaker(output)
    security = _security(registry)
    if not all(each.verify for each in security.values()):
        speaker.say("warning: the certificate of the registry is not checked")
    if any(each.plain_http for each in security.values()):
        speaker.say("warning: without TLS, anyone on the way can read and change what is sent")
    around = RegistryEnvironment.of(
        context.environment(), f"nix2oci/{__version__}", context.user_id()
    ).for_registry(registry.registry if registry.named else None)
    exchange = speaker.say if output.verbose > 2 else (lambda _: None)
    access = ClientOptions(
        around,
        context.clock(),
        Listener(speaker.say, exchange, speaker.moved),
        security,
        jobs=registry.jobs or max(context.cores(), 4),
    )
    return RegistryRun(Clients(access), speaker)


def _security(registry: RegistryOptions) -> dict[str, Security]:
    """By registry: what was said of one by its name, and what of the one that is meant."""
    named = [_checked_host(host) for host in registry.plain_http if host != BARE]
    found = {registry_name(host): Security(plain_http=True) for host in named}
    if registry.registry and registry.bare:
        plain = BARE in registry.plain_http or registry.registry in found
        found[registry.registry] = Security(
            plain_http=plain, verify=registry.tls_verify, cert_dir=registry.cert_dir
        )
    return found


def _checked_host(text: str) -> str:
    found = in_registry(f"{text}/name")
    if found is None or found.registry != text:
        raise ConfigError(
            f"cannot use --plain-http={text}: it is not HOST or HOST:PORT",
            hint="write it as in the name of an image, without a scheme and a path",
        )
    return text

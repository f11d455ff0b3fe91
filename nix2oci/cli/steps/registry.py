"""Talking to registries as the options and the environment have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nix2oci import __version__
from nix2oci.cli import context
from nix2oci.cli.options.group import BARE
from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.options.registry import RegistryOptions
from nix2oci.cli.render import console
from nix2oci.errors import ConfigError, InvalidReferenceError, RegistryError
from nix2oci.oci.reference import SCHEME, Reference

if TYPE_CHECKING:
    from nix2oci.cli.options.plan import PlanOptions
    from nix2oci.config.image_spec import ImageSpec
    from nix2oci.oci.layout.source import ImageSource, Layout
    from nix2oci.oci.registry.client_options import Security
    from nix2oci.oci.registry.clients import Clients
    from nix2oci.oci.spec import Platform
    from nix2oci.pipeline.image_target import PushTarget


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
    from nix2oci.oci.registry.client_options import ClientOptions, Listener  # loaded when used
    from nix2oci.oci.registry.clients import Clients
    from nix2oci.oci.registry.environment import RegistryEnvironment
    from nix2oci.oci.registry.retry import Clock

    speaker = _Speaker(output)
    security = _security(registry)
    if not all(each.verify for each in security.values()):
        speaker.say("warning: the certificate of the registry is not checked")
    if any(each.plain_http for each in security.values()):
        speaker.say("warning: without TLS, anyone on the way can read and change what is sent")
    clock = Clock(
        now=lambda: context.now().timestamp(),
        wait=lambda event, seconds: event.wait(seconds),
        jitter=context.jitter,
    )
    around = RegistryEnvironment.of(
        context.environment(), f"nix2oci/{__version__}", context.user_id()
    ).for_registry(registry.registry if registry.named else None)
    exchange = speaker.say if output.verbose > 2 else (lambda _: None)
    access = ClientOptions(
        around,
        clock,
        Listener(speaker.say, exchange, speaker.moved),
        security,
        jobs=registry.jobs or max(context.cores(), 4),
    )
    return RegistryRun(Clients(access), speaker)


def _security(registry: RegistryOptions) -> dict[str, Security]:
    """By registry: what was said of one by its name, and what of the one that is meant."""
    from nix2oci.oci.registry.client_options import Security
    from nix2oci.oci.registry.environment import registry_name

    named = [_checked_host(host) for host in registry.plain_http if host != BARE]
    found = {registry_name(host): Security(plain_http=True) for host in named}
    if registry.registry and registry.bare:
        plain = BARE in registry.plain_http or registry.registry in found
        found[registry.registry] = Security(
            plain_http=plain, verify=registry.tls_verify, cert_dir=registry.cert_dir
        )
    return found


def _checked_host(text: str) -> str:
    try:
        is_host = Reference.parse(f"{text}/name").registry == text
    except InvalidReferenceError:
        is_host = False
    if not is_host:
        raise ConfigError(
            f"cannot use --plain-http={text}: it is not HOST or HOST:PORT",
            hint="write it as in the name of an image, without a scheme and a path",
        )
    return text


def registry_for_build(
    options: PlanOptions, spec: ImageSpec, target: PushTarget | None = None
) -> PlanOptions:
    """The options of a run that plans an image, for where it is pushed to or what it reads.

    Raises as `reading`.
    """
    if target:
        registry = options.registry.pushing_to(target.registry(spec.name))
    else:
        registry = reading(options.registry, spec.base, spec.layers.plan_from, named=False)
    return replace(options, registry=registry)


def reading(registry: RegistryOptions, *texts: str | None, named: bool = True) -> RegistryOptions:
    """The options of a run that reads images, for the one registry that these are in.

    What is in a file, or None, is in no registry; `named` is whether the command line has them, and
    not an image that is built. Raises `ConfigError` where they are in several,
    and a flag does not say which of them it is for.
    """
    if registry.registry is not None or not any(texts):
        return registry
    from nix2oci.oci.layout.source import reference_in_registry

    references = [reference_in_registry(text) for text in texts if text]
    if not any(references):
        return registry
    from nix2oci.oci.registry.client_options import Repository

    found = {Repository.of(each).registry: None for each in references if each}
    if len(found) > 1 and registry.bare:
        flag, names = registry.bare[0], " and ".join(found)
        raise ConfigError(
            f"cannot use {flag}: it is for one registry, and images are read from {names}",
            hint="name it: --plain-http=HOST"
            if flag == "--plain-http"
            else "put certificates into ~/.config/containers/certs.d/HOST",
        )
    if len(found) > 1:
        return registry
    return replace(registry, registry=next(iter(found)), named=named)


def parse_reference(text: str) -> Reference:
    """A name in a registry, with the prefix that skopeo has or without; `ConfigError`."""
    return Reference.parse(text.removeprefix(SCHEME))


def open_reference(
    name: Reference, text: str, registry: RegistryOptions, output: OutputOptions
) -> Layout:
    """What a reference names in its registry, where the user wrote `text` for it."""
    from nix2oci.oci.registry.pull import open_remote  # loaded when used

    with _hinting(text):
        return open_remote(name, registry_run(registry, output).clients)


def open_base_reference(
    name: Reference, text: str, registry: RegistryOptions, output: OutputOptions
) -> Layout:
    """The same for a base image, which may come from a mirror."""
    from nix2oci.oci.registry.mirrors import open_mirrored  # loaded when used

    with _hinting(text):
        return open_mirrored(name, registry_run(registry, output).clients)


@contextmanager
def _hinting(text: str) -> Iterator[None]:
    """Say of a name that might have been a file that it is none."""
    try:
        yield
    except RegistryError as err:
        if not text.startswith(SCHEME):
            err.hint = err.hint or f"there is no file '{text}' either"
        raise


def open_in_registry(text: str, registry: RegistryOptions, output: OutputOptions) -> Layout | None:
    """IMAGE where it is in a registry; None where it is, or should be, a file here."""
    from nix2oci.oci.layout.source import reference_in_registry

    name = reference_in_registry(text)
    return None if name is None else open_reference(name, text, registry, output)


def open_anywhere(
    text: str, registry: RegistryOptions, output: OutputOptions, platform: Platform | None = None
) -> ImageSource:
    """IMAGE, of a file as `open_image` or in a registry; raises what opening it raises."""
    from nix2oci.oci.layout.source import open_image

    layout = open_in_registry(text, registry, output)
    return open_image(text, platform) if layout is None else layout.image(platform=platform)

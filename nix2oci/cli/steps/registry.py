"""Talking to registries as the options and the environment have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nix2oci import __version__
from nix2oci.cli import context
from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.options.registry import RegistryOptions
from nix2oci.cli.render import console
from nix2oci.errors import RegistryError
from nix2oci.oci.reference import SCHEME, Reference

if TYPE_CHECKING:
    from nix2oci.oci.layout.source import ImageSource, Layout
    from nix2oci.oci.registry.client_options import ClientOptions
    from nix2oci.oci.spec import Platform


def client_options(
    registry: RegistryOptions,
    output: OutputOptions,
    *,
    jobs: int = 4,
    counter: console.Counter | None = None,
) -> ClientOptions:
    """How to talk to registries.

    `counter` takes bytes, and lines that are to be said while these move.
    """
    from nix2oci.oci.registry.client_options import ClientOptions, Listener  # loaded when used
    from nix2oci.oci.registry.environment import RegistryEnvironment
    from nix2oci.oci.registry.retry import Clock

    counter = counter or console.Counter(lambda _: None, console.progress(output).step)
    say = counter.step
    if not registry.tls_verify:
        say("warning: the certificate of the registry is not checked")
    if registry.plain_http:
        say("warning: without TLS, anyone on the way can read and change what is sent")
    clock = Clock(
        now=lambda: context.now().timestamp(),
        wait=lambda event, seconds: event.wait(seconds),
        jitter=context.jitter,
    )
    return ClientOptions(
        RegistryEnvironment.of(context.environment(), f"nix2oci/{__version__}"),
        clock,
        Listener(say, say if output.verbose > 2 else (lambda _: None), counter.advance),
        plain_http=registry.plain_http,
        verify=registry.tls_verify,
        cert_dir=registry.cert_dir,
        jobs=jobs,
    )


def parse_reference(text: str) -> Reference:
    """A name in a registry, with the prefix that skopeo has or without; `ConfigError`."""
    return Reference.parse(text.removeprefix(SCHEME))


def open_reference(
    name: Reference, text: str, registry: RegistryOptions, output: OutputOptions
) -> Layout:
    """What a reference names in its registry, where the user wrote `text` for it."""
    from nix2oci.oci.registry.pull import open_remote  # loaded when used

    try:
        return open_remote(name, client_options(registry, output, jobs=context.cores()))
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

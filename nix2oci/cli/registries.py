"""Options about registries, and images that are in one."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from nix2oci import __version__
from nix2oci.cli import options, ui
from nix2oci.errors import RegistryError
from nix2oci.oci.layout.source import ImageSource, Layout, names_file, open_image
from nix2oci.oci.reference import SCHEME, Reference, in_registry
from nix2oci.oci.spec import Platform

if TYPE_CHECKING:
    from nix2oci.oci.registry.client_options import ClientOptions

F = Callable[..., Any]

_HUNDREDTHS = 100


def registry_options(function: F) -> F:
    """How to talk to a registry."""
    function = click.option(
        "--plain-http",
        is_flag=True,
        help="Speak HTTP without TLS; only this machine needs no flag.",
    )(function)
    function = click.option(
        "--tls-verify/--no-tls-verify",
        default=True,
        help="Whether the certificate of the registry is checked.",
    )(function)
    return click.option(
        "--cert-dir",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        help="Trust *.crt here, show NAME.cert with NAME.key.",
    )(function)


def access(
    values: dict[str, Any], *, jobs: int = 4, counter: ui.Counter | None = None
) -> ClientOptions:
    """How to talk to registries, as the options and the environment have it.

    `counter` is told of bytes, and of what is to be said meanwhile.
    """
    from nix2oci.oci.registry.client_options import ClientOptions, Listener  # noqa: PLC0415  # loaded when used
    from nix2oci.oci.registry.environment import RegistryEnvironment  # noqa: PLC0415
    from nix2oci.oci.registry.retry import Clock  # noqa: PLC0415

    counter = counter or ui.Counter(lambda _: None, ui.progress(quiet=values["quiet"]).step)
    say = counter.step
    if not values["tls_verify"]:
        say("warning: the certificate of the registry is not checked")
    if values["plain_http"]:
        say("warning: without TLS, anyone on the way can read and change what is sent")
    clock = Clock(
        now=lambda: datetime.now(UTC).timestamp(),
        wait=lambda event, seconds: event.wait(seconds),
        jitter=lambda: secrets.randbelow(_HUNDREDTHS) / _HUNDREDTHS,
    )
    exchange = say if values["verbose"] > 2 else (lambda _: None)
    environment = RegistryEnvironment.of(options.environment(), f"nix2oci/{__version__}")
    return ClientOptions(
        environment,
        clock,
        Listener(say, exchange, counter.advance),
        plain_http=values["plain_http"],
        verify=values["tls_verify"],
        cert_dir=values["cert_dir"],
        jobs=jobs,
    )


def once(counter: ui.Counter, told: set[str]) -> ui.Counter:
    """A counter that says each line only once; those in `told` were said."""

    def say(text: str) -> None:
        if text not in told:
            told.add(text)
            counter.step(text)

    return ui.Counter(counter.advance, say)


def reference(text: str) -> Reference:
    """A name in a registry, with the prefix that skopeo has or without; `ConfigError`."""
    return Reference.parse(text.removeprefix(SCHEME))


def remote(text: str, values: dict[str, Any]) -> Layout | None:
    """IMAGE where it is in a registry; None where it is, or should be, a file here.

    A file comes first; what is no file is looked for where the name says, if it names a registry.
    """
    name = named(text)
    return None if name is None else opened(name, text, values)


def opened(name: Reference, text: str, values: dict[str, Any]) -> Layout:
    """What a reference names in its registry, where the user wrote `text` for it."""
    from nix2oci.oci.registry.pull import open_remote  # noqa: PLC0415  # loaded when used

    try:
        return open_remote(name, access(values, jobs=options.cores()))
    except RegistryError as err:
        if not text.startswith(SCHEME):
            err.hint = err.hint or f"there is no file '{text}' either"
        raise


def open_anywhere(
    text: str, values: dict[str, Any], platform: Platform | None = None
) -> ImageSource:
    """IMAGE, of a file as `open_image` or in a registry as `remote`; raises what these raise."""
    layout = remote(text, values)
    return open_image(text, platform) if layout is None else layout.image(platform=platform)


def named(text: str) -> Reference | None:
    """The reference of an image in a registry; None for a file here."""
    is_file = not text.startswith(SCHEME) and names_file(text)
    return None if is_file else in_registry(text)

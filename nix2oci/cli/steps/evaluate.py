"""Asking Nix: what is there to build, and what Nix knows of it."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence

from nix2oci.cli import context
from nix2oci.cli.options.nix import NixOptions
from nix2oci.cli.options.origin import NO_ORIGIN, OriginOptions
from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.render import console
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable
from nix2oci.nix.options import Origin
from nix2oci.nix.package import Package


def nix_client(
    nix: NixOptions, output: OutputOptions, origin: OriginOptions = NO_ORIGIN
) -> NixClient:
    """Nix as the options ask for it.

    On a terminal Nix draws its own progress; else its lines are passed on as they come.
    """
    loud = ("--print-build-logs",) if output.verbose else ()
    return NixClient(
        context.child_environment(),
        (*nix.arguments, *loud),
        show=(lambda _: None) if output.quiet else console.line,
        terminal=None if output.quiet else context.terminal(),
        origin=Origin(origin.url, origin.check_signatures) if origin.url else None,
    )


def parse_installables(
    client: NixClient, texts: Sequence[str], file: str | None
) -> list[Installable]:
    """What the user named, or the flake here when that is nothing."""
    return [client.installable(text, file=file) for text in texts or ("." if file is None else "",)]


def evaluate(
    client: NixClient, named: Sequence[Installable], output: OutputOptions, *, preload: str
) -> tuple[Package, ...]:
    """What Nix knows of installables.

    Nix works in processes of its own: while it does, the module `preload` is loaded, which has
    what comes next.
    """
    texts = ", ".join(one.text for one in named)
    console.progress(output).step(f"evaluating {texts}")
    loading = threading.Thread(target=importlib.import_module, args=(preload,))
    client.while_it_runs(loading.start)  # not before: they would wait for each other
    try:
        return tuple(client.evaluate(one) for one in named)
    finally:
        if loading.ident is not None:
            loading.join()


def evaluate_for(
    client: NixClient,
    systems: Sequence[str],
    named: Sequence[Installable],
    output: OutputOptions,
    *,
    preload: str,
) -> list[tuple[NixClient, tuple[Package, ...]]]:
    """The same for each system, none for the one that Nix takes by itself."""
    clients = [client.for_system(system) for system in systems] or [client]
    return [(one, evaluate(one, named, output, preload=preload)) for one in clients]

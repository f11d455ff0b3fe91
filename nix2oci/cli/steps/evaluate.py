"""Asking Nix: what is there to build, and what Nix knows of it."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config.options.nix import NixOptions
from nix2oci.config.options.origin import NO_ORIGIN, GivenOptions, OriginOptions
from nix2oci.config.options.output import OutputOptions
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable
from nix2oci.nix.kept_answers import Kept
from nix2oci.nix.options import Origin
from nix2oci.nix.package import Package

if TYPE_CHECKING:
    from nix2oci.cache.directory import Cache
    from nix2oci.model.closure import PathInfo, StorePath
    from nix2oci.nix.binary_caches.cache import BinaryCache


def nix_client(
    nix: NixOptions,
    output: OutputOptions,
    origin: OriginOptions = NO_ORIGIN,
    given: GivenOptions | None = None,
) -> NixClient:
    """Nix as the options ask for it, or what stands in for it.

    On a terminal Nix draws its own progress; else its lines are passed on as they come.
    """
    env, options = context.child_environment(), (*nix.arguments, *origin.settings)
    store = Origin(origin.url, origin.check_signatures) if origin.url else None
    if given and given.closure:
        from nix2oci.nix.given import open_given

        files = (given.closure, given.package)
        opener = partial(_open_cache, store, env, options, output) if store else None
        return open_given(env, options, *files, opener)
    if store:
        from nix2oci.nix.binary_caches.direct import DirectNix, can_be_read, has_nix

        if can_be_read(store) and not has_nix(env):
            return DirectNix(env, options, _open_cache(store, env, options, output))
    loud = ("--print-build-logs",) if output.verbose else ()
    told = None if nix.system is None or _runs_linux() else nix.system
    client = NixClient(
        env,
        (*(nix.passed_on if told else nix.arguments), *origin.settings, *loud),
        show=(lambda _: None) if output.quiet else console.line,
        terminal=None if output.quiet else context.terminal(),
        origin=store,
        say=(lambda _: None) if output.quiet else _say,
    )
    client.requires_signatures = origin.require_signatures
    return client.for_system(told) if told else client


def keep_answers(client: NixClient, cache: Cache | None, output: OutputOptions) -> None:
    """Have what Nix says kept in the cache, and taken from there."""
    if cache is not None:
        step = console.progress(output).step
        client.kept = Kept(cache.answers, step if output.verbose else lambda _: None)


def _runs_linux() -> bool:
    """Whether Nix may take the machine for that of `--system`, as it may have an emulator."""
    from nix2oci.host.differences import here

    return here().runs_linux


@functools.cache
def _say(text: str) -> None:
    """Once, however often a run begins with Nix anew."""
    console.line(f"nix2oci: {text}")


def _open_cache(
    origin: Origin,
    env: Mapping[str, str],
    options: Sequence[str],
    output: OutputOptions,
    graph: Mapping[StorePath, PathInfo] | None = None,
) -> BinaryCache:
    """The binary cache at an origin, for who has no Nix."""
    from nix2oci import __version__
    from nix2oci.nix.binary_caches.cache_files import Web
    from nix2oci.nix.binary_caches.direct import open_cache

    note = console.progress(output).step
    web = Web(env, context.clock(), f"nix2oci/{__version__}", note)
    return open_cache(origin, env, options, web, graph)


def parse_installables(
    client: NixClient, texts: Sequence[str], file: str | None
) -> list[Installable]:
    """What the user named, or the flake here when that is nothing."""
    return [client.installable(text, file=file) for text in texts or ("." if file is None else "",)]


def explained_as(text: str, nix: NixOptions, given: GivenOptions) -> str:
    """What `nix2oci why` takes for an installable, or for the file that is given of it."""
    return given.closure or (f"-f {nix.file} {text}" if nix.file else text)


@contextmanager
def preloading(client: NixClient, module: str) -> Iterator[None]:
    """Load a module, which has what comes next, while Nix works in processes of its own."""
    loading = threading.Thread(target=importlib.import_module, args=(module,))
    client.while_it_runs(loading.start)  # not before: they would wait for each other
    try:
        yield
    finally:
        if loading.ident is not None:
            loading.join()


def evaluate(
    client: NixClient,
    systems: Sequence[str],
    named: Sequence[Installable],
    contents: Sequence[str],
    output: OutputOptions,
) -> list[tuple[NixClient, tuple[Package, ...]]]:
    """What Nix knows of installables and of `contents` beside the first of them, for each system.

    Without systems that is the one that Nix takes by itself. As many store paths as systems are
    one for each, since each is for one machine. What may be another package on another machine
    gets a warning.
    """
    added = [client.installable(text) for text in contents]
    clients = [client.for_system(system) for system in systems] or [client]
    own = len(named) == len(clients) > 1 and all(one.kind == "path" for one in named)
    each_named = [(one,) for one in named] if own else [named] * len(clients)
    builds = [
        (one, _evaluate(one, wanted, added, output))
        for one, wanted in zip(clients, each_named, strict=True)
    ]
    installables = {package.installable for _, packages in builds for package in packages}
    if any(each.became for each in installables):
        from nix2oci.nix.flake_inputs import all_unpinned

        for line in all_unpinned(installables):
            console.progress(output).step(line)
    return builds


def _evaluate(
    client: NixClient,
    named: Sequence[Installable],
    added: Sequence[Installable],
    output: OutputOptions,
) -> tuple[Package, ...]:
    """What Nix knows of them."""
    texts = ", ".join(one.text for one in (*named, *added))
    console.progress(output).step(f"evaluating {texts}")
    packages = [client.evaluate(one) for one in named]
    packages += [client.evaluate(_locked(client, one, named[0])) for one in added]
    client.begin_build(packages)
    return tuple(packages)


def _locked(client: NixClient, added: Installable, main: Installable) -> Installable:
    from nix2oci.nix.flake_inputs import as_locked  # few images have contents

    return as_locked(client, added, main)

"""A run of several images, from their installables to where they go: the arrow, once for all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Generic, TypeVar

from msgspec import Struct

from nix2oci.cache.directory import Cache
from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError, Nix2OCIError
from nix2oci.host.progress import Progress
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_inputs import all_unpinned
from nix2oci.nix.installable import Installable
from nix2oci.nix.package import Package
from nix2oci.oci.layer.blob import compressor_version
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.repository import Repository
from nix2oci.pipeline.attempts import Attempts
from nix2oci.pipeline.describe import image_names
from nix2oci.pipeline.destination import Destination
from nix2oci.pipeline.evaluated import evaluated
from nix2oci.pipeline.fleet import (
    Member,
    Parts,
    ToolShed,
    decided_fleet,
    makes_of,
    planned_fleet,
    run_cache,
    with_program,
)
from nix2oci.pipeline.on_base import Opener
from nix2oci.pipeline.platforms import Published, joined
from nix2oci.plan.layers.layering import LayerHints
from nix2oci.publish.image_target import ImageTarget
from nix2oci.text import and_more, count

R = TypeVar("R")

_MOST_BEFORE = 24
"""Repositories that blobs are taken from: who we are is proved for each of them."""

MakeAll = Callable[[Destination], Published]
"""Makes an image for all of its platforms."""


class Asked(Struct, frozen=True):
    """An image of a run: what it is."""

    name: str
    """What errors and progress call it."""
    spec: ImageSpec
    named: tuple[Installable, ...]
    """The first one names it, and starts it."""
    names_of: Installable
    """The flake whose inputs names mean in its settings."""
    hints: LayerHints | None
    open_base: Callable[[], AbstractContextManager[Opener]]
    """The same for images that have the same base."""
    package: Package | None
    """What is known of it, where nobody named it: then it is left out when it has no program."""


class Job(Asked, Generic[R], frozen=True):
    """An image of a run, where it goes, and what comes of it."""

    target: ImageTarget
    begin: Callable[[Sequence[Reference], Sequence[Repository]], Callable[[MakeAll], R]]
    """Told the names of the image, and the repositories that others went to before, asks whether it
    may go where it is to; gives what makes it and sends it there."""


def run_all(
    jobs: Sequence[Job[R]],
    clients: Sequence[NixClient],
    attempts: Attempts,
    progress: Progress,
    cache: Cache,
) -> dict[str, R]:
    """What comes of each image, by name; those that failed are left out.

    `clients` evaluate for each platform. Raises what goes wrong with one of them, which it names,
    unless the run is to keep going.
    """
    done: dict[str, R] = {}
    with ExitStack() as stack:
        members = members_of(jobs, clients, attempts, progress, stack)
        begun = _begun(jobs, members, attempts)
        parts = stack.enter_context(decided_fleet(members, attempts, progress, cache))
        unnamed = {each.name for each in jobs if each.package}
        parts = planned_fleet(members, with_program(parts, unnamed, progress), progress)
        tools = ToolShed(stack, progress)
        for number, (name, each) in enumerate(parts.items(), 1):
            progress.step(f"image {number} of {len(parts)}: {name}")
            make = partial(joined, makes_of(each, tools, progress))
            with _telling(done):
                if one := attempts.run(name, partial(begun[name], make)):
                    done[name] = one
    return done


@contextmanager
def _telling(done: Collection[str]) -> Iterator[None]:
    """Say of a run that ends before its end which images are where they were to go by then."""
    try:
        yield
    except Nix2OCIError as err:
        if done:
            err.args = (f"{err}; made before that: {and_more(list(done), 10)}",)
        raise


@contextmanager
def planned(
    asked: Sequence[Asked],
    nix: NixClient,
    attempts: Attempts,
    progress: Progress,
    *,
    with_layers: bool = True,
) -> Iterator[Parts]:
    """What `run_all` would make of images for one platform, without making it."""
    with ExitStack() as stack:
        cache = stack.enter_context(run_cache(None))
        members = members_of(asked, [nix], attempts, progress, stack)
        parts = stack.enter_context(decided_fleet(members, attempts, progress, cache))
        unnamed = {each.name for each in asked if each.package}
        parts = with_program(parts, unnamed, progress)
        yield planned_fleet(members, parts, progress) if with_layers else parts


def members_of(
    jobs: Sequence[Asked],
    clients: Sequence[NixClient],
    attempts: Attempts,
    progress: Progress,
    stack: ExitStack,
) -> list[Member]:
    """Each image with what Nix knows of it, and its base open; without those that fail."""
    progress.step(f"evaluating {count(len(jobs), 'image')}")
    asked = {each.name: (each.named, each.spec.added, each.names_of) for each in jobs}
    known = [each.package for each in jobs if each.package]
    builds = evaluated(clients, asked, attempts, known)
    packages = [one for each in builds.values() for _, found in each for one in found]
    for line in all_unpinned(one.installable for one in packages):
        progress.step(line)
    opened: dict[object, Opener] = {}
    members = []
    for job in jobs:
        if job.name in builds:
            if job.open_base not in opened:
                opened[job.open_base] = stack.enter_context(job.open_base())
            opener = opened[job.open_base]
            found = (builds[job.name], job.names_of, job.hints, opener)
            members.append(Member(job.name, job.spec, *found))
    return members


def _begun(
    jobs: Sequence[Job[R]], members: Sequence[Member], attempts: Attempts
) -> dict[str, Callable[[MakeAll], R]]:
    """What delivers each image; one that may not go where it is to is built no more."""
    names = {each.name: image_names(each.spec, each.packages(0)[0]) for each in members}
    taken: dict[str, str] = {}
    before: list[Repository] = []
    found = {}
    for job in jobs:
        begin = partial(_begin, job, names.get(job.name, ()), taken, before)
        if job.name in names and (deliver := attempts.run(job.name, begin)):
            found[job.name] = deliver
    return found


def _begin(
    job: Job[R], names: Sequence[Reference], taken: dict[str, str], before: list[Repository]
) -> Callable[[MakeAll], R]:
    compressor_version(job.spec.compressions.moving)  # fails before Nix builds
    for each in job.target.references(names, names):
        if (other := taken.setdefault(each, job.name)) != job.name:
            raise ConfigError(
                f"it would be {each}, which image '{other}' is",
                hint="give it a `name` or a `tag` of its own",
            )
    deliver = job.begin(names, tuple(before[:_MOST_BEFORE]))
    if job.target.push:
        before += map(Repository.of, job.target.push.references(names))
    return deliver

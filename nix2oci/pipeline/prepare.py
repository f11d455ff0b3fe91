"""Everything that is decided of an image, before a byte of it is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from msgspec.structs import replace

from nix2oci.cache.directory import Cache
from nix2oci.config.braces import with_paths
from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import CaseHackError, RepresentationError
from nix2oci.host.progress import Progress
from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.closure_contents import ClosureContents
from nix2oci.model.shell_references import Scan
from nix2oci.model.tree import Tree
from nix2oci.nix.client import NixClient
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.package import Package
from nix2oci.nix.realise import Built
from nix2oci.nix.scan import scan
from nix2oci.nix.survey import survey
from nix2oci.oci.base_image import BaseImage
from nix2oci.pipeline import describe
from nix2oci.pipeline.held import Held, hold
from nix2oci.pipeline.last_layer import finished
from nix2oci.pipeline.on_base import (
    LOCAL,
    Opener,
    lower_tree,
    on_base,
    open_base,
)
from nix2oci.pipeline.prepared import Prepared
from nix2oci.pipeline.templates import launcher_template
from nix2oci.plan.layers.layering import LayerHints, Plan, plan_layers, steps, store_layers
from nix2oci.plan.overlay.lower_tree import NOTHING_BELOW
from nix2oci.plan.rootfs import real_directories, rootfs
from nix2oci.plan.shell import (
    Launchers,
    ShellDecision,
    decide,
    keep_all,
    make_launchers,
    no_launchers,
    with_launchers,
)
from nix2oci.plan.shell_mode import Mode

_LARGE = 400
"""Store paths: a plan for fewer takes less than a second."""


@contextmanager
def prepare(
    nix: NixClient,
    packages: Sequence[Package],
    spec: ImageSpec,
    progress: Progress,
    cache: Cache | None = None,
    *,
    hints: LayerHints | None = None,
    opener: Opener = LOCAL,
) -> Iterator[Prepared]:
    """Build with Nix what was evaluated, then decide everything; outputs are held until the end.

    The cache is read, not written; `opener` opens the base image. Raises what goes wrong on the
    way: `NixError`, `StoreError`, `ConfigError`, `ConflictError`, and what `open_base` does.
    """
    base = base_of(spec, packages[0].system, opener, progress)
    with hold(nix, packages, progress, FactCache(cache.facts if cache else None)) as held:
        yield planned(decided(held, spec, base, progress, progress.step), hints, progress)


def base_of(spec: ImageSpec, system: str, opener: Opener, progress: Progress) -> BaseImage | None:
    """The base image, read before anything is built; raises as `open_base`."""
    if spec.base:
        progress.step(f"reading base image {spec.base}")
    return open_base(spec, system, opener)


def decided(
    held: Held,
    spec: ImageSpec,
    base: BaseImage | None,
    progress: Progress,
    warn: Callable[[str], None],
) -> Prepared:
    """Everything but the plan, which has no layers yet; raises what goes wrong on the way."""
    try:
        return _all_decided(held, spec, base, progress, warn)
    except CaseHackError as seen:
        return _all_decided(held.judged(seen), spec, base, progress, warn)


def _all_decided(
    held: Held,
    spec: ImageSpec,
    base: BaseImage | None,
    progress: Progress,
    warn: Callable[[str], None],
) -> Prepared:
    built, closure, store, notes = held.built, held.closure, held.store, held.notes
    outputs = _named(spec, built)
    spec = _with_paths(spec, outputs)
    enter = _entered(spec, outputs, held, base)
    shown = _priorities(built[: len(built) - len(outputs)])
    look = partial(
        survey, physical_root=store.root, facts_known=notes, fetch=store.fetch,
        enter=enter, priorities=shown, case_hack=store.case_hack,
    )  # fmt: skip
    found = look(_shown(closure, shown))
    progress.step("looking for wrappers, and for what else needs a shell")
    shells = keep_all(closure)
    if spec.shell is not Mode.KEEP:
        programs = [program.target for program in found.programs]
        scanned = scan(
            *(closure, programs, store.root, notes, store.fetch), case_hack=store.case_hack
        )
        copied = _copied(spec, outputs, closure)
        shells = _shells(held, found, spec, scanned, copied=copied)
    if shells.dropped:
        found = look(_shown(shells.closure, shown))
    tree = with_launchers(_root(found, spec, enter), shells)
    on = on_base(base, spec, shells.closure, tree) if base else None
    tree = on.over.tree if on else tree
    if spec.files:
        from nix2oci.pipeline.place_files import with_wanted_files  # noqa: PLC0415  # few do

        files = held.files
        tree = with_wanted_files(
            *(tree, on, spec, outputs),
            store_dir=closure.store_dir,
            store=files,
            warn=warn,
        )
    decided = Prepared(built, spec, shells, Plan(()), found, tree, store, notes, on)
    return finished(decided, progress)


def _named(spec: ImageSpec, built: Sequence[Built]) -> dict[str, tuple[StorePath, ...]]:
    """The outputs of what `files` and values name; those come last."""
    names = spec.named_installables
    last = built[len(built) - len(names) :]
    return {name: each.roots for name, each in zip(names, last, strict=True)}


def _copied(
    spec: ImageSpec, outputs: Mapping[str, tuple[StorePath, ...]], closure: Closure
) -> dict[StorePath, str]:
    """What files may need that are copied out of the store, where no launcher takes their place."""
    of = {each.installable for each in spec.files if each.copy}
    roots = [path for name, paths in outputs.items() if name in of for path in paths]
    needed = [other for root in roots for other in (root, *closure.references(root))]
    return dict.fromkeys(needed, "files that are copied may need it")


def _with_paths(spec: ImageSpec, outputs: Mapping[str, tuple[StorePath, ...]]) -> ImageSpec:
    def path(value: str) -> str:
        return with_paths(value, lambda name: str(outputs[name][0]))

    env = {name: path(value) for name, value in spec.env.items()}
    entrypoint, cmd = tuple(map(path, spec.entrypoint)), tuple(map(path, spec.cmd))
    check = spec.healthcheck
    check = replace(check, test=tuple(map(path, check.test))) if check else None
    return replace(spec, entrypoint=entrypoint, cmd=cmd, env=env, healthcheck=check)


def _shown(closure: Closure, roots: Collection[StorePath]) -> Closure:
    """The closure with those roots alone whose bin/ and etc/ the view has."""
    return replace(closure, roots=tuple(root for root in closure.roots if root in roots))


def _priorities(built: Iterable[Built]) -> dict[StorePath, int]:
    """The outputs that the root shows, with the priority of their packages."""
    found: dict[StorePath, int] = {}
    for each in built:
        for path in each.roots:
            found[path] = min(each.package.priority, found.get(path, each.package.priority))
    return found


def _decided(spec: ImageSpec) -> list[bytes]:
    return [each.path[1:].encode() for each in spec.files]


def _entered(
    spec: ImageSpec,
    outputs: Mapping[str, tuple[StorePath, ...]],
    held: Held,
    base: BaseImage | None,
) -> Callable[[bytes], bool]:
    """Which directories of the root are to be real ones: something is put in them, or is there.

    What a base of ours links to is in the store, where nothing can be put.
    """
    inside = [path for path in spec.volumes if path.startswith("/")]
    for each in spec.files:
        copied = [f"{path}/{each.below}" for path in outputs.get(each.installable, ())]
        is_copied = each.kind == "source" and (each.copy or not each.installable)
        merges = is_copied and (
            held.files.real_directory(os.fsencode(copied[0].rstrip("/"))) is not None
            if copied
            else os.path.isdir(each.value)
        )
        inside += [each.path] if merges or each.kind == "directory" else []
    decided = [*_decided(spec), *([spec.working_dir[1:].encode()] if spec.working_dir else [])]
    real = real_directories(decided, spec.users, (path[1:].encode() for path in inside))
    lower, store = (
        lower_tree(base) if base else NOTHING_BELOW,
        f"{held.closure.store_dir[1:]}/".encode(),
    )

    def enter(path: bytes) -> bool:
        there = lower.follow(path)
        return path in real or (there in lower.directories and not there.startswith(store))

    return enter


def _root(found: ClosureContents, spec: ImageSpec, enter: Callable[[bytes], bool]) -> Tree:
    decided = _decided(spec)
    return rootfs(found, spec.view, spec.users, spec.groups, decided=decided, enter=enter)


def own_closure(prepared: Prepared) -> Closure | None:
    """What the image has of store paths beside its base; None where that has all of them."""
    present = prepared.on_base.present if prepared.on_base else ()
    if len(present) == len(prepared.closure):
        return None
    return prepared.closure.without(present) if present else prepared.closure


def own_layers(prepared: Prepared) -> int:
    """How many layers the base leaves of those that the image may have."""
    below = len(prepared.on_base.base.layers) if prepared.on_base else 0
    return prepared.spec.max_layers - below


def planned(prepared: Prepared, hints: LayerHints | None, progress: Progress) -> Prepared:
    """The same with the layers of what the base image lacks."""
    closure = own_closure(prepared)
    if closure is None:
        return prepared
    return replace(prepared, plan=plan_image(closure, own_layers(prepared), hints, progress))


def plan_image(
    closure: Closure, max_layers: int, hints: LayerHints | None, progress: Progress
) -> Plan:
    """The plan for an image of so many layers; where that takes a while it is said."""
    budget = store_layers(max_layers)
    if len(closure) < _LARGE:
        plan = plan_layers(closure, budget, hints)
    else:
        with progress.steps(f"planning layers of {len(closure)} store paths", steps(closure)) as at:
            plan = plan_layers(closure, budget, hints, at)
    return replace(plan, has_root=max_layers == 1)


def _shells(
    held: Held,
    found: ClosureContents,
    spec: ImageSpec,
    scanned: Scan,
    *,
    copied: Mapping[StorePath, str],
) -> ShellDecision:
    """What is replaced and dropped, so that the image needs no shell."""
    closure = held.closure
    launchers = _launchers(scanned, held.built[0].package.system.partition("-")[0])
    wanted = {**copied, **describe.wanted_paths(spec, found, closure, scanned.shells)}
    evidence = None
    if scanned.shells and spec.shell is not Mode.DROP:
        from nix2oci.nix.shell_evidence import gather  # noqa: PLC0415  # most have no shell

        evidence = gather(
            closure,
            scanned,
            held.files,
            replaced=launchers.made.keys(),
            wanted={*wanted, *closure.roots},
            texts="\n".join(spec.texts),
            evident=spec.shell is Mode.EVIDENT,
        )
    return decide(closure, scanned, launchers, spec.shell, wanted, evidence=evidence)


def _launchers(scanned: Scan, machine: str) -> Launchers:
    try:
        return make_launchers(scanned, machine, launcher_template(machine))
    except RepresentationError as err:
        return no_launchers(scanned, str(err))
    except FileNotFoundError:
        return no_launchers(scanned, "this nix2oci was not built, so it has no launchers")

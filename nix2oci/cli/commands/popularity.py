"""`nix2oci popularity`: the images of a fleet become the index that their layers are planned by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from msgspec.structs import replace

from nix2oci import text
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.evaluate import nix_client, parse_installables
from nix2oci.cli.steps.prepared import planned_image
from nix2oci.cli.steps.read_image import reading_image
from nix2oci.cli.steps.read_spec import read_own_settings, read_settings
from nix2oci.cli.steps.registry import open_anywhere
from nix2oci.compare.inputs import image_closure, recorded_closure
from nix2oci.config.options.group import command, installable_arguments, repeated, value
from nix2oci.config.options.plan import PLAN, PlanOptions
from nix2oci.config.options.run import ALL, Several
from nix2oci.errors import ClosureError, NixOutputError
from nix2oci.host.sharing import on_all_cores
from nix2oci.model.closure import Closure
from nix2oci.plan.layers.fleet import build_popularity, plans
from nix2oci.plan.layers.layering import store_layers
from nix2oci.publish.registry_options import reading
from nix2oci.publish.write_file import check_writable, write_file
from nix2oci.report.popularity_document import popularity_document
from nix2oci.report.terminal.popularity import popularity_text

_REPORTS = 10
"""How often the user hears how many plans are made."""


@command(
    "popularity",
    installable_arguments(),
    repeated(
        "--closure",
        "FILE",
        "Count the recorded output of 'nix path-info --json --recursive' as an image.",
        "recorded",
    ),
    repeated(
        "--image",
        "IMAGE",
        "Count an image that was made: a layout, an archive, or one in a registry.",
        "images",
    ),
    ALL,
    value("-o", "FILE", "Where the index goes; - is stdout. [-]", "--output", "path"),
    PLAN,
)
def popularity(
    *,
    installables: tuple[str, ...],
    recorded: tuple[str, ...],
    images: tuple[str, ...],
    every: bool,
    path: str | None,
    options: PlanOptions,
) -> None:
    """Count what the images of a fleet share, so that they can be planned to share layers.

    Each INSTALLABLE is one image of the fleet, built and planned as `nix2oci build` would; the
    default is the flake here, unless there are --closure and --image. What `layers` of their
    nix2oci.yaml says has no part in it. Prints the index; with -o FILE, what is in it. Layers are
    planned for as many as --max-layers says, else the first installable's nix2oci.yaml. With --all,
    INSTALLABLE is a flake, and each of its images counts with layers as its settings have them: the
    index by which one image has the layers that it has in 'build --all'.
    """
    check_writable(None if path == "-" else path)
    if not (installables or recorded or images or every):
        installables = (".",)
    options = replace(options, registry=reading(options.registry, *images))
    closures, budgets = _of_all(installables, options) if every else ([], [])
    closures += [
        *(_planned(named, options) for named in installables if not every),
        *map(_recorded, recorded),
        *(_of_image(named, options) for named in images),
    ]
    most = _budget(() if every else installables, options)
    budget = budgets + [most] * (len(closures) - len(budgets))
    output = options.output
    progress = console.progress(output)
    progress.step(f"planning the layers of {text.count(len(closures), 'image')}")
    count = _counter(plans(closures, budget), progress.step)
    run = partial(on_all_cores, purpose="plan layers")
    found = build_popularity(closures, budget, count, run=run)
    if path in {None, "-"}:
        console.result_bytes(str(found).encode())
        if output.as_json:
            console.result_json(popularity_document(found), err=True)
        return
    write_file(str(path), str(found).encode())
    if output.as_json:
        console.result_json(popularity_document(found))
    else:
        console.result_text(popularity_text(found))


def _budget(installables: tuple[str, ...], options: PlanOptions) -> int:
    """How many layers of store paths each image may have."""
    if not installables:
        return store_layers(read_own_settings(options.image).max_layers)
    client = nix_client(options.nix, options.output)
    (main,) = parse_installables(client, installables[:1], options.nix.file)
    return store_layers(read_settings(options.image, client, main, options.output).spec.max_layers)


def _of_all(installables: tuple[str, ...], options: PlanOptions) -> tuple[list[Closure], list[int]]:
    """The images of a flake, and how many layers of store paths each may have."""
    from nix2oci.cli.steps.fleet import planned_images
    from nix2oci.pipeline.prepare import own_closure, own_layers

    with planned_images(installables, Several(every=True), options, with_layers=False) as found:
        own = [(closure, one) for one in found.values() if (closure := own_closure(one))]
        budgets = [store_layers(own_layers(one)) for _, one in own]
        return [closure for closure, _ in own], budgets


def _planned(text: str, options: PlanOptions) -> Closure:
    with planned_image((text,), options, with_hints=False) as prepared:
        closure = prepared.closure
        present = prepared.on_base.present if prepared.on_base else ()
        return closure.without(present) if len(present) < len(closure) else closure


def _recorded(path: str) -> Closure:
    with _naming(f"closure {path}"):
        return recorded_closure(path)


def _of_image(text: str, options: PlanOptions) -> Closure:
    source = open_anywhere(text, options.registry, options.output)
    with (
        reading_image(source, text, options.registry, options.output) as counted,
        _naming(f"image {text}"),
    ):
        return image_closure(counted, context.cores())


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Say of which of many an error is."""
    try:
        yield
    except (ClosureError, NixOutputError) as err:
        cause = str(err).partition(": ")[2]
        raise type(err)(f"cannot count {what}: {cause}", hint=err.hint) from err


def _counter(total: int, say: Callable[[str], None]) -> Callable[[int], None]:
    """Counts plans that are made; now and then it says how many."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        if total >= 10 * _REPORTS and _REPORTS * before // total != _REPORTS * done // total:
            say(f"{done} of {total} plans")

    return count

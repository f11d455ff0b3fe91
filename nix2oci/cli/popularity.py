"""`nix2oci popularity`: the images of a fleet become the index that their layers are planned by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from nix2oci.cli import options, registries, subject, ui
from nix2oci.cli.output import write_file
from nix2oci.compare.inputs import image_closure
from nix2oci.errors import ClosureError, NixOutputError
from nix2oci.model.closure import Closure
from nix2oci.plan.layers.fleet import build_popularity, plans
from nix2oci.plan.layers.layering import store_layers
from nix2oci.plan.layers.popularity import Popularity

_SHOWN = 10
"""Packages that are told as the most worth sharing."""

_STEPS = 10
"""How often the user is told how many plans are made."""


@click.command("popularity")
@click.argument("installables", nargs=-1, metavar="[INSTALLABLE]...")
@click.option(
    "--closure",
    "recorded",
    metavar="FILE",
    multiple=True,
    help="Count the recorded output of 'nix path-info --json --recursive' as an image.",
)
@click.option(
    "--image",
    "images",
    metavar="IMAGE",
    multiple=True,
    help="Count an image that was made: a layout, an archive, or one in a registry.",
)
@click.option("-o", "--output", metavar="FILE", help="Where the index goes; - is stdout. [-]")
@options.spec_options
@options.nix_options
@registries.registry_options
@options.output_options
def command(
    installables: tuple[str, ...],
    recorded: tuple[str, ...],
    images: tuple[str, ...],
    output: str | None,
    **values: Any,
) -> None:
    """Count what the images of a fleet share, so that they can be planned to share layers.

    Each INSTALLABLE is one image of the fleet, built and planned as `nix2oci build` would; the
    default is the flake here, unless there are --closure and --image. What `layers` of their
    nix2oci.yaml says has no part in it. Prints the index; with -o FILE, what is in it. Layers are
    planned for as many as --max-layers says, else the first installable's nix2oci.yaml.
    """
    if not installables and not recorded and not images:
        installables = (".",)
    budget = _budget(installables, values)
    closures = [
        *(_planned(text, values) for text in installables),
        *map(_recorded, recorded),
        *(_of_image(text, values) for text in images),
    ]
    options.progress(values).step(f"planning the layers of {ui.count(len(closures), 'image')}")
    found = build_popularity(
        closures, budget, _counter(plans(closures, budget), options.progress(values))
    )
    if output in {None, "-"}:
        options.standard_output().write(str(found).encode())
        if values["as_json"]:
            ui.echo_json(_document(found), err=True)
        return
    write_file(str(output), str(found).encode())
    if values["as_json"]:
        ui.echo_json(_document(found))
    else:
        click.echo(_text(found))


def _budget(installables: tuple[str, ...], values: dict[str, Any]) -> int:
    """How many layers of store paths each image may have."""
    named = options.named(options.nix(dict(values)), installables[:1], values["file"])
    spec = options.image_spec(dict(values), named[0] if installables else None)
    return store_layers(spec.max_layers)


def _planned(text: str, values: dict[str, Any]) -> Closure:
    with subject.planned_image((text,), values, by_wishes=False) as prepared:
        whole = prepared.closure
        present = prepared.on_base.present if prepared.on_base else ()
        return whole.without(present) if len(present) < len(whole) else whole


def _recorded(path: str) -> Closure:
    with _naming(f"closure {path}"):
        return subject.recorded_closure(path)


def _of_image(text: str, values: dict[str, Any]) -> Closure:
    source = registries.open_anywhere(text, values)
    options.progress(values).step(f"reading {text}")
    with _naming(f"image {text}"):
        return image_closure(source, options.cores())


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Say of which of many an error is."""
    try:
        yield
    except (ClosureError, NixOutputError) as err:
        cause = str(err).partition(": ")[2]
        raise type(err)(f"cannot count {what}: {cause}", hint=err.hint) from err


def _counter(total: int, progress: ui.Lines | ui.Bars) -> Callable[[int], None]:
    """Told of plans that are made; now and then it tells the user."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        if total >= 10 * _STEPS and _STEPS * before // total != _STEPS * done // total:
            progress.step(f"{done} of {total} plans")

    return told


def _shared(found: Popularity) -> Iterator[tuple[int, str, int, int]]:
    """Bytes that sharing saves, package, its size and in how many images it is."""
    for group in found.groups:
        images = len(group.images)
        for package, size in group.packages.items():
            yield size * (images - 1), package, size, images


def _document(found: Popularity) -> dict[str, Any]:
    most = sorted(_shared(found), key=lambda each: (-each[0], each[1]))
    return {
        "digest": found.digest,
        "images": len(found.images),
        "packages": len(most),
        "groups": len(found.groups),
        "layers": len(found.layers),
        "most": [
            {"package": package, "nar_size": size, "images": images, "saved": saved}
            for saved, package, size, images in most[:_SHOWN]
            if saved
        ],
    }


def _text(found: Popularity) -> str:
    told = _document(found)
    counts = (
        ui.count(told["images"], "image"),
        ui.count(told["packages"], "package"),
        ui.count(told["layers"], "shared layer"),
    )
    lines = [", ".join(counts), told["digest"]]
    rows = [
        (each["package"], ui.size(each["nar_size"]), each["images"], ui.size(each["saved"]))
        for each in told["most"]
    ]
    if rows:
        lines += ["", ui.table(("package", "size", "images", "saved by sharing"), rows)]
    return "\n".join(lines)

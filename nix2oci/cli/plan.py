"""`nix2oci plan`: what would be in which layer."""

from __future__ import annotations

from typing import Any

import click

from nix2oci.cli import base, options, registries, shell, subject, ui
from nix2oci.cli.output import write_file
from nix2oci.errors import ConfigError
from nix2oci.model.closure import Closure
from nix2oci.pipeline.on_base import Overlay
from nix2oci.plan.layers.layering import LayerPlan, Plan
from nix2oci.plan.shell import ShellDecision
from nix2oci.report.documents import plan_document

_SHOWN = 4


@click.command("plan")
@click.argument("installables", nargs=-1, metavar="[INSTALLABLE]...")
@click.option(
    "--closure",
    "recorded",
    metavar="FILE",
    help="Plan the recorded output of 'nix path-info --json --recursive'; no store is needed.",
)
@click.option(
    "--html",
    metavar="FILE",
    help="Write the plan to FILE besides, as a page for a browser that needs no network.",
)
@options.origin_options
@registries.registry_options
@options.spec_options
@options.nix_options
@options.output_options
def command(
    installables: tuple[str, ...], recorded: str | None, html: str | None, **values: Any
) -> None:
    """Show what would be in which layer; write no image.

    Takes what `nix2oci build` takes. Layers are shown base layer first. Risk is a layer's share of
    the bytes that are expected to move with the next update; used by is how many paths of the
    closure use the layer's most popular one, or with --popularity how many images of the index,
    and shared by how many of these have the same layer, or the one package in it.
    """
    if recorded and installables:
        raise ConfigError(f"cannot plan {installables[0]} and --closure {recorded} at once")
    if html == "-":
        raise ConfigError("cannot write the page to stdout: the plan is there", hint="name a file")
    found = _recorded(recorded, values) if recorded else _from_nix(installables, values)
    if html:
        _write_page(html, plan_document(*found))
        options.progress(values).step(f"wrote {html}")
    if values["as_json"]:
        ui.echo_json(plan_document(*found))
    else:
        click.echo(plan_text(*found, every=bool(values["verbose"])))


def _recorded(path: str, values: dict[str, Any]) -> tuple[Closure, Plan, None, None]:
    return *subject.planned_record(path, values), None, None


def _from_nix(
    installables: tuple[str, ...], values: dict[str, Any]
) -> tuple[Closure, Plan, ShellDecision, Overlay | None]:
    with subject.planned_image(installables, values) as found:
        return found.closure, found.plan, found.shells, found.on_base


def _write_page(path: str, document: dict[str, Any]) -> None:
    from nix2oci.pipeline.templates import page_template  # noqa: PLC0415
    from nix2oci.report.page.page import page  # noqa: PLC0415  # seldom wanted

    write_file(path, page(document, page_template()).encode())


def plan_text(
    closure: Closure, plan: Plan, shells: ShellDecision | None, on: Overlay | None, *, every: bool
) -> str:
    """The plan for people: a line for each layer, one for the image's own, then the shells."""
    rows = [_row(number, layer) for number, layer in enumerate(plan.layers, 1)]
    shared = ("shared by",) if plan.fleet else ()
    head = ("layer", "size", "risk", "used by", *shared, "paths", "names")
    total = (
        f"{len(closure)} store paths, {ui.size(closure.nar_size)}, in {len(plan.layers)} layers; "
        "the last layer of the image holds /bin, /etc and the like"
    )
    under = [*base.details(on, every=every)] if on else []
    below = shell.details(shells, every=every) if shells else []
    return "\n".join([ui.table(head, rows), total, *under, *([""] if below else []), *below])


def _row(number: int, layer: LayerPlan) -> tuple[object, ...]:
    shared = () if layer.shared_by is None else (layer.shared_by,)
    risk = f"{100 * layer.risk:.1f}%"
    many = len(layer.paths)
    size = ui.size(layer.nar_size)
    return (number, size, risk, layer.popularity, *shared, many, _names(layer.paths))


def _names(paths: tuple[Any, ...]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(path.name for path in paths[:_SHOWN]) + more

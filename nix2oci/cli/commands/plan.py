"""`nix2oci plan`: what would be in which layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci.cli.render import console
from nix2oci.cli.steps.evaluate import explained_as, nix_client
from nix2oci.cli.steps.prepared import planned_image
from nix2oci.cli.steps.record import planned_record, planned_without_files
from nix2oci.config.flags import FIRST_OF_PLAN
from nix2oci.config.options.group import command, installable_arguments, value
from nix2oci.config.options.origin import (
    GIVEN_TO_PLAN,
    NOTHING_GIVEN,
    ORIGIN,
    GivenOptions,
    OriginOptions,
)
from nix2oci.config.options.plan import PLAN, PlanOptions
from nix2oci.config.options.run import SEVERAL, Several
from nix2oci.errors import ConfigError
from nix2oci.model.closure import Closure
from nix2oci.model.closure_contents import ClosureContents
from nix2oci.plan.layers.layering import Plan
from nix2oci.plan.shell import ShellDecision
from nix2oci.publish.write_file import check_writable, write_file
from nix2oci.report.json_documents import plan_document
from nix2oci.report.terminal import development, left_out
from nix2oci.report.terminal.plan import plan_text

if TYPE_CHECKING:
    from nix2oci.nix.realise import Built
    from nix2oci.oci.layer.compression import Compressions
    from nix2oci.pipeline.on_base import Overlay
    from nix2oci.pipeline.prepared import Prepared
    from nix2oci.pipeline.slim import SlimSavings
    from nix2oci.report.first_facts import FirstFacts


@command(
    "plan",
    installable_arguments(),
    value(
        "--html",
        "FILE",
        "Write the plan to FILE as well, as a page for a browser that needs no network.",
    ),
    SEVERAL,
    ORIGIN,
    GIVEN_TO_PLAN,
    PLAN,
    first=FIRST_OF_PLAN,
)
def plan(
    *,
    installables: tuple[str, ...],
    html: str | None,
    several: Several,
    origin: OriginOptions,
    given: GivenOptions,
    options: PlanOptions,
) -> None:
    """Show what would be in which layer; write no image.

    Takes what `nix2oci build` takes. Layers are shown base layer first. Risk is a layer's share of
    the bytes that are expected to move with the next update; used by is how many paths of the
    closure use the layer's most popular one, or with --popularity how many images of the index,
    and shared by how many of these have the same layer, or the one package in it.

    With --compression auto it says how each layer is to be stored.

    With --all or --image it shows which layers the images have in common, and what is stored again
    in other layers: the plans of a run, which are others than those of each image alone.
    """
    others = {"--from": origin.url, "--file": options.nix.file, "several images": several}
    given.check_alone(others)
    if given.package and not installables:
        raise ConfigError(
            "cannot use --package: no store path is named that it could be about",
            hint="name one of the file of --closure",
        )
    if html == "-":
        raise ConfigError("cannot write the page to stdout: the plan is there", hint="name a file")
    check_writable(html)
    if several:
        _several(installables, several, options, origin, html)
        return
    planned = _planned(installables, options, origin, given, html=html)
    found, built = planned.parts, planned.built
    closure, made, shells, on, contents = found
    output, stored = options.output, planned.stored
    for line in left_out.lines(contents, every=bool(output.verbose)) if contents else ():
        console.progress(output).step(line)
    if html:
        from nix2oci.report.plan_page import plan_page  # seldom wanted

        document = plan_document(*found, stored=stored, built=built, slim=planned.slim)
        write_file(html, plan_page(document, closure, made, planned.facts))
        console.progress(output).step(f"wrote {html}")
    if output.as_json:
        document = plan_document(*found, stored=stored, built=built, slim=planned.slim)
        console.result_json(document)
        return
    named = explained_as(installables[0] if installables else ".", options.nix, given)
    shown = plan_text(closure, made, shells, on, stored, every=bool(output.verbose))
    console.result_text([*shown, *development.lines(closure, named)])
    if planned.slim:
        from nix2oci.report.terminal.slim import slim_text  # seldom wanted

        console.result_text(["", *slim_text(planned.slim)])


def _several(
    installables: tuple[str, ...],
    several: Several,
    options: PlanOptions,
    origin: OriginOptions,
    html: str | None,
) -> None:
    from nix2oci.cli.steps.fleet import planned_images
    from nix2oci.report.fleet_document import fleet_document
    from nix2oci.report.terminal.fleet import fleet_text

    with planned_images(installables, several, options, origin) as images:
        document = fleet_document(images) if html or options.output.as_json else {}
        if html:
            from nix2oci.report.plan_page import plan_page_of_several

            write_file(html, plan_page_of_several(document))
            console.progress(options.output).step(f"wrote {html}")
        if options.output.as_json:
            console.result_json(document)
            return
        plans = {name: each.plan for name, each in images.items()}
        infos = {path: i for each in images.values() for path, i in each.closure.infos.items()}
        console.result_text(
            [
                *fleet_text(plans, infos, every=bool(options.output.verbose)),
                *(
                    line
                    for name, each in images.items()
                    for line in _development(name, each, options)
                ),
            ]
        )


def _development(name: str, image: Prepared, options: PlanOptions) -> list[str]:
    text = explained_as(image.package.installable.text, options.nix, NOTHING_GIVEN)
    return development.lines(image.closure, text, name)


_Found = tuple[Closure, Plan, ShellDecision | None, "Overlay | None", ClosureContents | None]
"""The arguments of `plan_document`."""


class _Planned(Struct, frozen=True):
    """What was planned, and what is said of it beside."""

    parts: _Found
    stored: Compressions
    """How layers are to be stored."""
    built: tuple[Built, ...] = ()
    facts: FirstFacts | None = None
    slim: SlimSavings | None = None


def _planned(
    installables: tuple[str, ...],
    options: PlanOptions,
    origin: OriginOptions,
    given: GivenOptions,
    *,
    html: str | None,
) -> _Planned:
    if given.closure and not installables:
        closure, plan, spec = planned_record(given.closure, options)
        return _Planned((closure, plan, None, None, None), spec.compressions)
    client = nix_client(options.nix, options.output, origin, given)
    if graph := planned_without_files(client, installables, options):
        closure, plan, spec = graph
        return _Planned((closure, plan, None, None, None), spec.compressions)
    with planned_image(installables, options, client, with_program=True) as found:
        from nix2oci.report.first_facts import first_facts

        facts = first_facts(found) if html else None
        decided = (found.closure, found.plan, found.shells, found.on_base, found.survey)
        return _Planned(decided, found.spec.compressions, found.built, facts, _slim(found))


def _slim(found: Prepared) -> SlimSavings | None:
    """What each rule would save, where an image is to be slim."""
    if not found.slim:
        return None
    from nix2oci.pipeline.held import store_files
    from nix2oci.pipeline.prepare import own_closure
    from nix2oci.pipeline.slim import SlimSavings, savings

    own = own_closure(found)
    files = store_files(own, found.store, found.notes) if own else None
    saved = savings(files, found.spec.compressions.settled) if files else ()
    return SlimSavings(found.slim, saved)

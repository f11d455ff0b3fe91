"""A plan as one page of HTML, which needs no network, no script to be read, and no clock.

A pure function of the document that `plan --json` prints: the same plan is the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from nix2oci.report.page.document import Json, Plan, read_plan
from nix2oci.report.page.first import changes, fact, sizes, starts
from nix2oci.report.page.frame import fill
from nix2oci.report.page.labels import name, share
from nix2oci.report.page.layer_table import explanation, layers
from nix2oci.report.page.markup import Markup, element, joined
from nix2oci.report.page.shell_section import shell
from nix2oci.report.page.tiles import legend, picture
from nix2oci.text import and_more, count, size

_SHOWN = 6


def page(document: Json, template: str) -> str:
    """The page of a plan, as `report.plan_page` makes its document.

    `template` is page.html with image.html in it.
    """
    plan = read_plan(document)
    title = _title(plan)
    parts = {
        "tab": joined([f"{title} – layers of an image"]),  # noqa: RUF001
        "title": joined([title]),
        "lead": starts(plan),
        "facts": joined(_facts(plan)),
        "notes": joined(_notes(plan)),
        "legend": legend(),
        "changes": changes(plan),
        "map": picture(plan),
        "explanation": explanation(plan),
        "layers": layers(plan),
        "shell": shell(plan.shell),
    }
    return fill(template, parts)


def _title(document: Plan) -> str:
    return and_more([name(root) for root in document.roots], 1)


def _facts(document: Plan) -> Iterator[Markup]:
    """The figures below the heading."""
    yield from sizes(document)
    for number, noun in ((len(document.sizes), "path"), (len(document.layers), "layer")):
        yield fact(str(number), f"store {noun}" if number == 1 else f"store {noun}s")
    shells = document.shell
    if shells and shells.mode != "keep":
        became = sum(bool(wrapper.became) for wrapper in shells.wrappers)
        yield fact(str(became), "wrapper replaced" if became == 1 else "wrappers replaced")
    if shells and shells.saved:
        yield fact(size(shells.saved), "dropped with the shell")


def _notes(document: Plan) -> Iterator[Markup]:
    kept = document.kept
    if kept:
        yield element(
            "p",
            f"The plan of {kept.source} is kept, so that its layers stay as they are. ",
            f"It costs {share(kept.excess)} more than the best plan of this closure alone.",
            class_="note",
        )
    if found := document.development:
        names = and_more([name(each.path) for each in found], _SHOWN)
        packed = size(sum(each.nar_size for each in found))
        yield element("p", f"Development files in the image, {packed}: {names}.", class_="note")
    shells = document.shell.staying if document.shell else ()
    staying = [each for each in shells if not each.wanted]
    if staying:
        names = " and ".join(name(each.path) for each in staying)
        places = count(sum(len(each.files) for each in staying), "place")
        stay = "stays" if len(staying) == 1 else "stay"
        link = element("a", "which", href="#wrappers")
        said = f"{names} {stay} in the image: named in {places}. See "
        yield element("p", said, link, ".", class_="note")

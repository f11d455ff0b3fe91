"""The page of a plan: the plan as `--json` prints it, and what people ask first, as HTML.

That of several images is made of what `--json` prints alone.
"""

from __future__ import annotations

from nix2oci.model.closure import Closure
from nix2oci.pipeline.templates import page_template
from nix2oci.plan.layers.layering import Plan
from nix2oci.report.changes import Change, bumps, edit
from nix2oci.report.first_facts import FirstFacts
from nix2oci.report.json_documents import Json
from nix2oci.report.page.fleet import fleet_page
from nix2oci.report.page.page import page


def plan_page(document: Json, closure: Closure, plan: Plan, facts: FirstFacts | None) -> bytes:
    """The page; `document` is that of `plan_document`, `facts` are None for a closure alone."""
    whole = page_document(document, closure, plan, facts or FirstFacts())
    return page(whole, page_template("image")).encode()


def plan_page_of_several(document: Json) -> bytes:
    """The page; `document` is that of `fleet_document`."""
    return fleet_page(document, page_template("fleet")).encode()


def page_document(document: Json, closure: Closure, plan: Plan, facts: FirstFacts) -> Json:
    """The document of a plan and more: layers are counted from 1, sizes are bytes.

    `compressed` has an estimate for each path, null where none could be made.
    """
    app = facts.app or closure.roots
    sizes = facts.compressed
    changed = edit(closure, plan, app)
    return {
        **document,
        "app": [str(path) for path in app],
        "starts": None if facts.starts is None else list(facts.starts),
        "compressed": None if sizes is None else {str(path): n for path, n in sizes.items()},
        "base_size": facts.base_size,
        "edit": _change(changed) if changed else None,
        "bumps": [_change(each) for each in bumps(closure, plan, app)],
    }


def _change(change: Change) -> Json:
    layers = [number + 1 for number in change.layers]
    return {"path": str(change.path), "paths": change.paths, "layers": layers}

"""`nix2oci why`: what keeps a store path in an image, and what would go with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.prepared import planned_image
from nix2oci.cli.steps.read_image import contents_without_reading, reading_image
from nix2oci.cli.steps.registry import open_anywhere
from nix2oci.compare.chains import named
from nix2oci.compare.described import described_reasons
from nix2oci.compare.inputs import (
    InputKind,
    Reasons,
    closure_reasons,
    image_reasons,
    kind_of,
    planned_reasons,
    recorded_closure,
    similar_packages,
)
from nix2oci.config.options.group import argument, command
from nix2oci.config.options.plan import PLAN, PlanOptions
from nix2oci.errors import ConfigError
from nix2oci.model.closure import StorePath
from nix2oci.publish.registry_options import reading
from nix2oci.report.comparison import explanation_document
from nix2oci.report.terminal.why import explanation_text

_CHAINS = 5
_CHAINS_VERBOSE = 100


@command("why", argument("text", "IMAGE|INSTALLABLE|FILE"), argument("wanted", "NAME"), PLAN)
def why(*, text: str, wanted: str, options: PlanOptions) -> None:
    """Show the chains of references that keep NAME in an image, and what it weighs.

    NAME is a store path, its hash part, or its name with or without the version. IMAGE is a layout
    directory, an archive or in a registry, as for `nix2oci inspect`: its files are searched for
    store paths. An INSTALLABLE is built with Nix and planned as `nix2oci build` would, with the
    same options; no image is written. FILE is a recorded closure, as `nix2oci diff` takes it: it
    has the references, and not in which files they are. The shortest chains come first, 5 of them,
    with -v up to 100.
    """
    output = options.output
    with _reasons(text, options) as found:
        paths = named(found.graph.sizes, wanted)
        if not paths:
            raise _not_there(text, wanted, found.graph.sizes)
        most = _CHAINS_VERBOSE if output.verbose else _CHAINS
        answers = [found.graph.explain(path, most) for path in paths]
        if output.as_json:
            documents = [explanation_document(found, answer) for answer in answers]
            console.result_json({"read": found.knows_files, "paths": documents})
        else:
            every = bool(output.verbose)
            for number, answer in enumerate(answers):
                between = [""] if number else []
                console.result_text([*between, *explanation_text(found, answer, every=every)])


@contextmanager
def _reasons(text: str, options: PlanOptions) -> Iterator[Reasons]:
    kind = kind_of(text)
    if kind is InputKind.CLOSURE:
        yield closure_reasons(recorded_closure(text))
        return
    if kind is InputKind.INSTALLABLE:
        with planned_image((text,), options) as prepared:
            yield planned_reasons(prepared)
        return
    registry = reading(options.registry, text)
    source = open_anywhere(text, registry, options.output)
    if described := contents_without_reading(source, text, options.output):
        yield described_reasons(source, described)
        return
    with reading_image(source, text, registry, options.output) as counted:
        reasons = image_reasons(counted, context.cores())
    yield reasons


def _not_there(image: str, wanted: str, paths: Iterable[StorePath]) -> ConfigError:
    near = similar_packages(wanted, paths)
    listing = {
        InputKind.IMAGE: "nix2oci inspect -v",
        InputKind.CLOSURE: "nix2oci plan -v --closure",
        InputKind.INSTALLABLE: "nix2oci plan -v",
    }[kind_of(image)]
    return ConfigError(
        f"cannot explain '{wanted}': no store path of {image} has that name",
        hint=f"did you mean {' or '.join(near)}?" if near else f"see: {listing} {image}",
    )

"""`nix2oci diff`: what changed between two images, and what it costs to deploy."""

from __future__ import annotations

from msgspec.structs import replace

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.prepared import planned_image
from nix2oci.cli.steps.read_image import contents_without_reading, reading_image
from nix2oci.cli.steps.record import planned_record
from nix2oci.cli.steps.registry import open_anywhere
from nix2oci.compare.described import described_contents
from nix2oci.compare.difference import difference
from nix2oci.compare.inputs import InputKind, closure_contents, image_contents, kind_of
from nix2oci.config.options.group import argument, command, switch
from nix2oci.config.options.plan import PLAN, PlanOptions
from nix2oci.oci.layer.file_scan import LayerNodes
from nix2oci.oci.spec import Digest
from nix2oci.publish.registry_options import reading
from nix2oci.report.comparison import Side, difference_document
from nix2oci.report.terminal.diff import difference_text


@command(
    "diff",
    argument("old"),
    argument("new"),
    switch("--exit-code", "Exit with 1 when OLD and NEW differ."),
    PLAN,
)
def diff(*, old: str, new: str, exit_code: bool, options: PlanOptions) -> int:
    """Show what NEW has that OLD has not, and the bytes to push and to pull for it.

    Each is an image (a layout directory or an archive, as PATH, PATH:TAG or what `nix2oci build`
    printed, or in a registry: REGISTRY/REPOSITORY:TAG), a recorded closure (the output of 'nix
    path-info --json --recursive', or whatever else `build --closure` takes), or an installable.
    An installable is built with Nix and planned as `nix2oci build` would, with the same options;
    no image is written. -v shows every change, and values of settings as a whole.
    """
    images = [text for text in (old, new) if kind_of(text) is InputKind.IMAGE]
    options = replace(options, registry=reading(options.registry, *images))
    known: dict[Digest, LayerNodes] = {}
    sides = _side(old, options, known), _side(new, options, known)
    found = difference(*(side.contents for side in sides))
    if options.output.as_json:
        console.result_json(difference_document(*sides, found))
    else:
        console.result_text(difference_text(*sides, found, every=bool(options.output.verbose)))
    return 1 if exit_code and found else 0


def _side(text: str, options: PlanOptions, known: dict[Digest, LayerNodes]) -> Side:
    """`known` has the layers that were read: a registry sends none of them twice."""
    kind = kind_of(text)
    if kind is InputKind.INSTALLABLE:
        with planned_image((text,), options) as prepared:
            return Side(text, kind, closure_contents(prepared.closure, prepared.plan))
    if kind is InputKind.CLOSURE:
        return Side(text, kind, closure_contents(*planned_record(text, options)[:2]))
    source = open_anywhere(text, options.registry, options.output)
    digest = str(source.descriptor.digest)
    if described := contents_without_reading(source, text, options.output):
        return Side(text, kind, described_contents(source, described), digest, is_read=False)
    with reading_image(source, text, options.registry, options.output) as counted:
        contents = image_contents(counted, context.cores(), known)
    return Side(text, kind, contents, digest)

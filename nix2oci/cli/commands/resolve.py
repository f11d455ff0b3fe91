"""`nix2oci resolve`: YAML that names images of Nix becomes YAML that any cluster understands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config.options.cache import CACHE, CacheOptions
from nix2oci.config.options.files import REPORTS, FileOptions
from nix2oci.config.options.group import command, repeated, switch
from nix2oci.config.options.origin import ORIGIN, OriginOptions
from nix2oci.config.options.plan import PLAN_WITHOUT_FILE, PlanOptions
from nix2oci.config.options.platforms import PLATFORMS, PlatformOptions
from nix2oci.config.options.push import PUSH_BELOW, PushOptions
from nix2oci.config.options.trust import TRUST, TrustOptions
from nix2oci.errors import ConfigError

if TYPE_CHECKING:
    from nix2oci.cli.steps.fleet import Outcome, Wanted
    from nix2oci.cli.steps.order import Setup
    from nix2oci.config.image_mentions import Mention
    from nix2oci.config.options.run import Run


@command(
    "resolve",
    repeated(
        "-f",
        "FILE|DIR|-",
        "YAML or JSON to resolve: a file, all .yaml, .yml and .json files of a directory, or "
        "standard input; again for each further one.",
        "--filename",
    ),
    switch("-R", "Take files of directories below as well.", "--recursive"),
    PUSH_BELOW,
    TRUST,
    REPORTS,
    CACHE,
    ORIGIN,
    PLATFORMS,
    PLAN_WITHOUT_FILE,
    first=("filename", "recursive", "push", "tag", "platform"),
)
def resolve(
    *,
    filename: tuple[str, ...],
    recursive: bool,
    push: PushOptions,
    trust: TrustOptions,
    files: FileOptions,
    cache: CacheOptions,
    origin: OriginOptions,
    platforms: PlatformOptions,
    options: PlanOptions,
) -> int:
    """Build and push the images that YAML names, and print it with their references.

    Each value nix2oci://INSTALLABLE becomes REPOSITORY@DIGEST; #NAME as INSTALLABLE is an image
    below `images` of nix2oci.yaml. All other bytes stay, and nothing is printed unless all images
    were pushed:

    nix2oci resolve -f k8s/ | kubectl apply -f -
    """
    from nix2oci.config.image_mentions import distinct, read_mentions
    from nix2oci.config.options.run import Run
    from nix2oci.config.yaml_inputs import joined, read_inputs
    from nix2oci.oci.reference import Reference

    if not filename:
        raise ConfigError("there is nothing to resolve", hint="name YAML with -f FILE, or -f -")
    inputs = read_inputs(filename, context.standard_input(), recursive=recursive)
    texts = [read_mentions(data, name) for name, data in inputs]
    progress = console.progress(options.output)
    for text in texts:
        for line in text.left:
            progress.step(f"warning: {line}")
    mentions = distinct(texts)
    if not mentions:
        progress.step("nothing is built: no value is nix2oci://INSTALLABLE")
    run = Run(options, push, platforms, cache, files, origin=origin, trust=trust)
    outcomes = _built(mentions, run) if mentions else ()
    if failed := [each.error.exit_code for each in outcomes if each.error]:
        return failed[0]
    made = zip(mentions, outcomes, strict=True)
    references = {
        each.installable: str(replace(Reference.parse(one.document["reference"]), tag=None))
        for each, one in made
        if one.document
    }
    console.result_bytes(joined([text.resolved(references) for text in texts]))
    return 0


def _built(mentions: Sequence[Mention], run: Run) -> Sequence[Outcome]:
    """Build and push what is mentioned, all in one run."""
    from nix2oci.cli.steps.order import Setup

    setup = Setup.of(run, several=True)
    from nix2oci.cli.steps.fleet import build_images, write_reports

    outcomes = build_images(list(_wanted(mentions, setup)), setup)
    write_reports(outcomes, run.files)
    return outcomes


def _wanted(mentions: Sequence[Mention], setup: Setup) -> Iterator[Wanted]:
    """Each image that is mentioned, under a name that says where."""
    from nix2oci.cli.steps.fleet import image_of, images_of_file

    client, options = setup.client, setup.run.options
    found: Sequence[Wanted] = ()
    if any(each.name for each in mentions):
        found = images_of_file(client, client.installable("."), options)
    for each in mentions:
        with each.named_in_errors():
            if each.name:
                one = found[each.number_in([image.name for image in found])]
            else:
                one = image_of(client, each.installable, options)
        yield replace(one, name=f"{each.installable} of {each.place}")

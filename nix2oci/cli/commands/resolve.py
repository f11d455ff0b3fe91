"""`nix2oci resolve`: YAML that names images of Nix becomes YAML that any cluster understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
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
from nix2oci.errors import ConfigError, Nix2OCIError

if TYPE_CHECKING:
    from nix2oci.cli.steps.fleet import Wanted
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
    files: FileOptions,
    cache: CacheOptions,
    origin: OriginOptions,
    platforms: PlatformOptions,
    options: PlanOptions,
) -> None:
    """Build and push the images that YAML names, and print it with their references.

    Each value nix2oci://INSTALLABLE becomes REPOSITORY@DIGEST; #NAME as INSTALLABLE is an image
    below `images` of nix2oci.yaml. All other bytes stay, and nothing is printed unless all images
    were pushed:

    nix2oci resolve -f k8s/ | kubectl apply -f -
    """
    from nix2oci.config.image_mentions import read_mentions
    from nix2oci.config.options.run import Run
    from nix2oci.config.yaml_inputs import joined, read_inputs

    if not filename:
        raise ConfigError("there is nothing to resolve", hint="name YAML with -f FILE, or -f -")
    inputs = read_inputs(filename, context.standard_input(), recursive=recursive)
    texts = [read_mentions(data, name) for name, data in inputs]
    progress = console.progress(options.output)
    for text in texts:
        for line in text.left:
            progress.step(f"warning: {line}")
    mentions: dict[str, Mention] = {}
    for each in chain.from_iterable(text.mentions for text in texts):
        mentions.setdefault(each.installable, each)
    references: Mapping[str, str] = {}
    if mentions:
        run = Run(options, push, platforms, cache, files, origin=origin)
        references = _pushed(tuple(mentions.values()), run)
    else:
        progress.step("nothing is built: no value is nix2oci://INSTALLABLE")
    console.result_bytes(joined([text.resolved(references) for text in texts]))


def _pushed(mentions: Sequence[Mention], run: Run) -> Mapping[str, str]:
    """Build and push what is mentioned, all in one run: the reference of each installable."""
    from nix2oci.cli.steps.order import Setup
    from nix2oci.oci.reference import Reference

    setup = Setup.of(run, several=True)
    from nix2oci.cli.steps.fleet import build_images

    outcomes = build_images([_wanted(each, setup) for each in mentions], setup)
    found = (each.document["reference"] for each in outcomes if each.document)
    parsed = map(Reference.parse, found)
    references = [str(replace(each, tag=None)) for each in parsed]
    return dict(zip((each.installable for each in mentions), references, strict=True))


def _wanted(mention: Mention, setup: Setup) -> Wanted:
    """The image that is mentioned, under a name that says where."""
    from nix2oci.cli.steps.fleet import image_of

    try:
        found = image_of(setup.client, mention.installable, setup.run.options)
    except Nix2OCIError as err:
        err.args = (f"{mention.place}: {err}", *err.args[1:])
        raise
    return replace(found, name=f"{mention.place}: {mention.text}")

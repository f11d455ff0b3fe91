"""`nix2oci why`: what keeps a store path in an image, and what would go with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import click

from nix2oci.cli import context
from nix2oci.cli.options.group import command
from nix2oci.cli.options.image import IMAGE, ImageOptions
from nix2oci.cli.options.nix import NIX, NixOptions
from nix2oci.cli.options.output import OUTPUT, OutputOptions
from nix2oci.cli.options.registry import REGISTRY, RegistryOptions
from nix2oci.cli.render import console
from nix2oci.cli.render.why import Answer, answer_document, answer_text
from nix2oci.cli.steps.prepared import PlanOptions, planned_image
from nix2oci.cli.steps.registry import open_anywhere, reading
from nix2oci.compare.chains import named
from nix2oci.compare.inputs import InputKind, Reasons, image_reasons, kind_of, planned_reasons
from nix2oci.errors import ConfigError
from nix2oci.model.closure import StorePath
from nix2oci.model.package_name import PackageName

_CHAINS = 5
_CHAINS_VERBOSE = 100
_SIMILAR = 6
"""Names of packages that are suggested."""


@command(
    "why",
    click.Argument(["text"], metavar="IMAGE|INSTALLABLE"),
    click.Argument(["wanted"], metavar="NAME"),
    REGISTRY,
    IMAGE,
    NIX,
    OUTPUT,
)
def why(
    *,
    text: str,
    wanted: str,
    registry: RegistryOptions,
    image: ImageOptions,
    nix: NixOptions,
    output: OutputOptions,
) -> None:
    """Show the chains of references that keep NAME in an image, and what it weighs.

    NAME is a store path, its hash part, or its name with or without the version. IMAGE is a layout
    directory, an archive or in a registry, as for `nix2oci inspect`: its files are searched for
    store paths. An INSTALLABLE is built with Nix and planned as `nix2oci build` would, with the
    same options; no image is written. The shortest chains come first, 5 of them, with -v up to 100.
    """
    with _reasons(text, PlanOptions(image, nix, registry, output)) as found:
        paths = named(found.graph.sizes, wanted)
        if not paths:
            raise _not_there(text, wanted, found.graph.sizes)
        most = _CHAINS_VERBOSE if output.verbose else _CHAINS
        answers = [_answer(found, path, most) for path in paths]
        if output.as_json:
            documents = [answer_document(found, answer) for answer in answers]
            console.result_json({"paths": documents})
        else:
            every = bool(output.verbose)
            texts = [answer_text(found, answer, every=every) for answer in answers]
            console.result("\n\n".join(texts))


@contextmanager
def _reasons(text: str, options: PlanOptions) -> Iterator[Reasons]:
    kind = kind_of(text)
    if kind is InputKind.CLOSURE:
        raise ConfigError(
            f"cannot explain {text}: a recorded closure has no files",
            hint="name an image or an installable",
        )
    if kind is InputKind.INSTALLABLE:
        with planned_image((text,), options) as prepared:
            yield planned_reasons(prepared)
        return
    source = open_anywhere(text, reading(options.registry, text), options.output)
    console.progress(options.output).step(f"reading {text}")
    yield image_reasons(source, context.cores())


def _not_there(image: str, wanted: str, paths: Iterable[StorePath]) -> ConfigError:
    from difflib import get_close_matches  # only for this

    packages = sorted({PackageName.parse(path.name).package for path in paths})
    package = PackageName.parse(wanted.rpartition("/")[2]).package
    near = [other for other in packages if package in other][:_SIMILAR]
    near = near or get_close_matches(package, packages, 3)
    return ConfigError(
        f"cannot explain '{wanted}': no store path of {image} is called so",
        hint=f"did you mean {' or '.join(near)}?" if near else f"see: nix2oci inspect -v {image}",
    )


def _answer(found: Reasons, path: StorePath, most: int) -> Answer:
    chains = tuple(islice(found.graph.chains(path), most + 1))
    return Answer(
        path,
        found.graph.referrers(path),
        found.graph.only_through(path),
        chains[:most],
        more=len(chains) > most,
    )

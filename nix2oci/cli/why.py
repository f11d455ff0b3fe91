"""`nix2oci why`: what keeps a store path in an image, and what would go with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import click

from nix2oci.cli import options, registries, subject, ui
from nix2oci.compare.chains import Chain, named
from nix2oci.compare.inputs import InputKind, Reasons, image_reasons, kind_of, planned_reasons
from nix2oci.errors import ConfigError
from nix2oci.model.closure import StorePath
from nix2oci.model.package_name import PackageName
from nix2oci.text import display

_CHAINS = 5
_CHAINS_VERBOSE = 100
_FILES = 3
_GONE = 6


@dataclass(frozen=True, slots=True)
class _Answer:
    """Why one store path is there."""

    path: StorePath
    referrers: tuple[StorePath, ...]
    only_through: tuple[StorePath, ...]
    chains: tuple[Chain, ...]
    more: bool
    """There are more chains than these."""


@click.command("why")
@click.argument("image", metavar="IMAGE|INSTALLABLE")
@click.argument("wanted", metavar="NAME")
@registries.registry_options
@options.spec_options
@options.nix_options
@options.output_options
def command(image: str, wanted: str, **values: Any) -> None:
    """Show the chains of references that keep NAME in an image, and what it weighs.

    NAME is a store path, its hash part, or its name with or without the version. IMAGE is a layout
    directory, an archive or in a registry, as for `nix2oci inspect`: its files are searched for
    store paths. An INSTALLABLE is built with Nix and planned as `nix2oci build` would, with the
    same options; no image is written. The shortest chains come first, 5 of them, with -v up to 100.
    """
    with _reasons(image, values) as found:
        paths = named(found.graph.sizes, wanted)
        if not paths:
            raise _not_there(image, wanted, found.graph.sizes)
        most = _CHAINS_VERBOSE if values["verbose"] else _CHAINS
        answers = [_answer(found, path, most) for path in paths]
        if values["as_json"]:
            ui.echo_json({"paths": [_document(found, answer) for answer in answers]})
        else:
            every = bool(values["verbose"])
            click.echo("\n\n".join(_text(found, answer, every=every) for answer in answers))


@contextmanager
def _reasons(text: str, values: dict[str, Any]) -> Iterator[Reasons]:
    kind = kind_of(text)
    if kind is InputKind.CLOSURE:
        raise ConfigError(
            f"cannot explain {text}: a recorded closure has no files",
            hint="name an image or an installable",
        )
    if kind is InputKind.INSTALLABLE:
        with subject.planned_image((text,), values) as prepared:
            yield planned_reasons(prepared)
        return
    source = registries.open_anywhere(text, values)
    options.progress(values).step(f"reading {text}")
    yield image_reasons(source, options.cores())


def _not_there(image: str, wanted: str, paths: Iterable[StorePath]) -> ConfigError:
    from difflib import get_close_matches  # noqa: PLC0415  # only for this

    packages = sorted({PackageName.parse(path.name).package for path in paths})
    package = PackageName.parse(wanted.rpartition("/")[2]).package
    near = [other for other in packages if package in other][:_GONE]
    near = near or get_close_matches(package, packages, 3)
    return ConfigError(
        f"cannot explain '{wanted}': no store path of {image} is called so",
        hint=f"did you mean {' or '.join(near)}?" if near else f"see: nix2oci inspect -v {image}",
    )


def _answer(found: Reasons, path: StorePath, most: int) -> _Answer:
    chains = tuple(islice(found.graph.chains(path), most + 1))
    return _Answer(
        path,
        found.graph.referrers(path),
        found.graph.only_through(path),
        chains[:most],
        more=len(chains) > most,
    )


# --- for people --------------------------------------------------------------------------------


def _text(found: Reasons, answer: _Answer, *, every: bool) -> str:
    graph = found.graph
    own = ui.size(graph.sizes[answer.path])
    lines = [str(answer.path), f"  {own} of NAR; {_weight(found, answer, every=every)}"]
    lines.append(f"  {_kept_by(answer)}")
    for chain in answer.chains:
        lines += ["", *_chain(found, chain, every=every)]
    if answer.more:
        more = "" if every else "; -v shows more"
        lines += ["", f"  there are more chains, none of them shorter{more}"]
    return "\n".join(lines)


def _weight(found: Reasons, answer: _Answer, *, every: bool) -> str:
    gone = sorted(answer.only_through, key=lambda path: (-found.graph.sizes[path], path))
    size = ui.size(found.graph.size(gone))
    packed = _packed(found, answer)
    if packed is not None:
        size += f" ({ui.size(packed)} of layers)"
    others = [path for path in gone if path != answer.path]
    if not others:
        return f"without it {size} would go"
    shown = others if every else others[:_GONE]
    more = f" and {len(others) - len(shown)} more" if len(others) > len(shown) else ""
    names = ", ".join(path.name for path in shown)
    return f"without it {size} would go, since only it keeps {names}{more}"


def _packed(found: Reasons, answer: _Answer) -> int | None:
    """Bytes of layers that would go; None where there are no layers yet."""
    if found.packed is None:
        return None
    return sum(found.packed[path] for path in answer.only_through)


def _kept_by(answer: _Answer) -> str:
    if not answer.referrers:
        return "no other store path refers to it"
    count = len(answer.referrers)
    return f"{count} store path refers to it" if count == 1 else f"{count} store paths refer to it"


def _chain(found: Reasons, chain: Chain, *, every: bool) -> list[str]:
    """The root with its reasons, then a line for each step, and where the reference is."""
    reasons = list(found.graph.roots[chain[0]])
    lines = [f"  {chain[0].name}  ({_some(reasons, every=every)})"]
    for depth, (owner, reference) in enumerate(pairwise(chain), 1):
        files = [display(path) or "." for path in found.naming(reference, owner)]
        where = _some(files, every=every) if files else "in no file that could be read"
        lines.append(f"  {'   ' * depth}-> {reference.name}  ({where})")
    return lines


def _some(texts: list[str], *, every: bool) -> str:
    shown = texts if every else texts[:_FILES]
    more = f" and {len(texts) - len(shown)} more" if len(texts) > len(shown) else ""
    return ", ".join(shown) + more


# --- for machines ------------------------------------------------------------------------------


def _document(found: Reasons, answer: _Answer) -> dict[str, Any]:
    return {
        "path": str(answer.path),
        "nar_size": found.graph.sizes[answer.path],
        "saved": found.graph.size(answer.only_through),
        "saved_packed": _packed(found, answer),
        "only_through": [
            {"path": str(path), "nar_size": found.graph.sizes[path]} for path in answer.only_through
        ],
        "referrers": [str(path) for path in answer.referrers],
        "chains": [_chain_document(found, chain) for chain in answer.chains],
        "complete": not answer.more,
    }


def _chain_document(found: Reasons, chain: Chain) -> dict[str, Any]:
    return {
        "reasons": list(found.graph.roots[chain[0]]),
        "steps": [
            {"path": str(path), "files": [display(file) for file in _files(found, path, after)]}
            for path, after in zip(chain, (*chain[1:], None), strict=True)
        ],
    }


def _files(found: Reasons, path: StorePath, after: StorePath | None) -> tuple[bytes, ...]:
    return found.naming(after, path) if after else ()

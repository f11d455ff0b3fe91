"""What Nix knows of the images of a run, each flake asked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_inputs import as_locked
from nix2oci.nix.installable import Installable
from nix2oci.nix.joint import evaluate_together
from nix2oci.nix.package import Package
from nix2oci.pipeline.attempts import Attempts
from nix2oci.pipeline.platforms import Evaluated

Asked = tuple[Sequence[Installable], Sequence[str]]
"""The installables of an image, and others beside the first of them."""


def evaluated(
    clients: Sequence[NixClient],
    images: Mapping[str, Asked],
    attempts: Attempts,
    known_before: Sequence[Package] = (),
) -> dict[str, tuple[Evaluated, ...]]:
    """What Nix knows of each image, for each client; without those that fail.

    What a single client knew before is not asked again.
    """
    before = {each.installable: each for each in known_before if len(clients) == 1}
    known: dict[str, list[Evaluated]] = {name: [] for name in images}
    for client in clients:
        wanted = {
            name: found
            for name, asked in images.items()
            if name not in attempts.errors
            and (found := attempts.run(name, partial(_locked, client, *asked)))
        }
        asked = [one for each in wanted.values() for one in each if one not in before]
        packages = before | evaluate_together(client, asked)
        for name, installables in wanted.items():
            if made := attempts.run(name, partial(_packages, client, installables, packages)):
                known[name].append((client, made))
    return {name: tuple(found) for name, found in known.items() if len(found) == len(clients)}


def _locked(
    client: NixClient, named: Sequence[Installable], added: Sequence[str]
) -> tuple[Installable, ...]:
    others = (as_locked(client, client.installable(text), named[0]) for text in added)
    return (*named, *others)


def _packages(
    client: NixClient, installables: Sequence[Installable], known: dict[Installable, Package]
) -> tuple[Package, ...]:
    """What is known of them; what is not yet is asked for, once."""
    for each in installables:
        if each not in known:
            known[each] = client.evaluate(each)
    return tuple(known[each] for each in installables)

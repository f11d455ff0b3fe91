"""A model fleet: the distribution's whole dependency graph, read as Nix closures.

Every Debian package is a store path. Its hash is one of its name, its version and the hashes of
what it depends on, as in a Nix store, so that a new version of one gives a new path to all that
refer to it. Sizes are those that Debian gives for the installed files. Circles are cut where they
close. An image is a package with its closure: what one would get from a `.#package`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from nix2oci.model.closure import Closure, PathInfo, StorePath

sys.path.insert(0, str(Path(__file__).parents[3] / "flakes/distro"))
from debian import Archive, stanzas  # type: ignore[import-not-found]

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"

APPS = tuple(Path(__file__).with_name("images.txt").read_text(encoding="ascii").split())
"""What people run in containers, by Debian's names; an archive may lack some."""


@dataclass(frozen=True, slots=True)
class Package:
    """A node of the graph: `size` in bytes, `needs` by name, sorted."""

    name: str
    version: str
    size: int
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Packages by name, free of circles; a state of the distribution."""

    packages: Mapping[str, Package]
    _paths: dict[str, StorePath] = field(default_factory=dict, repr=False)

    def path(self, name: str) -> StorePath:
        """The store path of a package, hash and all."""
        if name not in self._paths:
            package = self.packages[name]
            parts = [name, package.version, *(self.path(need).hash_part for need in package.needs)]
            digest = hashlib.sha256("\n".join(parts).encode()).digest()
            number = int.from_bytes(digest[:20], "big")
            hash_part = "".join(_ALPHABET[number >> 5 * i & 31] for i in range(32))
            self._paths[name] = StorePath("/nix/store", hash_part, f"{name}-{package.version}")
        return self._paths[name]

    def closure(self, root: str) -> Closure:
        """The closure of one package."""
        infos: dict[str, PathInfo] = {}
        queue = [root]
        while queue:
            name = queue.pop()
            if name not in infos:
                package, path = self.packages[name], self.path(name)
                nar_hash = hashlib.sha256(path.hash_part.encode()).digest()
                references = tuple(sorted(self.path(need) for need in package.needs))
                infos[name] = PathInfo(path, nar_hash, package.size, references)
                queue += package.needs
        return Closure.of(infos.values(), [self.path(root)])

    def bumped(self, names: Iterable[str]) -> Graph:
        """The graph with new versions of some packages, sizes as they were."""
        new = {
            n: dataclasses.replace(self.packages[n], version=self.packages[n].version + ".1")
            for n in names
        }
        return Graph({**self.packages, **new})


@cache
def distribution() -> Graph:
    """What apt knows on this machine."""
    dump = subprocess.run(
        ["apt-cache", "dumpavail"], capture_output=True, text=True, check=True
    ).stdout
    return graph_of(dump)


def graph_of(dumpavail: str) -> Graph:
    """The graph of a `dumpavail`."""
    known = stanzas(dumpavail)
    archive = Archive(known)
    apps = [name for name in APPS if name in known]
    needs = {name: tuple(sorted(archive.depends(name))) for name in archive.closure(apps)}
    return Graph(
        {
            name: Package(
                name,
                re.sub("[:~-]", ".", known[name]["Version"]),
                int(known[name].get("Installed-Size", "1")) * 1024,
                kept,
            )
            for name, kept in _without_circles(needs).items()
        }
    )


def _without_circles(needs: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Drop each edge that leads back to a package on the way to it, depth first by name."""
    done: dict[str, tuple[str, ...]] = {}
    on_the_way: set[str] = set()

    def visit(name: str) -> None:
        on_the_way.add(name)
        kept = []
        for need in needs[name]:
            if need in on_the_way:
                continue
            if need not in done:
                visit(need)
            kept.append(need)
        on_the_way.remove(name)
        done[name] = tuple(kept)

    for name in sorted(needs):
        if name not in done:
            visit(name)
    return done


def fleet(graph: Graph) -> dict[str, Closure]:
    """Every application's closure."""
    return {name: graph.closure(name) for name in APPS if name in graph.packages}

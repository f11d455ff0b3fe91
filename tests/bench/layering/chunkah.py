"""How chunkah plans layers, written anew from its description; `published.py` has the others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from bench.layering.published import Layers

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.package_name import PackageName

_STEADY, _DAILY = math.exp(-1), math.exp(-7)
"""That nothing changes in a week, where something does once a week or once a day on average."""


def chunkah(closure: Closure, budget: int) -> Layers:
    """As of 0.6: outliers in size are alone, all else is in bins by hashes of names.

    A component is a package, its outputs together. chunkah learns from a distribution's changelogs
    how often each changes; Nix has none, so the application counts as changing daily and all else
    as chunkah takes it where nothing is known: weekly.
    """
    components: dict[str, list[StorePath]] = {}
    for path in closure:
        components.setdefault(PackageName.parse(path.name).package, []).append(path)
    sizes = {n: sum(closure.infos[p].nar_size for p in each) for n, each in components.items()}
    steady = {
        name: _STEADY if set(each).isdisjoint(closure.roots) else _DAILY
        for name, each in components.items()
    }
    packed = [[name] for name in sizes] if len(sizes) <= budget else _packed(sizes, steady, budget)
    packed.sort(key=lambda names: -math.prod(steady[name] for name in names))
    return [sorted(path for name in names for path in components[name]) for names in packed]


def _packed(sizes: Mapping[str, int], steady: Mapping[str, float], budget: int) -> list[list[str]]:
    middle = statistics.median(sizes.values())
    spread = statistics.median(abs(size - middle) for size in sizes.values())
    limit = middle + 1.5 * (middle if spread < middle / 100 else spread)
    by_size = sorted(sizes, key=lambda name: -sizes[name])
    large = [name for name in by_size if sizes[name] >= limit]
    alone = large[: int((budget - (len(large) < len(sizes))) * 0.8)]
    rest = [name for name in sizes if name not in alone]
    return [*([name] for name in alone), *_binned(rest, sizes, steady, budget - len(alone))]


def _binned(
    names: Sequence[str], sizes: Mapping[str, int], steady: Mapping[str, float], bins: int
) -> list[list[str]]:
    """Three tiers of stability, which share the bins by how many they are."""
    if len(names) <= bins:
        return [[name] for name in names]
    mean = statistics.mean(steady[name] for name in names)
    spread = statistics.pstdev(steady[name] for name in names)
    tiers: list[list[str]] = [[], [], []]
    for name in names:
        is_steady, is_volatile = steady[name] >= mean + spread, steady[name] <= mean - spread
        tiers[0 if is_steady else 2 if is_volatile else 1].append(name)
    tiers = [tier for tier in tiers if tier]
    if bins < len(tiers):
        tiers = [list(names)]
    found, left = [], bins
    for number, tier in enumerate(tiers, start=1):
        others = len(tiers) - number
        share = max(1, math.floor(len(tier) / len(names) * bins + 0.5))
        share = min(share, left - others) if others else left
        found += _hashed(tier, sizes, share)
        left -= share
    return found


def _hashed(names: Iterable[str], sizes: Mapping[str, int], count: int) -> list[list[str]]:
    """Bins by FNV-1a of the name; the largest that has company goes to a bin that is empty."""
    bins: list[list[str]] = [[] for _ in range(count)]
    for name in names:
        bins[_fnv(name.encode() + b"\xff") % count].append(name)  # as Rust hashes texts
    for empty in [each for each in bins if not each][::-1]:
        crowded = [(sizes[name], name, each) for each in bins if len(each) > 1 for name in each]
        if crowded:
            _, name, home = max(crowded, key=lambda found: found[:2])
            home.remove(name)
            empty.append(name)
    return [each for each in bins if each]


def _fnv(data: bytes) -> int:
    number = 0xCBF29CE484222325
    for byte in data:
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return number

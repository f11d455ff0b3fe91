"""A popularity index: which packages a fleet of images has, and which it has together.

Packages are counted by name, without version and hash, so that an index outlives updates. It is
made of many closures, kept in the repository, and named in each image that was planned by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from operator import and_

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.package_name import PackageName

FORMAT = 2
"""Of the file. Format 1 has the word `companies` for `groups`, and is still read."""

_GROUPS = {1: "companies", FORMAT: "groups"}


@cache
def package_of(name: str) -> str:
    """A store path's name without its version: `openssl-3.0.14-dev` is `openssl (dev)`."""
    return PackageName.parse(name).title


def mark_of(packages: Iterable[str]) -> int:
    """A number that tells sets of packages apart: the sum of 64-bit hashes of the names."""
    return sum(map(_mark, packages))


@cache
def _mark(package: str) -> int:
    digest = hashlib.blake2b(package.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class PackageGroup(Struct, frozen=True):
    """Packages that are in exactly the same images."""

    images: tuple[int, ...]
    """Places in `Popularity.images`, ascending; at least one."""
    packages: Mapping[str, int]
    """NAR sizes in bytes by package, the largest where versions differ; sorted by name."""


class SharedLayer(Struct, frozen=True):
    """Packages that several images of the fleet have as one layer."""

    packages: tuple[str, ...]
    images: int


class Popularity(Struct, frozen=True):
    """The index of a fleet. Make one with `Popularity.of`, `parse` or `fleet.index`."""

    images: tuple[str, ...]
    """The package that each image is of, sorted."""
    groups: tuple[PackageGroup, ...]
    layers: tuple[SharedLayer, ...]
    _sets: Mapping[str, int]
    """The images of each package: bit `i` for image number `i`."""

    @classmethod
    def of(
        cls,
        images: Iterable[str],
        groups: Iterable[PackageGroup],
        layers: Iterable[SharedLayer] = (),
    ) -> Popularity:
        known = tuple(groups)
        sets = {
            package: sum(1 << image for image in group.images)
            for group in known
            for package in group.packages
        }
        return cls(tuple(images), known, tuple(layers), sets)

    @classmethod
    def counted(cls, closures: Iterable[Closure]) -> Popularity:
        """Count the packages of closures; no layer is known yet."""
        fleet = sorted(closures, key=lambda closure: (image_of(closure.roots), *closure))
        sizes: dict[str, int] = {}
        holders: dict[str, list[int]] = {}
        for number, closure in enumerate(fleet):
            for path, info in closure.infos.items():
                package = package_of(path.name)
                sizes[package] = max(sizes.get(package, 0), info.nar_size)
                having = holders.setdefault(package, [])
                if having[-1:] != [number]:
                    having.append(number)
        return cls.of((image_of(closure.roots) for closure in fleet), _grouped(holders, sizes))

    def beside(self, other: Popularity) -> Popularity:
        """The same index with what another one says of images that are not counted here.

        Layers are those of the other one that such images may have.
        """
        outside = [n for n, name in enumerate(other.images) if name not in self.images]
        there = {number: len(self.images) + place for place, number in enumerate(outside)}
        names = [*self.images, *(other.images[number] for number in outside)]
        order = sorted(range(len(names)), key=lambda number: (names[number], number))
        place_of = {number: place for place, number in enumerate(order)}
        sizes: dict[str, int] = {}
        holders: dict[str, list[int]] = {}
        own = {number: number for number in range(len(self.images))}
        for index, numbers in ((self, own), (other, there)):
            for group in index.groups:
                having = [place_of[numbers[n]] for n in group.images if n in numbers]
                for package, size in group.packages.items() if having else ():
                    sizes[package] = max(sizes.get(package, 0), size)
                    holders[package] = sorted([*holders.get(package, ()), *having])
        left = sum(1 << number for number in outside)
        layers = []
        for layer in other.layers:
            having_all = reduce(and_, map(other.holders, layer.packages), left)
            if count := min(layer.images, having_all.bit_count()):
                layers.append(SharedLayer(layer.packages, count))
        return self.of((names[number] for number in order), _grouped(holders, sizes), layers)

    def holders(self, package: str) -> int:
        """The set of images that have a package, as the bits of an integer; 0 if none has it."""
        return self._sets.get(package, 0)

    def outside(self, roots: Sequence[StorePath]) -> int:
        """1 for an image that the index does not count, 0 for one that it does."""
        return int(image_of(roots) not in self.images)

    # --- as a file -------------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str, where: str) -> Popularity:
        """Read an index; `ConfigError` names `where` for anything else."""
        try:
            document = json.loads(text)
            if document["format"] not in _GROUPS:
                raise ConfigError(
                    f"cannot read popularity index {where}: its format is {document['format']!r}, "
                    f"not {FORMAT}",
                    hint="make it again with 'nix2oci popularity'",
                )
            images = [_text(each) for each in _list(document["images"])]
            listed = _list(document[_GROUPS[document["format"]]])
            groups = [_group(each, len(images)) for each in listed]
            _check_each_once(package for group in groups for package in group.packages)
            layers = [_layer(each) for each in _list(document["layers"])]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise ConfigError(f"cannot read popularity index {where}: it is not one") from err
        return cls.of(images, groups, layers)

    def __str__(self) -> str:
        """The file: JSON with a line for each group and layer, so that changes show well."""
        groups = (
            {"images": list(each.images), "packages": dict(each.packages)} for each in self.groups
        )
        layers = ({"images": each.images, "packages": list(each.packages)} for each in self.layers)
        return (
            f'{{\n"format": {FORMAT},\n"images": {json.dumps(self.images)},\n'
            f'"groups": [\n{_lines(groups)}\n],\n"layers": [\n{_lines(layers)}\n]\n}}\n'
        )

    @property
    def digest(self) -> str:
        """`sha256:…` of the file, for the annotations of images that were planned by it."""
        return "sha256:" + hashlib.sha256(str(self).encode()).hexdigest()


def _grouped(
    holders: Mapping[str, Sequence[int]], sizes: Mapping[str, int]
) -> Iterator[PackageGroup]:
    """Packages by the images that have them."""
    together: dict[tuple[int, ...], dict[str, int]] = {}
    for package in sorted(holders):
        together.setdefault(tuple(holders[package]), {})[package] = sizes[package]
    return (PackageGroup(*each) for each in sorted(together.items()))


def image_of(roots: Sequence[StorePath]) -> str:
    """What an image is called in an index: the package of its first root."""
    return package_of(roots[0].name)


def _lines(documents: Iterable[object]) -> str:
    return ",\n".join(json.dumps(each) for each in documents)


def _group(value: object, images: int) -> PackageGroup:
    document = _object(value)
    numbers = tuple(_number(each) for each in _list(document["images"]))
    if not numbers or list(numbers) != sorted(set(numbers)) or numbers[-1] >= images:
        raise ValueError("not images of the index")
    packages = {_text(name): _number(size) for name, size in _object(document["packages"]).items()}
    return PackageGroup(numbers, packages)


def _check_each_once(packages: Iterable[str]) -> None:
    found = list(packages)
    if len(set(found)) < len(found):
        raise ValueError("a package is in two groups")


def _layer(value: object) -> SharedLayer:
    document = _object(value)
    packages = tuple(_text(each) for each in _list(document["packages"]))
    if not packages:
        raise ValueError("not a layer")
    return SharedLayer(packages, _number(document["images"]))


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _text(value: object) -> str:
    """Text that can be encoded, since it is hashed."""
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value

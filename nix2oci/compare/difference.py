"""What one image, or what would be one, has that another has not: store paths, layers, settings.

The hard part is to say of a store path that is gone and one that is new that they are the same
thing in two versions: names are taken apart by Nix's rule, and of several versions on both sides
the newest belong together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from nix2oci.model.closure import StorePath
from nix2oci.model.package_name import PackageName, version_order


class Layer(Struct, frozen=True):
    """A layer of an image, or one that is planned: then it has no digests.

    `size` is in bytes: of the blob, or of NAR where the layer is planned.
    """

    paths: tuple[StorePath, ...]
    size: int
    digest: str = ""
    diff_id: str = ""


class Contents(Struct, frozen=True):
    """One side: bytes of NAR by store path, layers base layer first, settings by name.

    `settings` is None where there is no image configuration to be compared.
    """

    paths: Mapping[StorePath, int]
    layers: tuple[Layer, ...]
    settings: Mapping[str, str] | None = None

    @property
    def nar_size(self) -> int:
        return sum(self.paths.values())

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def is_image(self) -> bool:
        """Whether all its layers have digests."""
        return all(layer.digest for layer in self.layers)


class Fate(StrEnum):
    """What became of a store path."""

    UPDATED = "updated"
    """Another version of the same package and output."""
    ADDED = "added"
    REMOVED = "removed"
    REBUILT = "rebuilt"
    """The same name with another hash."""


class Held(Struct, frozen=True):
    """A store path on one side, with bytes of NAR."""

    path: StorePath
    nar_size: int

    @property
    def name(self) -> PackageName:
        return PackageName.parse(self.path.name)


class Change(Struct, frozen=True):
    """A store path that one side has, or two that stand for each other."""

    old: Held | None
    new: Held | None

    @property
    def fate(self) -> Fate:
        if self.old is None:
            return Fate.ADDED
        if self.new is None:
            return Fate.REMOVED
        return Fate.REBUILT if self.old.path.name == self.new.path.name else Fate.UPDATED

    @property
    def name(self) -> PackageName:
        """That of the new side, where there is one."""
        held = self.new or self.old
        assert held is not None
        return held.name

    @property
    def growth(self) -> int:
        """Bytes of NAR that the new side has more."""
        return (self.new.nar_size if self.new else 0) - (self.old.nar_size if self.old else 0)


class Setting(Struct, frozen=True):
    """A setting of the configuration that differs; None where a side lacks it."""

    name: str
    old: str | None
    new: str | None


class Difference(Struct, frozen=True):
    """All that differs; layers are as the new side has them, `lost` as the old one had them.

    `reused` counts the layers that are the same from the base layer up, without a gap.
    """

    changes: tuple[Change, ...] = ()
    kept: tuple[Layer, ...] = ()
    added: tuple[Layer, ...] = ()
    lost: tuple[Layer, ...] = ()
    reused: int = 0
    in_order: int = 0
    """Bytes of the layers above those that are reused: what an engine pulls that takes a layer only
    on top of the same layers, as Docker's own store and containerd do (containerd#3714)."""
    settings: tuple[Setting, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes or self.added or self.lost or self.settings)

    @property
    def moved(self) -> int:
        """Bytes of the layers that only the new side has: to push, and to pull by digest."""
        return sum(layer.size for layer in self.added)


def difference(old: Contents, new: Contents) -> Difference:
    """What has to be done to `old` to have `new`.

    Layers of two images are the same when their digests are. Else they are when they have the same
    store paths, and layers without any are not compared.
    """
    changes = _changes(old.paths, new.paths)
    exact = old.is_image and new.is_image
    before, after = (_by_key(side.layers, exact=exact) for side in (old, new))
    reused = _common_prefix(tuple(before), tuple(after))
    return Difference(
        changes,
        kept=tuple(layer for key, layer in after.items() if key in before),
        added=tuple(layer for key, layer in after.items() if key not in before),
        lost=tuple(layer for key, layer in before.items() if key not in after),
        reused=reused,
        in_order=sum(layer.size for layer in list(after.values())[reused:]),
        settings=_settings(old.settings, new.settings),
    )


def _by_key(layers: Iterable[Layer], *, exact: bool) -> dict[object, Layer]:
    if exact:
        return {layer.digest: layer for layer in layers}
    return {frozenset(layer.paths): layer for layer in layers if layer.paths}


def _common_prefix(old: Sequence[object], new: Sequence[object]) -> int:
    for count, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return count
    return min(len(old), len(new))


def _changes(old: Mapping[StorePath, int], new: Mapping[StorePath, int]) -> tuple[Change, ...]:
    gone, come = _by_name(old, new), _by_name(new, old)
    changes: list[Change] = []
    for key in sorted({*gone, *come}):
        changes += _pairs(gone.get(key, []), come.get(key, []))
    return tuple(sorted(changes, key=_order))


def _order(change: Change) -> tuple[int, int, PackageName, str, str]:
    """By fate, then the largest first."""
    sides = change.old, change.new
    size = max(side.nar_size for side in sides if side)
    old, new = (str(side.path) if side else "" for side in sides)
    return list(Fate).index(change.fate), -size, change.name, old, new


def _by_name(
    own: Mapping[StorePath, int], others: Mapping[StorePath, int]
) -> dict[tuple[str, str], list[Held]]:
    """The store paths that only one side has, by package and output."""
    found: defaultdict[tuple[str, str], list[Held]] = defaultdict(list)
    for path in sorted(own.keys() - others.keys()):
        held = Held(path, own[path])
        found[held.name.package, held.name.output].append(held)
    return found


def _pairs(old: list[Held], new: list[Held]) -> Iterable[Change]:
    """Equal names belong together, then the newest versions; what is left came or went."""
    for one in list(old):
        twin = next((other for other in new if other.path.name == one.path.name), None)
        if twin:
            old.remove(one)
            new.remove(twin)
            yield Change(one, twin)
    old, new = (sorted(side, key=_by_version, reverse=True) for side in (old, new))
    both = min(len(old), len(new))
    yield from map(Change, old[:both], new[:both])
    yield from (Change(one, None) for one in old[both:])
    yield from (Change(None, other) for other in new[both:])


def _by_version(held: Held) -> tuple[object, StorePath]:
    return version_order(held.name.version), held.path


def _settings(old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> tuple[Setting, ...]:
    if old is None or new is None:
        return ()
    names = dict.fromkeys([*old, *new])
    found = (Setting(name, old.get(name), new.get(name)) for name in names)
    return tuple(setting for setting in found if setting.old != setting.new)

"""Who is measured: the planners of others, and ours with what a user may know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.layering.chunkah import chunkah
from bench.layering.later import later
from bench.layering.metrics import Figures, Image, after, images, measured, planned, stored
from bench.layering.published import PUBLISHED, Layers, Planner, nixery, popcount

from nix2oci.model.closure import Closure
from nix2oci.plan.layers.fleet import build_popularity
from nix2oci.plan.layers.layering import LayerHints, PreviousPlan, plan_layers
from nix2oci.plan.layers.popularity import Popularity

OURS, WITH_INDEX = "ours", "ours, index"
STATES = ((0.01, ("a", "b", "c", "d")), (0.1, ("",)))
"""Later states: the share of the packages that is new, and salts to take the mean of."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A planner, and how it plans a later state of a closure whose plan it has."""

    name: str
    plan: Planner
    again: Callable[[Closure, int, Layers], Layers]

    @classmethod
    def of(cls, name: str, plan: Planner) -> Contender:
        """One that plans every state from nothing."""
        return cls(name, plan, lambda closure, budget, _: plan(closure, budget))


@dataclass(frozen=True, slots=True)
class Row:
    """What one contender comes to on one fleet with one budget."""

    name: str
    figures: Figures
    states: tuple[tuple[float, float], ...]
    """For each of `STATES`: bytes pushed over bytes changed, and stored of both states."""


def published(fleet: Sequence[Closure]) -> list[Contender]:
    """The planners of others, Nixery's with counts of this fleet."""
    planners = {**PUBLISHED, "nixery": nixery(popcount(fleet)), "chunkah": chunkah}
    return [Contender.of(name, plan) for name, plan in planners.items()]


def ours(name: str, known: Popularity | None) -> list[Contender]:
    """Our planner, and the same with the plan of an earlier state to begin from."""

    def plan(closure: Closure, budget: int) -> Layers:
        return _layers(closure, budget, LayerHints(known))

    def again(closure: Closure, budget: int, earlier: Layers) -> Layers:
        names = tuple(tuple(path.name for path in layer) for layer in earlier)
        return _layers(closure, budget, LayerHints(known, PreviousPlan("before", names)))

    return [Contender.of(name, plan), Contender(f"{name}, plan-from", plan, again)]


def _layers(closure: Closure, budget: int, hints: LayerHints) -> Layers:
    return [list(layer.paths) for layer in plan_layers(closure, budget, hints).layers]


@dataclass(frozen=True, slots=True)
class Track:
    """A fleet and its later states, ready to be measured."""

    fleet: tuple[Image, ...]
    states: tuple[tuple[tuple[Closure, ...], ...], ...]
    """For each of `STATES`, for each salt."""

    @classmethod
    def of(cls, fleet: Sequence[Closure]) -> Track:
        states = tuple(
            tuple(later(fleet, share, salt) for salt in salts) for share, salts in STATES
        )
        return cls(images(fleet), states)

    @property
    def closures(self) -> list[Closure]:
        return [image.closure for image in self.fleet]

    def rows(self, budget: int, known: Popularity | None = None) -> list[Row]:
        """All contenders; `known` is the index, or one is made of the fleet."""
        known = known or build_popularity(self.closures, budget)
        everybody = [*published(self.closures), *ours(OURS, None), *ours(WITH_INDEX, known)]
        return [self._row(contender, budget) for contender in everybody]

    def _row(self, contender: Contender, budget: int) -> Row:
        plans = planned(contender.plan, self.fleet, budget)
        states = tuple(self._state(salts, contender, plans, budget) for salts in self.states)
        return Row(contender.name, measured(self.fleet, plans), states)

    def _state(
        self,
        salts: Sequence[Sequence[Closure]],
        contender: Contender,
        plans: Sequence[Layers],
        budget: int,
    ) -> tuple[float, float]:
        pushed, both = [], []
        for state in salts:
            new = [contender.again(c, budget, p) for c, p in zip(state, plans, strict=True)]
            pushed.append(after(zip(plans, state, new, strict=True)))
            first = zip(self.closures, plans, strict=True)
            both.append(stored([*first, *zip(state, new, strict=True)]))
        return sum(pushed) / len(pushed), sum(both) / len(both)

"""What `bench_speed.py` found, as docs/performance-figures.md and a chart are made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

PLACE = Path(__file__).parent / "results/speed.json"


@dataclass(frozen=True)
class Compared:
    """Ours and another in turns. Seconds are medians; ratios are ours over the other."""

    name: str
    """What the other runs."""
    bound: float | None
    ours: float
    """Without the time that Nix takes."""
    other: float
    pairs: Sequence[float]
    """Without Nix, in the order that they ran."""
    ratio: float
    with_nix: float
    processor: float
    """Of processor time, with Nix."""
    megabytes: float
    """The peak of our largest process."""


@dataclass(frozen=True)
class Program:
    """A closure, and what each compression of it is compared with: the plain tool first."""

    name: str
    tar_size: int
    layers: int
    compared: Mapping[str, Sequence[Compared]]
    sizes: Mapping[str, float]
    """Of the image, over what the plain tool makes of the tar."""


@dataclass(frozen=True)
class Results:
    cores: int
    load: float
    """When it began."""
    programs: Sequence[Program]

    @classmethod
    def read(cls) -> Results:
        return msgspec.json.decode(PLACE.read_bytes(), type=cls)

    def write(self) -> None:
        PLACE.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(self)), indent=1) + b"\n")


def page(results: Results) -> str:
    """docs/performance-figures.md."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    begun = f"on {results.cores} cores, at load {results.load:.1f} when it began"
    yield from ("# Performance: figures", "")
    yield "What the chart of [performance](performance.md#speed) is drawn of, which explains it."
    yield f"`./dev bench` measures, and this page is made of what it found: {begun}."
    for program in results.programs:
        yield from ("", f"## {program.name}", "")
        yield f"{program.tar_size / 1e6:.0f} MB of tar in {program.layers} layers."
        yield from ("", "| | compared with | bound | ratio | pairs | with Nix | processor time | |")
        yield "|---|---|--:|--:|---|--:|--:|---|"
        for compression, compared in program.compared.items():
            for each in compared:
                yield _row(compression, each)
        sizes = [f"{size:.3f} with `{name}`" for name, size in program.sizes.items()]
        yield from ("", f"Size of the image over that of the plain tool: {', '.join(sizes)}.")


def _row(compression: str, each: Compared) -> str:
    bound = "" if each.bound is None else f"{each.bound:g}"
    pairs = " ".join(f"{ratio:.2f}" for ratio in each.pairs)
    seconds = f"{each.ours:.2f} s, {each.other:.2f} s"
    return (
        f"| `{compression}` | `{each.name}` | {bound} | {each.ratio:.2f} | {pairs} "
        f"| {each.with_nix:.2f} | {each.processor:.2f} | {seconds} |"
    )

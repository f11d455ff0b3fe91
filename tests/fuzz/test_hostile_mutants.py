"""A few hundred changed inputs; `./dev fuzz-inputs` makes a hundred thousand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed

import pytest

from fuzz import images
from fuzz.in_process import Outcome
from fuzz.inputs import Bench, Tally
from fuzz.mutation import Mutate, mutate_bytes, mutate_json, mutate_tar
from fuzz.places import PLACES

GOOD = Outcome(0, 0.1, 1 << 20, "", "")


def test_no_input_is_a_bug_or_out_of_proportion(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    tally = Tally()
    with Bench.open("test", tmp_path / "scratch", tmp_path / "keep") as bench:
        for number in range(250):
            bench.try_one(number, tally)
    assert tally.failures == []
    assert set(tally.places) >= {"layout", "archive", "registry", "closure", "settings"}
    assert len(tally.codes) > 4, "some are refused, for several reasons"
    assert tally.codes["0"] > 20, "and others are as good as before"


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        pytest.param(GOOD, "", id="a success"),
        pytest.param(Outcome(8, 0.1, 1, "", "error: x"), "", id="an error"),
        pytest.param(Outcome(70, 0.1, 1, "", "error: bug"), "exit code 70: error: bug", id="a bug"),
        pytest.param(Outcome(8, 0.1, 1, "", ""), "exit code 8 without a word", id="silence"),
        pytest.param(Outcome(0, 11.0, 1, "", ""), "it took 11 s", id="too long"),
        pytest.param(Outcome(0, 1.0, 301 << 20, "", ""), "it held 301 MB", id="too much"),
    ],
)
def test_what_counts_as_a_failure(outcome: Outcome, complaint: str) -> None:
    assert outcome.complaint == complaint


def test_a_run_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with Bench.open("test", tmp_path / "scratch", tmp_path / "keep") as bench:
        for number in range(5):
            place, command, outcome = bench.run(number)
            again = bench.run(number)
            assert (place, command, outcome.code) == (*again[:2], again[2].code)


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_json, mutate_tar])
def test_a_change_depends_on_the_seed_alone(mutate: Mutate) -> None:
    data = images.layers()[0] if mutate is mutate_tar else b'{"a": [1, {"b": null}], "c": "d"}'
    changed = [mutate(Random(n), data) for n in range(50)]
    assert changed == [mutate(Random(n), data) for n in range(50)]
    assert len(set(changed)) > 25


def test_half_of_the_changed_images_have_right_digests() -> None:
    found = Counter(images.changed(Random(n))[1].endswith("resealed") for n in range(200))
    assert 70 < found[True] < 130


def test_places_are_drawn_of_a_thousand() -> None:
    assert sum(PLACES.values()) == 1000

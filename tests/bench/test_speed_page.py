"""The appendix of docs/performance.md is what was measured."""

from __future__ import annotations

import pytest
from bench.speed_results import Compared, Program, Results, page
from support.paths import DOCS
from support.pictures.performance import speed_chart


@pytest.mark.pages
def test_the_page_is_what_was_measured() -> None:
    assert (DOCS / "performance-figures.md").read_text() == page(Results.read())


def test_a_chart_has_ours_beside_each_other() -> None:
    plain = Compared("openssl dgst -sha256", 2.2, 1.5, 0.5, (3.0,), 3.0, 3.5, 2.5, 40)
    stream = Compared("dockerTools: stream", None, 1.5, 2.0, (0.75,), 0.75, 1, 1, 40)
    program = Program("openjdk", 223_000_000, 9, {"none": (plain, stream)}, {})
    drawn = speed_chart(Results(2, 0.1, (program,)))
    assert "openjdk none: nix2oci 1.50, openssl dgst -sha256 0.50, dockerTools 2.00" in drawn

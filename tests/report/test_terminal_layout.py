"""Text as a terminal has it: within its width, broken where a reader would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.report.terminal.layout import lay_out, plain
from nix2oci.report.terminal.styled import Span, Table, Text

HASH = "0123456789abcdfghijklmnpqrsvwxyz"


def lines(text: Text, width: int | None = None) -> list[str]:
    return ["".join(span.text for span in line) for line in lay_out(text, width)]


TABLE = Table(
    ("layer", "size", "names"),
    [(1, "12 B", "glibc-2.36, openssl-3.0.11, zlib-1.2 and 3 more"), (10, "1.5 kB", "app")],
)


def test_without_a_width_all_is_in_one_line() -> None:
    assert lines([TABLE, "total"]) == [
        "layer    size  names",
        "    1    12 B  glibc-2.36, openssl-3.0.11, zlib-1.2 and 3 more",
        "   10  1.5 kB  app",
        "total",
    ]


def test_a_column_of_names_is_broken_at_spaces() -> None:
    assert lines([TABLE], 44) == [
        "layer    size  names",
        "    1    12 B  glibc-2.36, openssl-3.0.11,",
        "               zlib-1.2 and 3 more",
        "   10  1.5 kB  app",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            f"/nix/store/{HASH}-a-name",
            ["1 B   /nix/store/", f"      {HASH}-…"],
            id="broken behind a slash, then cut",
        ),
        pytest.param("x" * 60, [f"1 B   {'x' * 33}…"], id="cut"),
    ],
)
def test_a_name_that_does_not_fit_into_its_column(name: str, expected: list[str]) -> None:
    assert lines([Table(("size", "name"), [("1 B", name)])], 40)[1:] == [
        line.replace("1 B ", " 1 B") for line in expected
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a line that fits", ["a line that fits"], id="one that fits"),
        pytest.param(
            "  one that is longer than the forty columns of this",
            ["  one that is longer than the forty", "      columns of this"],
            id="broken at a space, indented more",
        ),
        pytest.param(
            f"digest: {'0123456789' * 5}",
            ["digest:", f"    {'0123456789' * 3}012345", "    67890123456789"],
            id="a word that is longer than a line is there as a whole",
        ),
        pytest.param(
            "in /nix/store/01234567890123456789-abc/share/x/y",
            ["in /nix/store/01234567890123456789-abc/", "    share/x/y"],
            id="a path is broken behind slashes",
        ),
    ],
)
def test_a_line_that_is_too_long(text: str, expected: list[str]) -> None:
    assert lines([text], 40) == expected


def test_styles_stay_with_their_characters() -> None:
    text = (Span("bold and "), Span("green text that goes on for longer", "green"), Span(" end"))
    found = [span for line in lay_out([text], 40) for span in line if span.text.strip()]
    assert [span.style for span in found] == ["", "green", "green", ""]


def test_a_short_form_is_for_terminals() -> None:
    text = [(Span(f"/nix/store/{HASH}-x", short="/nix/store/0123456…-x"),)]
    assert lines(text, 80) == ["/nix/store/0123456…-x"]
    assert plain(text) == f"/nix/store/{HASH}-x"


WORDS = st.text(st.sampled_from("ab/ -\n\x1b…"), max_size=90)


@given(
    st.lists(WORDS | st.lists(WORDS.map(Span), max_size=3).map(tuple), max_size=3),
    st.lists(st.tuples(st.integers(0, 10**6), WORDS, WORDS), max_size=3),
    st.integers(1, 120),
)
def test_no_line_is_longer_than_the_terminal_and_none_gives_orders(
    text: list[str | tuple[Span, ...]], rows: list[tuple[int, str, str]], width: int
) -> None:
    whole: Text = [*text, Table(("number", "name", "other"), rows)]
    for line in lines(whole, width):
        assert len(line) <= max(width, 40)
        assert line.isprintable()
    squeezed = "".join("".join(lines(text, width)).split())
    assert squeezed == "".join("".join(lines(text)).split())

"""Text for people: sizes of any number, and names that can give no orders to a terminal."""

from __future__ import annotations

import pytest

from nix2oci.text import display, printable, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        pytest.param(0, "0 B", id="nothing"),
        pytest.param(999, "999 B", id="bytes are whole"),
        pytest.param(1000, "1.0 kB", id="a thousand is the next unit"),
        pytest.param(999_949, "999.9 kB", id="just below the next unit"),
        pytest.param(999_950, "1.0 MB", id="what would be rounded to a thousand"),
        pytest.param(391_000_000, "391.0 MB", id="a layer"),
        pytest.param(10**15 - 10**9, "999999.0 GB", id="the most that is divided as a fraction"),
        pytest.param(10**15, "1000000.0 GB", id="there is no unit above"),
        pytest.param(10**400, f"{10**391}.0 GB", id="more than a float can be"),
    ],
)
def test_a_size_for_people(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("bücher 書", "bücher 書", id="letters of any script"),
        pytest.param("a\x1b[2Jb", r"a\x1b[2Jb", id="an escape sequence"),
        pytest.param("a\x9b31m", r"a\x9b31m", id="a sequence that begins with one C1 character"),
        pytest.param("a\rb\x07\x7f", r"a\rb\x07\x7f", id="a line over the line, a bell, a delete"),
        pytest.param("a\nb", r"a\nb", id="a line end"),
        pytest.param("a\u202eb\u2066", r"a\u202eb\u2066", id="text from right to left"),
        pytest.param("a\u2028b", r"a\u2028b", id="a line separator"),
        pytest.param("a\udc80", r"a\udc80", id="half a character"),
    ],
)
def test_what_is_shown_gives_no_orders(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert display(text.encode(errors="surrogateescape")).isprintable()


def test_what_is_kept() -> None:
    assert printable("a\nb\tc\x1b", keep="\n\t") == "a\nb\tc\\x1b"

"""What a terminal shows of what programs write."""

from __future__ import annotations

import pytest
from support.screen import Screen

BAR = "\x1b[?25l\r\x1b[2Kwriting \x1b[90m----\x1b[0m\r\x1b[2Kwriting \x1b[31m==--\x1b[0m\r\n"
END = "\x1b[?25h\r\x1b[1A\x1b[2K"


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        pytest.param("a\r\nb\r\n", ["a", "b"], id="lines"),
        pytest.param("abc\rx", ["xbc"], id="the start of a line again"),
        pytest.param("abc\r\x1b[K", [], id="the rest of a line is erased"),
        pytest.param("abcdefghij", ["abcdefgh", "ij"], id="a line that is too long"),
        pytest.param("abcdefgh\r\nx", ["abcdefgh", "x"], id="a line that just fits"),
        pytest.param("\x1b[34mit:\x1b[0m ok", ["\x1b[34mit:\x1b[0m ok"], id="a style"),
        pytest.param("\x1b[1m\x1b[34mx\x1b[m", ["\x1b[1m\x1b[34mx\x1b[0m"], id="two styles"),
        pytest.param(BAR + END + "done", ["done"], id="a bar that goes"),
        pytest.param(BAR, ["writing \x1b[31m==--\x1b[0m"], id="a bar that stays"),
    ],
)
def test_a_screen_shows(written: str, lines: list[str]) -> None:
    screen = Screen(8 if "abcdefgh" in written else 80)
    screen.write(written)
    assert screen.lines() == lines


@pytest.mark.parametrize("written", ["\x1b[2J", "\x1b]0;title\x07", "\x07", "\x1b[3K", "\t"])
def test_a_screen_refuses_what_it_does_not_know(written: str) -> None:
    with pytest.raises(ValueError, match="known here"):
        Screen(80).write(written)

"""Literal words as bash reads and writes them."""

from __future__ import annotations

import subprocess
from random import Random  # noqa: TID251 - tests may draw, from a seed

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tools import require

from nix2oci.wrappers.bash import Quoting, Word, quote, word

texts = st.binary(max_size=12).filter(lambda text: b"\0" not in text)
hostile = st.text("a'\"\\$`!~ \t\n\x01\x1b\x7fé\udc80\udcff", max_size=8).map(
    lambda text: text.encode("utf-8", "surrogateescape")
)


@pytest.mark.parametrize(
    ("text", "plain", "utf8"),
    [
        pytest.param(b"", b"''", b"''", id="nothing"),
        pytest.param(b"a b", b"'a b'", b"'a b'", id="a blank"),
        pytest.param(b"it's", rb"'it'\''s'", rb"'it'\''s'", id="an apostrophe among others"),
        pytest.param(b"'", rb"\'", rb"\'", id="an apostrophe alone"),
        pytest.param(b'!$`"\\', b"'!$`\"\\'", b"'!$`\"\\'", id="what double quotes would expand"),
        pytest.param(b"a\nb", rb"$'a\nb'", rb"$'a\nb'", id="a new line"),
        pytest.param(
            b"\a\b\t\v\f\r\x1b\x01\x7f'\\",
            rb"$'\a\b\t\v\f\r\E\001\177\'\\'",
            rb"$'\a\b\t\v\f\r\E\001\177\'\\'",
            id="control characters, and an apostrophe among them",
        ),
        pytest.param("é".encode(), rb"$'\303\251'", "'é'".encode(), id="UTF-8"),
        pytest.param(
            "é\n".encode(), rb"$'\303\251\n'", "$'é\\n'".encode(), id="UTF-8 and a new line"
        ),
        pytest.param("é\xff".encode("latin-1"), rb"$'\351\377'", rb"$'\351\377'", id="no UTF-8"),
    ],
)
def test_quote(text: bytes, plain: bytes, utf8: bytes) -> None:
    assert (quote(text), quote(text, utf8=True)) == (plain, utf8)


@pytest.mark.real
@pytest.mark.parametrize(
    ("locale", "utf8"),
    [
        pytest.param(b"C", False, id="in the C locale"),
        pytest.param(b"C.UTF-8", True, id="with UTF-8"),
    ],
)
def test_quote_is_what_bash_writes(locale: bytes, *, utf8: bool) -> None:
    require("bash")
    random = Random(7)
    alphabet = b"a'\"\\$`!~ \t\n\r\x01\x1b\x7f\x80\xc3\xa9\xff"
    many = [bytes(random.choice(alphabet) for _ in range(random.randrange(6))) for _ in range(1000)]
    done = subprocess.run(
        [b"bash", b"-c", rb'for v; do printf "%s\n" "${v@Q}"; done', b"bash", *many],
        env={b"LC_ALL": locale},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout.split(b"\n")[:-1] == [quote(text, utf8=utf8) for text in many]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(b"", b"", id="nothing at all"),
        pytest.param(b"-Da.b=c:d,e/f@g%h+i_j", b"-Da.b=c:d,e/f@g%h+i_j", id="bare"),
        pytest.param(b"--x='a b'", b"--x=a b", id="glued to what is quoted"),
        pytest.param(rb"a\ b\$\'", b"a b$'", id="backslashes"),
        pytest.param(b'"a\'!#*~b"', b"a'!#*~b", id="double quotes"),
        pytest.param(rb"$'\303\251\E\''", b"\xc3\xa9\x1b'", id="a dollar and quotes"),
        pytest.param("'é'".encode(), "é".encode(), id="UTF-8"),
        pytest.param(b"'a'\"b\"c", b"abc", id="all kinds at once"),
    ],
)
def test_words(text: bytes, value: bytes) -> None:
    found = word(text)
    assert found is not None
    assert (found.value, found.text) == (value, text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"a b", id="two words"),
        pytest.param(b"$A", id="a variable"),
        pytest.param(b'"$A"', id="a variable in quotes"),
        pytest.param(b"`id`", id="a command"),
        pytest.param(b'"\\a"', id="a backslash in double quotes"),
        pytest.param(b"~", id="a home directory"),
        pytest.param(b"*.txt", id="a pattern"),
        pytest.param(b"[a]", id="a set of characters"),
        pytest.param(b"{a,b}", id="braces"),
        pytest.param(b"#a", id="a comment"),
        pytest.param(b"a;b", id="two commands"),
        pytest.param(b"a>b", id="a redirection"),
        pytest.param(b"a&", id="a job"),
        pytest.param(b"(a)", id="a subshell"),
        pytest.param(b"!a", id="a negation"),
        pytest.param(b"'a", id="an open quote"),
        pytest.param(b"'a\nb'", id="a raw new line"),
        pytest.param(b"'\x01'", id="a raw control character"),
        pytest.param(b"'\xff'", id="a byte that is no character"),
        pytest.param(b"\xc3\xa9", id="UTF-8 without quotes"),
        pytest.param(rb"$'\x41'", id="an escape that bash does not write"),
        pytest.param(rb"$'\101'", id="an octal escape where none is needed"),
        pytest.param(rb"$'\000'", id="a NUL"),
        pytest.param(b'$"a"', id="a translation"),
        pytest.param(b"a\\\nb", id="a line that goes on"),
        pytest.param(b"a\\", id="a backslash at the end"),
    ],
)
def test_what_is_no_literal_word(text: bytes) -> None:
    assert word(text) is None


@given(st.one_of(texts, hostile), st.booleans())
def test_what_is_quoted_is_read_again(text: bytes, utf8: bool) -> None:  # noqa: FBT001
    quoted = quote(text, utf8=utf8)
    found = word(quoted)
    assert found is not None
    assert (found.value, found.text, found.is_quoted) == (text, quoted, True)


@given(st.one_of(texts, hostile))
def test_a_word_is_written_as_it_was_read(text: bytes) -> None:
    found = word(text)
    assert found is None or found.text == text


@pytest.mark.real
def test_words_mean_what_they_mean_to_bash() -> None:
    """Random text that is taken for a word is one word to bash, with the same bytes."""
    require("bash")
    random = Random(11)
    alphabet = b"abE01='\"\\$ \t!-:/.,@%+_" + "é".encode()
    found: dict[bytes, Word] = {}
    while len(found) < 400:
        text = bytes(random.choice(alphabet) for _ in range(random.randrange(1, 9)))
        literal = word(text)
        if literal is not None:
            found[text] = literal
    script = b"".join(b'printf "%%s\\0" %b "$#"\n' % text for text in found)
    done = subprocess.run([b"bash", b"-c", script], env={}, stdout=subprocess.PIPE, check=True)
    expected = b"".join(literal.value + b"\x000\0" for literal in found.values())
    assert done.stdout == expected


def test_pieces() -> None:
    found = word(rb"""a'b'"c"\d$'\n'$'\303\251'""")
    assert found is not None
    assert [(piece.quoting, piece.value) for piece in found.pieces] == [
        (Quoting.BARE, b"a"),
        (Quoting.SINGLE, b"b"),
        (Quoting.DOUBLE, b"c"),
        (Quoting.ESCAPED, b"d"),
        (Quoting.ANSI, b"\n"),
        (Quoting.ANSI, "é".encode()),
    ]

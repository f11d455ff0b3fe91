"""Challenges of a registry, as headers have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.oci.registry.challenge import Challenge, challenges, chosen


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param("Basic", (Challenge("basic"),), id="a scheme alone"),
        pytest.param('BASIC realm="x"', (Challenge("basic", {"realm": "x"}),), id="capitals"),
        pytest.param(
            'Bearer realm="https://a/token",service="s",scope="repository:a:pull,push"',
            (
                Challenge(
                    "bearer",
                    {"realm": "https://a/token", "service": "s", "scope": "repository:a:pull,push"},
                ),
            ),
            id="a comma in quotes",
        ),
        pytest.param(
            'Basic realm="a \\"b\\", c", Bearer realm=d',
            (Challenge("basic", {"realm": 'a "b", c'}), Challenge("bearer", {"realm": "d"})),
            id="quotes in quotes, and a second challenge",
        ),
        pytest.param(
            "Negotiate, Basic realm=x",
            (Challenge("negotiate"), Challenge("basic", {"realm": "x"})),
            id="a scheme alone before another",
        ),
        pytest.param(
            "Negotiate a87421000492aa==, Basic realm=x",
            (Challenge("negotiate"), Challenge("basic", {"realm": "x"})),
            id="a token before another",
        ),
        pytest.param(
            "Bearer realm = x , service = y",
            (Challenge("bearer", {"realm": "x", "service": "y"}),),
            id="white space around everything",
        ),
        pytest.param('Basic realm="open', (Challenge("basic"),), id="a quote that never ends"),
    ],
)
def test_a_header_is_read(text: str, expected: tuple[Challenge, ...]) -> None:
    assert challenges(text) == expected


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        pytest.param("Negotiate, Basic realm=x, Bearer realm=y", "basic", id="the first known one"),
        pytest.param("Bearer realm=y, Basic realm=x", "bearer", id="in the order of the header"),
        pytest.param("Bearer service=y, Basic realm=x", "basic", id="none without a realm"),
        pytest.param("Digest realm=x", None, id="none that is not known"),
    ],
)
def test_one_is_chosen(text: str, scheme: str | None) -> None:
    found = chosen(challenges(text))
    assert (found.scheme if found else None) == scheme


@given(st.text(max_size=100))
def test_any_header_is_read_to_an_end(text: str) -> None:
    for challenge in challenges(text):
        assert challenge.scheme == challenge.scheme.lower()


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), max_size=4))
def test_what_is_quoted_comes_back(values: list[str]) -> None:
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    text = "Bearer " + ", ".join(f'p{number}="{value}"' for number, value in enumerate(quoted))
    (challenge,) = challenges(text)
    assert list(challenge.parameters.values()) == values

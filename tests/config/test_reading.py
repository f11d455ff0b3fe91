"""Places, and values as errors show them."""

from __future__ import annotations

import pytest

from nix2oci.config.reading import Location, each_once, nearest, number_of, plain, show, text


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param(
            Location("f.yaml: users").at(1).at("uid"),
            "f.yaml: users[1].uid",
            id="in a file, items have numbers and entries have dots",
        ),
        pytest.param(
            Location("--env", is_flag=True).at("A"), "--env A", id="a flag's entry follows its name"
        ),
        pytest.param(
            Location("--ports", is_flag=True).at(2), "--ports", id="a flag's items are not counted"
        ),
    ],
)
def test_location(location: Location, expected: str) -> None:
    assert location.text == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a", "'a'", id="text is in quotes"),
        pytest.param("a\nb\x1b[2J\udc80", "'a\\nb\\x1b[2J\\udc80'", id="text stays in one line"),
        pytest.param("x" * 100, "'" + "x" * 77 + "...'", id="long text is cut"),
        pytest.param(True, "true", id="true is YAML's word"),
        pytest.param(None, "nothing", id="null is nothing"),
        pytest.param(-3, "-3", id="a number is its digits"),
        pytest.param(1.5, "1.5", id="a fraction is its digits"),
        pytest.param(10**5000, "a number of more than 18 digits", id="a huge number is described"),
        pytest.param({"a": 1}, "a mapping", id="a mapping is not printed"),
        pytest.param([[]], "a list", id="a list is not printed"),
        pytest.param(b"", "a bytes", id="anything else is named by its type"),
    ],
)
def test_show(value: object, expected: str) -> None:
    assert show(value) == expected


def test_text_of_a_number_is_its_digits() -> None:
    assert text(-8080, Location("x")) == "-8080"


def test_each_once_keeps_the_order() -> None:
    assert each_once(["b", "a"], Location("x"), text) == ("b", "a")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("labls", "did you mean 'labels'?", id="a letter is missing"),
        pytest.param("environment", "did you mean 'env'?", id="the name is longer"),
        pytest.param("zzz", "the names are: env, labels", id="nothing is near"),
    ],
)
def test_nearest(name: str, expected: str) -> None:
    assert nearest(name, ("env", "labels")) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("42", 42, id="digits"),
        pytest.param(42, 42, id="a number"),
        pytest.param("042", None, id="a leading zero"),
        pytest.param("٤٢", None, id="digits of another script"),
        pytest.param(" 42", None, id="a space"),
        pytest.param("4_2", None, id="an underscore"),
        pytest.param("-1", None, id="less than zero in text"),
        pytest.param(-1, None, id="less than zero"),
        pytest.param(True, None, id="a boolean"),
        pytest.param(10**18, None, id="more than 18 digits"),
    ],
)
def test_number_of(value: object, expected: int | None) -> None:
    assert number_of(value) == expected


def test_plain_keeps_printable_names() -> None:
    assert plain("größe") == "größe"

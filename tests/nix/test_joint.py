"""Many installables asked for at once, and what is left to be asked for alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakenix import DRV, SYSTEM, FakeNix, missing, value

from nix2oci.nix.installable import Installable
from nix2oci.nix.joint import evaluate_together, every_package, one_name_each
from nix2oci.nix.package import BuildTarget, Package

APP = json.loads(value())


@pytest.fixture
def fake(tmp_path: Path) -> FakeNix:
    return FakeNix(tmp_path)


def answers(**by_name: object) -> str:
    return json.dumps([[name, each] for name, each in by_name.items()])


def asked(fake: FakeNix, *texts: str, file: str | None = None) -> dict[str, str]:
    """The names of the packages that are known, by what was asked for."""
    nix = fake.nix()
    found = evaluate_together(nix, [nix.installable(text, file=file) for text in texts])
    return {each.text: package.name for each, package in found.items()}


def evals(fake: FakeNix) -> list[str]:
    """What each evaluation was about."""
    return [call[-1] for call in fake.calls if call[0] == "eval" and "--apply" in call]


def test_packages_and_apps_are_asked_for_once(fake: FakeNix) -> None:
    fake.answer("#packages", answers(a={**APP, "pname": "A"}, b={**APP, "pname": "B"}))
    fake.answer("#apps", stderr=missing("apps"), code=1)
    assert asked(fake, ".#a", ".#b", ".#a") == {".#a": "A", ".#b": "B"}
    assert evals(fake) == [".#packages", ".#apps"]


def test_a_name_may_have_dots_quotes_and_what_nix_would_take_for_code(fake: FakeNix) -> None:
    fake.answer("#packages", answers(x=APP, y=APP))
    fake.answer("#apps", stderr=missing("apps"), code=1)
    asked(fake, '.#a."b.c"', '.#"${x}\\"".y')
    (question,) = [call for call in fake.calls if call[-1] == ".#packages"]
    text = question[question.index("--apply") + 1]
    assert f'[ "{SYSTEM}" "a" "b.c" ] [ "{SYSTEM}" "\\${{x}}\\"" "y" ]' in text


def test_what_is_no_package_may_be_a_legacy_one(fake: FakeNix) -> None:
    fake.answer("#packages", answers(a=APP, b=None))
    fake.answer("#legacyPackages", answers(b={**APP, "pname": "old"}))
    fake.answer("#apps", answers(a=None, b=None))
    assert asked(fake, ".#a", ".#b") == {".#a": "app", ".#b": "old"}


def test_a_whole_path_of_packages_is_not_looked_for_elsewhere(fake: FakeNix) -> None:
    fake.answer("#packages", answers(a=APP, b=None))
    fake.answer("#apps", answers(a=None, b=None))
    assert list(asked(fake, f".#packages.{SYSTEM}.a", f".#packages.{SYSTEM}.b")) == [
        f".#packages.{SYSTEM}.a"
    ]
    assert ".#legacyPackages" not in evals(fake)


@pytest.mark.parametrize(
    ("stdout", "code"),
    [
        pytest.param("", 1, id="Nix fails with all of them"),
        pytest.param(answers(a=APP), 0, id="fewer answers than questions"),
        pytest.param(value(), 0, id="an answer of another form"),
        pytest.param(answers(a=None, b=None), 0, id="both throw"),
    ],
)
def test_what_is_not_known_is_left_to_be_asked_for_alone(
    fake: FakeNix, stdout: str, code: int
) -> None:
    for group in ("#packages", "#legacyPackages", "#apps"):
        fake.answer(group, stdout, code=code)
    assert asked(fake, ".#a", ".#b") == {}


def test_what_cannot_be_built_is_left_out_of_the_answer(fake: FakeNix) -> None:
    fake.answer("#packages", answers(a=APP, b={"kind": "set", "names": ["x"]}))
    fake.answer("#apps", answers(a=None, b=None))
    assert list(asked(fake, ".#a", ".#b")) == [".#a"]


def test_attributes_of_a_file_are_one_question(fake: FakeNix) -> None:
    fake.answer("--file f.nix", answers(a={**APP, "pname": "A"}, b={**APP, "pname": "B"}))
    assert asked(fake, "a", "b", file="f.nix") == {"a": "A", "b": "B"}
    assert evals(fake) == ["."]


def test_one_alone_and_a_store_path_are_not_asked_for_together(fake: FakeNix) -> None:
    assert asked(fake, ".#a", DRV) == {}
    assert evals(fake) == []


def test_every_package_has_its_name_and_none_for_what_fails(fake: FakeNix) -> None:
    fake.answer("#packages", answers(a=APP, b=None, default=APP))
    fake.answer("#apps", stderr=missing("apps"), code=1)
    nix = fake.nix()
    found = every_package(nix, nix.installable("."))
    assert {name: each and each.installable.text for name, each in found.items()} == {
        "a": ".#a", "b": None, "default": ".#default",
    }  # fmt: skip


def package(name: str, drv: str) -> Package:
    return Package(Installable(name, "flake"), name, wanted=(BuildTarget(drv, ("out",)),))


def test_a_derivation_has_its_own_name_or_else_not_default() -> None:
    known = {
        "default": package("web", "1"),
        "web": package("web", "1"),
        "alias": package("worker", "2"),
        "worker": package("worker", "2"),
        "b": package("Other Name", "3"),
        "a": package("Other Name", "3"),
        "bad": None,
    }
    found, left_out = one_name_each(known)
    assert list(found) == ["a", "web", "worker"]
    assert left_out == {
        "alias": "it is worker", "b": "it is a", "bad": "it cannot be evaluated",
    }  # fmt: skip
    assert list(one_name_each({"default": package("My App", "1")})[0]) == ["my-app"]

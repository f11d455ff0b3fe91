"""The program that an image starts, which is never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.fakestore import store_path
from support.packages import package

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.model.closure import StorePath
from nix2oci.model.closure_contents import ClosureContents, FoundFile
from nix2oci.nix.realise import Built
from nix2oci.pipeline.describe import (
    entrypoint,
)

APP, LIB = store_path("app-1"), store_path("lib-1")
NO_PROGRAM_HINT = (
    "name a package with a program first, or with --entrypoint a program that --contents "
    "or the base image brings; "
    "an image of data that starts nothing has --entrypoint none"
)


def program(name: str | bytes, owner: StorePath = APP) -> FoundFile:
    data = name.encode() if isinstance(name, str) else name
    return FoundFile(data, f"{owner}/bin/".encode() + data, owner, data)


def survey(*programs: str | bytes | FoundFile) -> ClosureContents:
    found = (one if isinstance(one, FoundFile) else program(one) for one in programs)
    return ClosureContents(programs=tuple(found))


def choose(
    found: ClosureContents,
    *,
    given: Sequence[str] = (),
    roots: tuple[StorePath, ...] = (APP,),
    app: str = "",
    **fields: Any,
) -> tuple[str, ...]:
    built = Built(package(**fields), roots, app)
    return entrypoint(ImageSpec(entrypoint=tuple(given)), built, found)


@pytest.mark.parametrize(
    ("arguments", "programs", "expected"),
    [
        pytest.param({"given": ["b"]}, "abc", f"{APP}/bin/b", id="asked for by name"),
        pytest.param(
            {"given": ["b"], "app": "/nix/store/x", "main_program": "a"},
            "ab",
            f"{APP}/bin/b",
            id="what is asked for wins over all",
        ),
        pytest.param({"given": ["/bin/b"]}, "ab", "/bin/b", id="a path in bin that is there"),
        pytest.param({"given": ["/opt/x"]}, "ab", "/opt/x", id="another path is taken as it is"),
        pytest.param(
            {"given": [f"{LIB}/libexec/x"]}, "ab", f"{LIB}/libexec/x", id="a path in the store"
        ),
        pytest.param(
            {"app": f"{LIB}/bin/run", "main_program": "a"},
            "ab",
            f"{LIB}/bin/run",
            id="the program of the apps output",
        ),
        pytest.param({"main_program": "b"}, "abc", f"{APP}/bin/b", id="meta.mainProgram"),
        pytest.param(
            {"main_program": "b", "name": "a"}, "ab", f"{APP}/bin/b", id="mainProgram before name"
        ),
        pytest.param({"name": "b"}, "abc", f"{APP}/bin/b", id="the package's own name"),
        pytest.param({"name": "x"}, "b", f"{APP}/bin/b", id="the only program"),
    ],
)
def test_the_entrypoint_is_what_nix_run_would_execute(
    arguments: dict[str, Any], programs: str, expected: str
) -> None:
    assert choose(survey(*programs), **arguments) == (expected,)


def test_arguments_follow_the_program_that_was_asked_for() -> None:
    found = choose(survey("a"), given=["a", "--flag", "a"])
    assert found == (f"{APP}/bin/a", "--flag", "a")


def test_a_program_of_another_installable_can_be_asked_for_but_is_not_chosen() -> None:
    found = survey(program("app", LIB), program("tool", LIB), program("main", APP))
    assert choose(found, given=["tool"]) == (f"{LIB}/bin/tool",)
    assert choose(found) == (f"{APP}/bin/main",)


def test_of_two_programs_of_one_name_that_of_the_first_package_counts() -> None:
    found = survey(program("app", LIB), program("app", APP))
    assert choose(found, given=["app"]) == (f"{APP}/bin/app",)
    assert choose(found) == (f"{APP}/bin/app",)


def test_a_program_in_any_output_of_the_package_is_found() -> None:
    found = survey(program("app", LIB))
    assert choose(found, roots=(APP, LIB)) == (f"{LIB}/bin/app",)


@pytest.mark.parametrize(
    ("arguments", "programs", "message", "hint"),
    [
        pytest.param(
            {"given": ["x"]},
            "ba",
            "cannot use entrypoint 'x': there is no such program in bin/",
            "choose one with --entrypoint: a, b",
            id="asked for, and not there",
        ),
        pytest.param(
            {"given": ["/bin/x"]},
            "a",
            "cannot use entrypoint '/bin/x': there is no such program in bin/",
            "choose one with --entrypoint: a",
            id="asked for by a path in bin, and not there",
        ),
        pytest.param(
            {"given": ["/usr/bin/x"]},
            "a",
            "cannot use entrypoint '/usr/bin/x': there is no such program in bin/",
            "choose one with --entrypoint: a",
            id="asked for by a path in usr/bin, and not there",
        ),
        pytest.param(
            {"given": ["x"]},
            "",
            "cannot use entrypoint 'x': there is no such program in bin/",
            NO_PROGRAM_HINT,
            id="asked for where there are none",
        ),
        pytest.param(
            {"main_program": "x", "name": "y"},
            "ab",
            f"cannot choose an entrypoint: meta.mainProgram is 'x', which is not in bin/ of {APP}",
            "choose one with --entrypoint: a, b",
            id="mainProgram is not there",
        ),
        pytest.param(
            {"main_program": "x", "name": "y"},
            "a",
            f"cannot choose an entrypoint: meta.mainProgram is 'x', which is not in bin/ of {APP}",
            "choose one with --entrypoint: a",
            id="mainProgram is not there, and one program is: still no guess",
        ),
        pytest.param(
            {"main_program": "x", "roots": (APP, LIB), "name": "y"},
            "",
            "cannot choose an entrypoint: meta.mainProgram is 'x', "
            f"which is not in bin/ of {APP}, {LIB}",
            NO_PROGRAM_HINT,
            id="mainProgram is in none of two outputs",
        ),
        pytest.param(
            {"name": "x"},
            "cab",
            "cannot choose an entrypoint: x has 3 programs and no meta.mainProgram",
            "choose one with --entrypoint: a, b, c",
            id="several, none of them named",
        ),
        pytest.param(
            {"name": "x"},
            "",
            "cannot choose an entrypoint: x has no program and no meta.mainProgram",
            NO_PROGRAM_HINT,
            id="none at all",
        ),
    ],
)
def test_without_a_choice_the_error_lists_the_choices(
    arguments: dict[str, Any], programs: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(survey(*programs), **arguments)
    assert (str(caught.value), caught.value.hint) == (message, hint)
    assert caught.value.exit_code == 2


def test_a_program_that_cannot_be_shown_is_escaped_in_the_choices() -> None:
    with pytest.raises(ConfigError) as caught:
        choose(survey(b"\xff\n", b"a"), name="x")
    assert caught.value.hint == "choose one with --entrypoint: \\xff\\n, a"

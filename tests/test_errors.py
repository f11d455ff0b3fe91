"""The tree of exceptions is the one that the docstring draws."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator

import pytest

import nix2oci
from nix2oci import errors
from nix2oci.errors import ConflictError, Nix2OCIError, NixCommandError, RegistryError

_LINE = re.compile(r"(?P<before>[ │├└─]*)(?P<name>\w+Error)\s+(?P<code>\d+)?")


def drawn() -> dict[str, tuple[str, int]]:
    """Each class of the drawing, with its parent and its exit code; what stands left is above."""
    found: dict[str, tuple[str, int]] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        column, name = len(match["before"]), match["name"]
        while above and above[-1][0] >= column:
            above.pop()
        parent = above[-1][1] if above else "Exception"
        inherited = found[parent][1] if above else Nix2OCIError.exit_code
        found[name] = (parent, int(match["code"]) if match["code"] else inherited)
        above.append((column, name))
    return found


def defined(base: type[Nix2OCIError] = Nix2OCIError) -> Iterator[type[Nix2OCIError]]:
    yield base
    for child in base.__subclasses__():
        yield from defined(child)


def test_the_drawing_is_the_tree() -> None:
    classes = {c.__name__: (c.__mro__[1].__name__, c.exit_code) for c in defined()}
    assert drawn() == classes


def test_every_failure_of_the_package_is_in_the_drawing() -> None:
    """A class that another module defines would be missing from it."""
    for module in pkgutil.walk_packages(nix2oci.__path__, "nix2oci."):
        importlib.import_module(module.name)
    assume_remote = [c for c in defined() if c.__module__ != errors.__name__]
    assert [c for c in assume_remote if c.__module__.startswith("nix2oci")] == []


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Nix2OCIError("it failed", hint="try again"), id="a hint"),
        pytest.param(ConflictError("/bin/x", ("/nix/store/a", "/nix/store/b")), id="a conflict"),
        pytest.param(
            NixCommandError("it failed", argv=("nix", "build"), returncode=1, stderr="why"),
            id="a command of Nix",
        ),
        pytest.param(RegistryError("it failed", status=404), id="a status"),
    ],
)
def test_an_error_gets_from_one_process_to_another(error: Nix2OCIError) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("cls", list(defined()), ids=lambda cls: cls.__name__)
def test_every_class_says_what_it_means_and_has_a_code(cls: type[Nix2OCIError]) -> None:
    assert cls.__doc__
    assert cls.exit_code in (1, 2, 3, 4, 5, 6, 7, 8)


def test_a_hint_is_apart_from_the_message() -> None:
    error = Nix2OCIError("cannot do it: it is wrong", hint="do something else")
    assert (str(error), error.hint) == ("cannot do it: it is wrong", "do something else")
    assert Nix2OCIError("cannot do it").hint is None


def test_a_failed_command_keeps_what_nix_said() -> None:
    error = NixCommandError(
        "cannot build '.#app'", argv=("nix", "build"), returncode=1, stderr="error: no", hint="h"
    )
    assert str(error) == "cannot build '.#app'"
    assert (error.argv, error.returncode, error.stderr) == (("nix", "build"), 1, "error: no")
    assert (error.hint, error.exit_code) == ("h", 3)


def test_a_conflict_keeps_its_path_and_its_owners() -> None:
    error = ConflictError("/bin/x", ("one", "two"))
    assert str(error) == "cannot place /bin/x: both one and two provide it"
    assert (error.path, error.owners) == ("/bin/x", ("one", "two"))

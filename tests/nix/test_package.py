"""What evaluation says becomes a package, or the reason why it is none."""

import json
from typing import Any

import pytest

from nix2oci.errors import NixError, NixOutputError
from nix2oci.model.closure import StorePath
from nix2oci.nix.installable import Installable, quoted
from nix2oci.nix.json_output import Source
from nix2oci.nix.package import (
    BuildTarget,
    EvalResult,
    Package,
    package_of,
    package_of_path,
    resolve,
)

SYSTEM = "x86_64-linux"
DRV = "/nix/store/11f2hlqgz41s6s2q495y7bkm0fn65sx6-program-3.0.drv"
OUT = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-program-3.0"
SOURCE = Source("abc", 1700000000, "https://example.org/app")


def derivation(**changes: Any) -> EvalResult:
    answer = {
        "kind": "derivation",
        "drv": DRV,
        "outputs": ["out"],
        "outputName": "out",
        "outputSpecified": False,
        "outputsToInstall": [],
        "name": "program-3.0",
        "pname": "",
        "version": "",
        "system": SYSTEM,
        "mainProgram": "",
        "description": "",
        "homepages": [],
        "licenses": [],
    }
    return EvalResult.parse(json.dumps(answer | changes))


def app(program: str, context: dict[str, Any] | None = None) -> EvalResult:
    return EvalResult.parse(
        json.dumps({"kind": "app", "program": program, "context": context or {}})
    )


def flake(attr: str, outputs: str = "") -> Installable:
    return Installable(f".#{attr}{outputs}", "flake", flake_ref=".", attr=attr, outputs=outputs)


def package(value: EvalResult | None, app: EvalResult | None = None, attr: str = "app") -> Package:
    return package_of(flake(attr), value, app, SOURCE, SYSTEM)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        pytest.param({}, "name", "program", id="a name before the version"),
        pytest.param({}, "version", "3.0", id="a version after the name"),
        pytest.param({"name": "git-lfs-3"}, "name", "git-lfs", id="a dash before a letter stays"),
        pytest.param({"name": "program"}, "version", "", id="no version"),
        pytest.param({"pname": "p", "version": "v"}, "name", "p", id="pname goes first"),
        pytest.param({"pname": "p", "version": "v"}, "version", "v", id="version goes first"),
        pytest.param({"system": "aarch64-linux"}, "system", "aarch64-linux", id="another system"),
        pytest.param({"system": ""}, "system", SYSTEM, id="no system"),
        pytest.param({"mainProgram": "m"}, "main_program", "m", id="the main program"),
        pytest.param({"description": " a\n b "}, "description", "a b", id="one line"),
        pytest.param({"homepages": ["u", "v"]}, "homepage", "u", id="the first of the homepages"),
        pytest.param({"licenses": ["MIT"]}, "license", "MIT", id="one license"),
        pytest.param(
            {"licenses": ["MIT", "Zlib", "MIT"]}, "license", "MIT AND Zlib", id="licenses, once"
        ),
        pytest.param({"licenses": ["MIT", ""]}, "license", "", id="a license that SPDX lacks"),
        pytest.param({}, "revision", "abc", id="the revision of the flake"),
        pytest.param({}, "last_modified", 1700000000, id="the time of the flake"),
        pytest.param({}, "url", "https://example.org/app", id="the address of the flake"),
    ],
)
def test_what_is_known(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(package(derivation(**changes)), field) == expected


def test_the_app_that_makes_an_image_is_not_what_the_image_starts() -> None:
    """`packages.image-x` of the library, which is an image, and `apps.image-x`."""
    made = package(derivation(isOCIImage=True), app("/nix/store/x/bin/x-image"))
    assert (made.program, made.program_wanted) == ("", ())


SEVERAL = {"outputs": ["dev", "out", "bin"], "outputName": "dev"}


@pytest.mark.parametrize(
    ("attr", "outputs", "changes", "expected"),
    [
        pytest.param("app", "", {}, ("out",), id="the only output"),
        pytest.param("app", "", SEVERAL, ("out",), id="out, though it is not the first"),
        pytest.param(
            "app",
            "",
            SEVERAL | {"outputsToInstall": ["bin", "man"]},
            ("bin",),
            id="what meta wants installed, as far as it is there",
        ),
        pytest.param(
            "app", "", {"outputs": ["lib", "dev"], "outputName": "lib"}, ("lib",), id="no out"
        ),
        pytest.param(
            "app", "", SEVERAL | {"outputName": "bin"}, ("bin",), id="an attribute chose an output"
        ),
        pytest.param("app.dev", "", SEVERAL, ("dev",), id="an attribute chose the first output"),
        pytest.param("dev", "", SEVERAL, ("out",), id="a package that is called as an output"),
        pytest.param(
            "app",
            "",
            SEVERAL | {"outputSpecified": True},
            ("dev",),
            id="nixpkgs says that an output was chosen",
        ),
        pytest.param("app", "^bin,out", SEVERAL, ("bin", "out"), id="outputs that were named"),
        pytest.param("app", "^*", SEVERAL, ("dev", "out", "bin"), id="all outputs"),
    ],
)
def test_which_outputs_are_built(
    attr: str, outputs: str, changes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    found = package_of(flake(attr, outputs), derivation(**changes), None, SOURCE, SYSTEM)
    assert found.wanted == (BuildTarget(DRV, expected),)


def test_an_output_that_is_not_there() -> None:
    with pytest.raises(NixError) as caught:
        package_of(flake("app", "^lib"), derivation(**SEVERAL), None, SOURCE, SYSTEM)
    assert str(caught.value) == "cannot build '.#app^lib': it has no output 'lib'"
    assert caught.value.hint == "it has 'dev', 'out', 'bin'"


def test_an_app_beside_its_package() -> None:
    found = package(derivation(), app(f"{OUT}/bin/x", {DRV: {"outputs": ["out"]}}))
    assert found.name == "program"
    assert found.program == f"{OUT}/bin/x"
    assert found.wanted == (BuildTarget(DRV, ("out",)),)
    assert found.program_wanted == (BuildTarget(DRV, ("out",)),)


@pytest.mark.parametrize(
    ("value", "other", "attr", "name"),
    [
        pytest.param(None, app(f"{OUT}/bin/x"), "tool", "tool", id="only an app"),
        pytest.param(app(f"{OUT}/bin/x"), None, "apps.s.tool", "tool", id="an app named as such"),
        pytest.param(None, app(f"{OUT}/bin/x"), "", "x", id="the default app"),
    ],
)
def test_an_app_alone(
    value: EvalResult | None, other: EvalResult | None, attr: str, name: str
) -> None:
    found = package(value, other, attr)
    assert (found.name, found.version, found.wanted) == (name, "", ())
    assert (found.program, found.program_wanted) == (f"{OUT}/bin/x", (BuildTarget(OUT),))


def test_a_derivation_among_the_apps_is_a_package() -> None:
    assert package(None, derivation()).wanted == (BuildTarget(DRV, ("out",)),)
    assert package(derivation(name="a"), derivation(name="b")).name == "a"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        pytest.param({"outputs": ["out", "dev"]}, BuildTarget(DRV, ("out", "dev")), id="outputs"),
        pytest.param({"allOutputs": True}, BuildTarget(DRV, ("*",)), id="a whole derivation"),
        pytest.param({"path": True}, BuildTarget(DRV), id="a path as it is"),
    ],
)
def test_the_context_of_a_program(said: dict[str, Any], wanted: BuildTarget) -> None:
    assert package(None, app(f"{OUT}/bin/x", {DRV: said})).program_wanted == (wanted,)


def test_a_program_outside_the_store() -> None:
    with pytest.raises(NixError) as caught:
        package(None, app("/usr/bin/env"))
    assert str(caught.value) == (
        "cannot use the app '.#app': its program '/usr/bin/env' is not in the store"
    )
    assert caught.value.hint == 'write it as "${package}/bin/name"'


def test_a_string_that_is_a_store_path() -> None:
    value = EvalResult.parse(
        json.dumps({"kind": "string", "program": OUT, "context": {DRV: {"outputs": ["out"]}}})
    )
    found = package(value)
    assert (found.program, found.wanted) == ("", (BuildTarget(DRV, ("out",)),))


@pytest.mark.parametrize(
    ("answer", "what", "hint"),
    [
        pytest.param({"kind": "string", "program": "hello"}, "a string", None, id="a string"),
        pytest.param(
            {"kind": "string", "program": f"{OUT}/x", "context": {DRV: {"outputs": ["out"]}}},
            "a string",
            None,
            id="a string below a store path",
        ),
        pytest.param({"kind": "int"}, "an integer", None, id="a number"),
        pytest.param({"kind": "list"}, "a list", None, id="a list"),
        pytest.param({"kind": "lambda"}, "a function", None, id="a function"),
        pytest.param(
            {"kind": "set", "names": ["a", "b"]},
            "an attribute set",
            "it has the attributes 'a', 'b'",
            id="a set says what is in it",
        ),
        pytest.param({"kind": "set", "names": []}, "an attribute set", "it is empty", id="empty"),
    ],
)
def test_what_cannot_be_built(answer: dict[str, Any], what: str, hint: str | None) -> None:
    with pytest.raises(NixError) as caught:
        package(EvalResult.parse(json.dumps(answer)))
    assert str(caught.value) == f"cannot build '.#app': it is {what}, not a derivation or an app"
    assert caught.value.hint == hint


@pytest.mark.parametrize("stdout", ["[]", '{"kind": 1}', '"x"'])
def test_an_evaluation_that_says_something_else(stdout: str) -> None:
    with pytest.raises(NixOutputError) as caught:
        EvalResult.parse(stdout)
    assert str(caught.value) == f"cannot read `nix eval` output: it printed {stdout!r}"


@pytest.mark.parametrize(
    ("path", "outputs", "wanted"),
    [
        pytest.param(OUT, "", BuildTarget(OUT), id="a path is itself"),
        pytest.param(DRV, "", BuildTarget(DRV, ("*",)), id="a derivation is all of its outputs"),
        pytest.param(DRV, "^dev", BuildTarget(DRV, ("dev",)), id="an output of a derivation"),
    ],
)
def test_a_store_path(path: str, outputs: str, wanted: BuildTarget) -> None:
    installable = Installable(path, "path", outputs=outputs, store_path=path)
    found = package_of_path(installable, SYSTEM)
    assert found == Package(installable, "program", "3.0", SYSTEM, wanted=(wanted,))


def test_outputs_of_what_is_no_derivation() -> None:
    with pytest.raises(NixError) as caught:
        package_of_path(Installable("x^out", "path", outputs="^out", store_path=OUT), SYSTEM)
    assert str(caught.value) == f"cannot build 'x^out': {OUT} is not a derivation"


# What Nix 2.8 and 2.34 evaluate "${ca}/bin/x" and "${ca.dev}/bin/x" to.
CA_DRV = "/nix/store/p6wgiwqg5jrw67155k3l28wjnhcwjxsj-ca-1.drv"
CA_OUT = "/0qk96nqw9s8508y2d0jpdqrz08r8lxjvjqfkz0z21rcyw3kq0c07"
CA_DEV = "/0jcghmj6gk7iq2hqv423pq949w4p49j52m7375hm0ys00a7dg9yv"


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param(f"{CA_OUT}/bin/x", f"{OUT}/bin/x", id="of the output out"),
        pytest.param(f"{CA_DEV}/bin/x", f"{OUT}-dev/bin/x", id="of another output"),
        pytest.param(f"{OUT}/bin/x", f"{OUT}/bin/x", id="no placeholder"),
    ],
)
def test_a_placeholder_becomes_the_path(program: str, expected: str) -> None:
    built = {"out": StorePath.parse(OUT), "dev": StorePath.parse(f"{OUT}-dev")}
    assert resolve(program, {CA_DRV: built, OUT: {"": StorePath.parse(OUT)}}) == expected


def test_names_in_a_message_are_not_too_many() -> None:
    assert quoted(("a", "b")) == "'a', 'b'"
    assert quoted(tuple("abcd"), most=2) == "'a', 'b' and 2 more"

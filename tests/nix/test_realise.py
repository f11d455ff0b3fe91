"""What `nix build` is asked for, and whose the parts of its answer are."""

import pytest

from nix2oci.errors import Nix2OCIError, NixError, NixOutputError, StoreError
from nix2oci.model.closure import StorePath
from nix2oci.nix.installable import Installable
from nix2oci.nix.json_output import Realised
from nix2oci.nix.package import BuildTarget, Package
from nix2oci.nix.realise import assign, operands, outputs_of

STORE = "/nix/store"
A = f"{STORE}/11f2hlqgz41s6s2q495y7bkm0fn65sx6-a.drv"
B = f"{STORE}/94flmp810fvqdv3yq5g02hrkrip8bhkz-b.drv"
OUT, DEV, OTHER = (
    StorePath.parse(f"{STORE}/{path}")
    for path in (
        "k6sbazwb84960nz7saz7z551zi6vri7k-a",
        "0b5a7w7kll7y52dcqxl9dk9x5f37p1s7-a-dev",
        "ai6vwhbrg1fgxn289gkabgn3d4hhfxa3-b",
    )
)


def package(
    *wanted: BuildTarget, program: str = "", program_wanted: tuple[BuildTarget, ...] = ()
) -> Package:
    installable = Installable(".#a", "flake", flake_ref=".", attr="a")
    return Package(installable, "a", wanted=wanted, program=program, program_wanted=program_wanted)


@pytest.mark.parametrize(
    ("packages", "exact", "old"),
    [
        pytest.param((package(BuildTarget(A, ("out",))),), (f"{A}^out",), (A,), id="an output"),
        pytest.param((package(BuildTarget(A, ("*",))),), (f"{A}^*",), (A,), id="all outputs"),
        pytest.param((package(BuildTarget(str(OUT))),), (str(OUT),), (str(OUT),), id="a path"),
        pytest.param(
            (
                package(BuildTarget(A, ("out",))),
                package(BuildTarget(A, ("dev",)), BuildTarget(B, ("out",))),
            ),
            (f"{A}^dev,out", f"{B}^out"),
            (A, B),
            id="a derivation is named once for all packages",
        ),
        pytest.param(
            (
                package(
                    BuildTarget(A, ("out",)),
                    program=f"{OTHER}/x",
                    program_wanted=(BuildTarget(B, ("*",)),),
                ),
            ),
            (f"{A}^out", f"{B}^*"),
            (A, B),
            id="what the program of an app needs",
        ),
    ],
)
def test_what_is_asked_for(
    packages: tuple[Package, ...], exact: tuple[str, ...], old: tuple[str, ...]
) -> None:
    assert operands(packages, exact=True) == exact
    assert operands(packages, exact=False) == old


ANSWER = outputs_of(
    (
        Realised(A, {"out": OUT}),
        Realised("", {"": OTHER}),
        Realised(A, {"dev": DEV}),
        Realised(B, {"out": OTHER}),
    )
)


@pytest.mark.parametrize(
    ("asked", "roots", "program"),
    [
        pytest.param(package(BuildTarget(A, ("out",))), (OUT,), "", id="one of two outputs"),
        pytest.param(
            package(BuildTarget(A, ("out", "dev"))),
            (OUT, DEV),
            "",
            id="two, in the order asked for",
        ),
        pytest.param(
            package(BuildTarget(A, ("*",))), (DEV, OUT), "", id="all, in the order of names"
        ),
        pytest.param(package(BuildTarget(str(OTHER))), (OTHER,), "", id="a path as it is"),
        pytest.param(
            package(
                BuildTarget(A, ("out",)),
                program=f"{OTHER}/bin/b",
                program_wanted=(BuildTarget(B, ("out",)),),
            ),
            (OUT, OTHER),
            f"{OTHER}/bin/b",
            id="the path of the program goes last",
        ),
        pytest.param(
            package(
                BuildTarget(A, ("out",)),
                program=str(OUT),
                program_wanted=(BuildTarget(A, ("out",)),),
            ),
            (OUT,),
            str(OUT),
            id="a program in the package is no second root",
        ),
        pytest.param(
            package(
                program=f"{DEV}/x",
                program_wanted=(BuildTarget(B, ("out",)), BuildTarget(A, ("out", "dev"))),
            ),
            (DEV,),
            f"{DEV}/x",
            id="only the path of the program, of all that it was made from",
        ),
    ],
)
def test_whose_the_outputs_are(asked: Package, roots: tuple[StorePath, ...], program: str) -> None:
    built = assign(asked, ANSWER)
    assert (built.package, built.roots, built.program) == (asked, roots, program)


@pytest.mark.parametrize(
    ("asked", "answer", "error", "message"),
    [
        pytest.param(
            package(BuildTarget(A, ("out",))),
            (Realised(A, {"out": None}),),
            StoreError,
            f"cannot build {A}: Nix gave no path for its output 'out'",
            id="an output that is null",
        ),
        pytest.param(
            package(BuildTarget(A, ("man",))),
            (Realised(A, {"out": OUT}),),
            StoreError,
            f"cannot build {A}: Nix gave no path for its output 'man'",
            id="an output that is missing",
        ),
        pytest.param(
            package(BuildTarget(A, ("out",))),
            (Realised(B, {"out": OTHER}),),
            NixOutputError,
            f"cannot read `nix build` output: it says nothing about {A}",
            id="another derivation",
        ),
        pytest.param(
            package(program=f"{OTHER}-x/bin/b", program_wanted=(BuildTarget(B, ("out",)),)),
            (Realised(B, {"out": OTHER}),),
            NixError,
            f"cannot use the app '.#a': its program '{OTHER}-x/bin/b' is not in the store",
            id="a program that is in nothing that was built",
        ),
    ],
)
def test_an_answer_to_another_question(
    asked: Package, answer: tuple[Realised, ...], error: type[Nix2OCIError], message: str
) -> None:
    with pytest.raises(error) as caught:
        assign(asked, outputs_of(answer))
    assert str(caught.value) == message
    assert type(caught.value) is error

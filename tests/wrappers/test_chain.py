"""Chains of wrappers, links, binaries and interpreters, and what they end in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from support.cwrapper import compile_wrapper, source
from support.tools import require

from nix2oci.wrappers.binary import BinaryWrapper, Option
from nix2oci.wrappers.chain import Chain, End, File, follow
from nix2oci.wrappers.refusal import Reason
from nix2oci.wrappers.script import HostFacts, Native, Wrapper, read

S = b"/nix/store/0c5xnk0hzyh8kf4vbcy6h7ifjl8w6fgy-"
BASH = S + b"bash-5.2p37/bin/bash"
A, B, C, D = (S + name + b"/bin/x" for name in (b"a", b"b", b"c", b"d"))
ELF = File(b"\x7fELF\x02\x01 a program")


def to(target: bytes, *lines: bytes) -> File:
    """A wrapper of makeWrapper."""
    text = (b"#! " + BASH + b" -e", *lines, b'exec -a "$0" "' + target + b'"  "$@" ', b"")
    return File(b"\n".join(text))


def script(interpreter: bytes, *lines: bytes) -> File:
    return File(b"\n".join((b"#!" + interpreter, *lines, b"")))


def followed(files: Mapping[bytes, File]) -> Chain:
    return follow(
        A, files.get, partial(read, host=HostFacts(path_preset=lambda _: b"/no-such-path"))
    )


def told(chain: Chain) -> list[str]:
    """The kind of each file, and the end."""
    kinds = [
        "link" if isinstance(step.what, bytes)
        else step.what.name if isinstance(step.what, Native)
        else type(step.what).__name__
        for step in chain.steps
    ]  # fmt: skip
    return [*kinds, chain.end.name]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({A: ELF}, ["ELF", "NATIVE"], id="a program"),
        pytest.param({A: to(B), B: ELF}, ["Wrapper", "ELF", "NATIVE"], id="a wrapped program"),
        pytest.param(
            {A: to(B), B: to(C), C: ELF},
            ["Wrapper", "Wrapper", "ELF", "NATIVE"],
            id="a program that is wrapped twice",
        ),
        pytest.param(
            {A: File(link=b"../../" + B.removeprefix(b"/nix/store/")), B: to(C), C: ELF},
            ["link", "Wrapper", "ELF", "NATIVE"],
            id="a relative link to a wrapper",
        ),
        pytest.param(
            {A: to(B), B: File(link=C), C: File(link=D), D: ELF},
            ["Wrapper", "link", "link", "ELF", "NATIVE"],
            id="a wrapper whose program is a link to a link",
        ),
        pytest.param(
            {A: to(B), B: script(C), C: ELF},
            ["Wrapper", "INTERPRETED", "ELF", "NATIVE"],
            id="a wrapped script of an interpreter in the store",
        ),
        pytest.param(
            {A: script(C), C: to(D), D: ELF},
            ["INTERPRETED", "Wrapper", "ELF", "NATIVE"],
            id="a script whose interpreter is wrapped",
        ),
        pytest.param(
            {A: script(b"/usr/bin/env python3")},
            ["INTERPRETED", "NATIVE"],
            id="a script whose interpreter is not in the store",
        ),
    ],
)
def test_chains_that_need_no_shell(files: Mapping[bytes, File], expected: list[str]) -> None:
    chain = followed(files)
    assert told(chain) == expected
    assert (chain.needs_shell, chain.refusal, chain.target) == (False, None, None)


@pytest.mark.parametrize(
    ("files", "expected", "refusal", "is_target"),
    [
        pytest.param(
            {A: to(B), B: script(BASH, b"echo hello")},
            ["Wrapper", "Refusal", "SHELL"],
            f"{B.decode()}:2: run-line: the line does more than set variables and change the "
            "directory ('echo hello')",
            False,
            id="a wrapper in front of a shell script",
        ),
        pytest.param(
            {A: to(B), B: script(b"/bin/sh", b"echo hello")},
            ["Wrapper", "Refusal", "SHELL"],
            f"{B.decode()}:1: other-interpreter: the interpreter is not a bash from the store, "
            "run as makeWrapper does ('#!/bin/sh')",
            False,
            id="a wrapper in front of a script of another shell",
        ),
        pytest.param(
            {A: to(B), B: to(C, b"mkdir x"), C: ELF},
            ["Wrapper", "Refusal", "REFUSE"],
            f"{B.decode()}:2: run-line: the line does more than set variables and change the "
            "directory ('mkdir x')",
            False,
            id="a wrapper in front of one that runs commands",
        ),
        pytest.param(
            {A: to(B), B: File(b"echo hello\n")},
            ["Wrapper", "Refusal", "SHELL"],
            f"{B.decode()}:1: target-no-shebang: the program is a script that does not name its "
            "interpreter",
            True,
            id="a program that bash would run itself",
        ),
        pytest.param(
            {A: to(B), B: File(link=C), C: File(b"")},
            ["Wrapper", "link", "Refusal", "SHELL"],
            f"{C.decode()}:1: target-no-shebang: the program is a script that does not name its "
            "interpreter",
            True,
            id="a link to what bash would run itself",
        ),
        pytest.param(
            {A: to(B)},
            ["Wrapper", "Refusal", "REFUSE"],
            f"{B.decode()}: target-missing: there is nothing at this path",
            True,
            id="no program",
        ),
        pytest.param(
            {A: to(B), B: File(b"\x7fELF", executable=False)},
            ["Wrapper", "Refusal", "REFUSE"],
            f"{B.decode()}: target-missing: it is not an executable file",
            True,
            id="a program that may not be executed",
        ),
        pytest.param(
            {A: to(B), B: File()},
            ["Wrapper", "Refusal", "REFUSE"],
            f"{B.decode()}: target-missing: it is not an executable file",
            True,
            id="a directory",
        ),
        pytest.param(
            {A: to(b"/run/wrappers/bin/sudo"), b"/run/wrappers/bin/sudo": ELF},
            ["Wrapper", "Refusal", "REFUSE"],
            "/run/wrappers/bin/sudo: target-missing: it is not in the store",
            True,
            id="a program outside the store",
        ),
        pytest.param(
            {A: to(B), B: File(link=b"../../../../../bin/x"), b"/bin/x": ELF},
            ["Wrapper", "link", "Refusal", "REFUSE"],
            "/bin/x: target-missing: it is not in the store",
            True,
            id="a link out of the store",
        ),
        pytest.param(
            {A: to(b"bin/x")},
            ["Refusal", "REFUSE"],
            f"{A.decode()}:2: target-not-absolute: the program is not named by its whole path "
            '(\'exec -a "$0" "bin/x"  "$@" \')',
            False,
            id="a program by a relative path",
        ),
        pytest.param(
            {A: to(B), B: to(A)},
            ["Wrapper", "Wrapper", "Refusal", "REFUSE"],
            f"{A.decode()}: target-missing: the chain comes back to where it was",
            False,
            id="wrappers that start each other",
        ),
        pytest.param(
            {A: File(link=A)},
            ["link", "Refusal", "REFUSE"],
            f"{A.decode()}: target-missing: the chain comes back to where it was",
            False,
            id="a link to itself",
        ),
    ],
)
def test_chains_that_end_badly(
    files: Mapping[bytes, File], expected: list[str], refusal: str, *, is_target: bool
) -> None:
    chain = followed(files)
    assert (told(chain), str(chain.refusal), chain.needs_shell) == (expected, refusal, True)
    assert chain.target == (chain.refusal if is_target else None)


@pytest.mark.parametrize(
    ("count", "end"),
    [
        pytest.param(8, End.NATIVE, id="eight files are followed"),
        pytest.param(9, End.REFUSE, id="nine are not"),
    ],
)
def test_depth(count: int, end: End) -> None:
    names = [A, *(S + b"%d/bin/x" % at for at in range(1, count))]
    files = {name: to(target) for name, target in pairwise(names)}
    chain = followed(files | {names[-1]: ELF})
    assert (len(chain.steps), chain.end) == (count, end)


def test_a_file_that_is_no_program() -> None:
    chain = followed({A: File(b"text")})
    assert told(chain) == ["OTHER", "NATIVE"]


@pytest.mark.real
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param(ELF, ["Wrapper", "BinaryWrapper", "ELF", "NATIVE"], id="to a program"),
        pytest.param(
            script(BASH, b"true"),
            ["Wrapper", "BinaryWrapper", "Refusal", "SHELL"],
            id="to a shell script",
        ),
    ],
)
def test_through_a_wrapper_binary(tmp_path: Path, target: File, expected: list[str]) -> None:
    require("gcc", "strip")
    command = (Option(b"--set", (b"A", b"b")), Option(b"--inherit-argv0", ()))
    binary = compile_wrapper(source(C, command), tmp_path / "wrapper")
    chain = followed({A: to(B), B: File(binary), C: target})
    assert told(chain) == expected
    assert isinstance(chain.steps[0].what, Wrapper)
    assert isinstance(chain.steps[1].what, BinaryWrapper)
    assert chain.target is None


@pytest.mark.real
def test_a_wrapper_binary_that_cannot_be_believed(tmp_path: Path) -> None:
    require("gcc", "strip")
    binary = compile_wrapper(source(C, (), extra='system("x");'), tmp_path / "wrapper")
    chain = followed({A: File(binary), C: ELF})
    assert told(chain) == ["Refusal", "REFUSE"]
    assert chain.refusal is not None
    assert chain.refusal.reason is Reason.ROUND_TRIP

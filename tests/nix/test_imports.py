"""What a program imports is read from its symbols; what is no whole program imports nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tools import require

from nix2oci.nix.dynamic_imports import imported

PROGRAM = """
#include <stdlib.h>
#include <stdio.h>
int used(int x) { return x; }
int main(int argc, char **argv) { return system(argv[1]) + used(puts("")); }
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    require("gcc")
    path = tmp_path_factory.mktemp("imports") / "program"
    argv = ["gcc", "-x", "c", "-o", str(path), "-"]
    subprocess.run(argv, input=PROGRAM, text=True, check=True)
    return path.read_bytes()


def of(data: bytes, path: Path, *wanted: bytes) -> frozenset[bytes]:
    path.write_bytes(data)
    with path.open("rb") as file:
        return imported(file.fileno(), wanted)


def test_names_that_libraries_give_are_imports(program: bytes, tmp_path: Path) -> None:
    assert of(program, tmp_path / "x", b"system", b"puts", b"popen") == {b"system", b"puts"}


@pytest.mark.parametrize("name", [b"used", b"main", b"uts", b"system\0"])
def test_other_names_are_none(name: bytes, program: bytes, tmp_path: Path) -> None:
    assert of(program, tmp_path / "x", name) == frozenset()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="an empty file"),
        pytest.param(b"#!/bin/sh\n", id="a script"),
        pytest.param(b"\x7fELF\x02\x01", id="six bytes of one"),
        pytest.param(b"\x7fELF\x01\x01" + bytes(99), id="a 32-bit program"),
        pytest.param(b"\x7fELF\x02\x01" + b"\xff" * 99, id="numbers out of range"),
    ],
)
def test_what_is_no_whole_program_imports_nothing(data: bytes, tmp_path: Path) -> None:
    assert of(data, tmp_path / "x", b"system") == frozenset()


def test_a_static_program_imports_nothing(tmp_path: Path) -> None:
    require("gcc")
    argv = ["gcc", "-static", "-w", "-x", "c", "-o", str(tmp_path / "static"), "-"]
    subprocess.run(argv, input=PROGRAM, text=True, check=True)
    assert of((tmp_path / "static").read_bytes(), tmp_path / "x", b"system") == frozenset()


@given(data=st.data())
def test_a_damaged_program_is_no_failure(
    data: st.DataObject, program: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = data.draw(st.integers(0, len(program) - 1))
    value = data.draw(st.binary(min_size=1, max_size=8))
    cut = data.draw(st.integers(0, len(program)))
    changed = (program[:at] + value + program[at + len(value) :])[: max(cut, 64)]
    assert of(changed, tmp_path_factory.getbasetemp() / "damaged", b"system") <= {b"system"}

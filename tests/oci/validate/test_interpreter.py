"""The program that starts an executable file, read from bytes that anyone may have written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.oci.validate.interpreter import HEAD, interpreter

PYTHON = Path(sys.executable).resolve().read_bytes()[:HEAD]


def changed(at: int, data: bytes) -> bytes:
    return PYTHON[:at] + data + PYTHON[at + len(data) :]


def test_a_program_names_its_loader() -> None:
    assert (interpreter(PYTHON) or b"").startswith(b"/lib")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(changed(54, bytes(2)), id="an object that is to be linked"),
        pytest.param(changed(32, b"\xff" * 8), id="program headers behind the end of everything"),
        pytest.param(b"\x7fELF", id="four bytes"),
        pytest.param(b"\x7fELF\x02\x07", id="an order of bytes that there is not"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"#!", id="a script that names nothing"),
    ],
)
def test_what_names_none_is_no_error(head: bytes) -> None:
    assert interpreter(head) is None


@given(st.integers(4, 63), st.binary(min_size=1, max_size=16))
def test_no_header_is_an_error(at: int, data: bytes) -> None:
    found = interpreter(changed(at, data))
    assert found is None or found in PYTHON


@pytest.mark.parametrize("head", [b"#!/bin/sh\n", b"#! /bin/sh -e\nexit"])
def test_a_script_names_its_interpreter(head: bytes) -> None:
    assert interpreter(head) == b"/bin/sh"

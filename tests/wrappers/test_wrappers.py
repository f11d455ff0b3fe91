"""Scripts that are wrappers, and those that are not: one golden file for each, and properties."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed

import pytest
from fuzz.cases import Places, draw
from fuzz.mutate import SAMPLES
from fuzz.scripts import script
from hypothesis import example, given
from hypothesis import strategies as st
from support.paths import DATA

from nix2oci.wrappers.binary import _MARK
from nix2oci.wrappers.chain import Chain, End, Step
from nix2oci.wrappers.explain import wrapper_text
from nix2oci.wrappers.operations import Append, Launch, Op, Prepend, preset
from nix2oci.wrappers.refusal import Reason, Refusal
from nix2oci.wrappers.script import HostFacts, Native, Wrapper, essence, read, read_shebang
from nix2oci.wrappers.spellings import Form

DIRECTORY = DATA / "wrappers"
OUTPUT = b"# output\n"
UNENDED = b"# output of a script without an end of its last line\n"

PATH = b"/nix/store/zzxnk0hzyh8kf4vbcy6h7ifjl8w6fgy0-hello/bin/hello"
SHELL = b"/nix/store/0c5xnk0hzyh8kf4vbcy6h7ifjl8w6fgy-bash-5.2p37/bin/bash"
CURL = b"/nix/store/5yq6a2s1j3h3k9c8ih2b8yk2mzb9qf7l-curl-8.5/bin/curl"
PRESET = b"/no-such-path"

AROUND = HostFacts(path_preset=lambda _: PRESET, is_program=lambda path: path == CURL)


def told(data: bytes) -> str:
    """What a golden file says of a script."""
    found = read(data, PATH, AROUND)
    if isinstance(found, Wrapper):
        return wrapper_text(found, Chain((Step(PATH, found),), End.NATIVE))
    return f"refused\n{found}"


GOLDEN = sorted(DIRECTORY.glob("*.txt"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    text = file.read_bytes()
    mark = UNENDED if UNENDED in text else OUTPUT
    data, _, expected = text.partition(mark)
    if mark is UNENDED:
        data = data.removesuffix(b"\n")
    assert told(data) == expected.decode().removesuffix("\n")
    found = read(data, PATH, AROUND)
    assert isinstance(found, Refusal if file.stem.startswith("trap-") else Wrapper)


def test_every_form_and_reason_has_a_golden_file() -> None:
    texts = [file.read_bytes().decode("utf-8", "surrogateescape") for file in GOLDEN]
    ends = "\n".join(text.rpartition("# output")[2] for text in texts)
    assert [form.name for form in Form if f"({form.name}," not in ends] == []
    # These two are for the chain to say.
    by_chain = {Reason.TARGET_MISSING, Reason.TARGET_NO_SHEBANG}
    assert {reason for reason in Reason if f": {reason}: " not in ends} == by_chain


SHELL_SCRIPT = b"#! " + SHELL + b" -e\n"


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        pytest.param(255, Wrapper, id="255 bytes are read"),
        pytest.param(256, Refusal, id="one more is not"),
    ],
)
def test_length_of_the_first_line(length: int, expected: type) -> None:
    line = b"#!" + SHELL.rjust(length - 5) + b" -e"
    assert len(line) == length
    assert isinstance(read(line + b'\nexec /nix/store/x "$@"\n', PATH, AROUND), expected)


@pytest.mark.parametrize(
    ("data", "interpreter", "argument"),
    [
        pytest.param(b"#!/a/b\n", b"/a/b", b"", id="an interpreter"),
        pytest.param(b"#! \t/a/b \t-x y \t\n", b"/a/b", b"-x y", id="one argument, with blanks"),
        pytest.param(b"#!\n", b"", b"", id="nothing"),
        pytest.param(b"#!/a\0b c\n", b"/a", b"", id="up to a NUL"),
        pytest.param(b"#!/a/b", b"/a/b", b"", id="no end of line"),
    ],
)
def test_shebang(data: bytes, interpreter: bytes, argument: bytes) -> None:
    found = read_shebang(data)
    assert (found.interpreter, found.argument) == (interpreter, argument)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\x7fELF", Native.ELF, id="a program"),
        pytest.param(b"#!/nix/store/x/bin/python3\n", Native.INTERPRETED, id="a Python script"),
        pytest.param(b"#!/usr/bin/env -S perl -w\n", Native.INTERPRETED, id="a Perl script"),
        pytest.param(b"", Native.OTHER, id="nothing"),
        pytest.param(b"exec x\n", Native.OTHER, id="text"),
    ],
)
def test_what_is_no_shell_script(data: bytes, expected: Native) -> None:
    assert read(data, PATH) is expected


@pytest.mark.parametrize(
    ("data", "like"),
    [
        pytest.param(SHELL_SCRIPT + b"mkdir x\n", True, id="makeWrapper's first line"),
        pytest.param(b"#!/bin/sh\nexec y\n", True, id="an exec"),
        pytest.param(b"#!/bin/sh\necho hello\n", False, id="neither"),
        pytest.param(b"#!\n", False, id="no interpreter"),
    ],
)
def test_wrapper_like(data: bytes, *, like: bool) -> None:
    found = read(data, PATH)
    assert isinstance(found, Refusal)
    assert found.wrapper_like is like


def test_path_is_refused_where_its_preset_is_not_known() -> None:
    data = SHELL_SCRIPT + b'export PATH="/x:$PATH"\nexec /nix/store/x "$@"\n'
    assert str(read(data, PATH)) == (
        f"{PATH.decode()}:2: preset-variable: the shell gives the variable a value of its own "
        "('export PATH=\"/x:$PATH\"')"
    )
    settled = data.replace(b"export PATH=", b"export PATH=/y\nexport PATH=")
    assert isinstance(read(settled, PATH), Wrapper)


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [
        pytest.param([b'export PATH="%b"'], True, id="the only directory"),
        pytest.param([b'export PATH="%b:$PATH"'], True, id="in front of the caller's"),
        pytest.param([b'export PATH="%b$PATH"'], False, id="glued to the caller's"),
        pytest.param([b'export PATH="%b${PATH:+:$PATH}"'], True, id="in front, if there is one"),
        pytest.param([b'export PATH="%b;$PATH"'], False, id="with another separator"),
        pytest.param([b'export PATH="%b/:$PATH"'], False, id="with a slash at its end"),
        pytest.param([b'export PATH="%b:"', b"export V=x"], True, id="in front of an empty one"),
        pytest.param([b'export PATH=":%b"'], False, id="after the working directory"),
        pytest.param([b'export PATH="%b"', b"unset PATH"], False, id="taken away again"),
        pytest.param(
            [b'export PATH="%b"', b'export PATH="$PATH:/x"'], False, id="when something follows"
        ),
        pytest.param([], False, id="nowhere"),
    ],
)
def test_a_bare_name_is_looked_up(lines: list[bytes], *, is_found: bool) -> None:
    directory = CURL.rpartition(b"/")[0]
    text = b"\n".join([b"#!" + SHELL, *lines, b'exec -a x curl "$@"', b""])
    found = read(text.replace(b"%b", directory), PATH, AROUND)
    if is_found:
        assert isinstance(found, Wrapper)
        assert (found.launch.target, found.launch.argv0) == (CURL, b"x")
    else:
        assert isinstance(found, Refusal)
        assert found.reason is Reason.TARGET_NOT_ABSOLUTE


PLACES = Places(
    (b"/t/probe", b"/t/a probe! 'x' ~ *"),
    (b"/t/missing",),
    (b"/t/one", b"/t/it's $HOME \\ \xc3\xa9\n\xff*"),
    (b"/t/missing",),
    PRESET,
)


def plain(launch: Launch) -> Launch:
    """Without a difference that means nothing: the end at which no text is put."""

    def op(given: Op) -> Op:
        return Prepend(given.name, b"") if isinstance(given, Append) and not given.text else given

    return replace(launch, ops=tuple(map(op, launch.ops)))


@given(st.integers(0, 1 << 40))
def test_what_is_written_from_operations_is_read_as_these(seed: int) -> None:
    """The scripts are written by a generator that shares no code with the reader."""
    case = draw(Random(seed), PLACES)
    found = read(script(case.launch, case.form, SHELL, utf8=case.utf8), PATH, AROUND)
    assert isinstance(found, Wrapper)
    ops = preset(case.launch.ops, b"PATH", PRESET)
    assert plain(found.launch) == plain(replace(case.launch, ops=ops))
    assert read(found.text, PATH, AROUND) == found


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_are_read(sample: bytes) -> None:
    text = sample % {b"bash": SHELL, b"target": b"/nix/store/x"}
    found = read(text, PATH, AROUND)
    assert isinstance(found, Wrapper)
    assert found.text == text


@given(st.binary(), st.sampled_from((b"", b"#!", SHELL_SCRIPT)), st.binary())
@example(b"exec\\", SHELL_SCRIPT, b"")
@example(b"exec\\\n", SHELL_SCRIPT, b"\\\n")
@example(b"PATH=${PATH:+':'$PATH':'}\n", SHELL_SCRIPT, b"")
def test_reading_never_raises(middle: bytes, head: bytes, tail: bytes) -> None:
    found = read(head + middle + tail, PATH, AROUND)
    assert isinstance(found, Wrapper | Refusal | Native)


_lines = st.sampled_from(
    [
        line
        for file in GOLDEN
        for line in file.read_bytes().partition(b"# output")[0].split(b"\n")[1:]
    ]
)


@given(st.lists(_lines, max_size=6))
def test_lines_of_all_kinds_in_any_order(lines: list[bytes]) -> None:
    data = SHELL_SCRIPT + b"\n".join([*lines, b""])
    found = read(data, PATH, AROUND)
    assert isinstance(found, Wrapper | Refusal)
    assert not isinstance(found, Wrapper) or found.text == data


HEADS = (
    b"",
    b"#!",
    b"\x7fELF",
    b"#! /nix/store/x/bin/bash -e",
    b"#!/usr/bin/env bash",
    b"#!/bin/x y",
)


@given(st.sampled_from(HEADS), st.binary(max_size=60), st.sampled_from([b"", _MARK]))
def test_the_essence_of_a_file_is_read_as_the_file(head: bytes, rest: bytes, mark: bytes) -> None:
    data = head + b"\n" + rest + mark + rest
    assert read(essence(data), b"/nix/store/x") == read(data, b"/nix/store/x")
    if data.startswith(b"#!"):
        assert read_shebang(essence(data)) == read_shebang(data)

"""Wrapper binaries: what they say of themselves, and whether the rest of the file agrees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cwrapper import compile_wrapper, source
from support.tools import require

from nix2oci.wrappers.binary import (
    BinaryWrapper,
    Caller,
    Generation,
    Option,
    is_binary_wrapper,
    read_binary,
    read_command,
    write_command,
)
from nix2oci.wrappers.refusal import Reason, Refusal, RefusedError
from nix2oci.wrappers.script import Native, read

PATH = b"/nix/store/zzxnk0hzyh8kf4vbcy6h7ifjl8w6fgy0-hello/bin/hello"
TARGET = b"/nix/store/1b2yqj7g3smyn9bxf40hd8y1b0mvpn4s-hello-2.12/bin/.hello-wrapped"

SET = Option(b"--set", (b"GREETING", b'say "hi" \\ there\n\x01'))
DEFAULT = Option(b"--set-default", (b"EDITOR", b"vi\t'x' \"y\" \\"))
UNSET = Option(b"--unset", (b"LD_PRELOAD",))
PREFIX = Option(b"--prefix", (b"PATH", b":", b"/nix/store/x-tools/bin"))
SUFFIX = Option(b"--suffix", (b"XDG_DATA_DIRS", b":", b"/nix/store/x-share"))
CHDIR = Option(b"--chdir", (b"/var/empty",))
INHERIT = Option(b"--inherit-argv0", ())
OURS = (SET, DEFAULT, UNSET, PREFIX, SUFFIX, CHDIR)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("gcc", "strip")
    return tmp_path_factory.mktemp("binary") / "wrapper"


def wrapper(
    options: tuple[Option, ...],
    argv0: Caller | bytes,
    before: tuple[bytes, ...],
    after: tuple[bytes, ...],
    generation: Generation | None,
    *,
    resolves: bool,
) -> BinaryWrapper:
    return BinaryWrapper(PATH, TARGET, options, argv0, resolves, before, after, generation)


def refusal(data: bytes) -> str:
    found = read_binary(data, PATH)
    assert isinstance(found, Refusal)
    assert (found.reason, found.path, found.line) == (Reason.ROUND_TRIP, PATH, None)
    return found.detail.removeprefix("the binary cannot be believed: ")


@pytest.mark.real
@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="compiled as makeBinaryWrapper does"),
        pytest.param(
            ("-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"), id="compiled hardened"
        ),
        pytest.param(("-Os", "-s", "-no-pie"), id="without symbols or position independence"),
        pytest.param(("-O0",), id="not optimised"),
    ],
)
def test_each_generation_is_read(
    scratch: Path, generation: Generation, flags: Sequence[str]
) -> None:
    found = read_binary(
        compile_wrapper(source(TARGET, (*OURS, INHERIT), generation), scratch, *flags), PATH
    )
    assert found == wrapper(OURS, Caller.ARGV0, (), (), generation, resolves=False)


@pytest.mark.real
@pytest.mark.parametrize(
    ("command", "argv0", "before", "after"),
    [
        pytest.param((), TARGET, (), (), id="nothing but a program"),
        pytest.param((Option(b"--argv0", (b"x y",)),), b"x y", (), (), id="a literal name"),
        pytest.param((Option(b"--argv0", (b"",)),), TARGET, (), (), id="an empty name is none"),
        pytest.param((INHERIT, Option(b"--argv0", (b"x",))), b"x", (), (), id="the last name wins"),
        pytest.param(
            (
                Option(b"--add-flags", (b"-x  *.txt '${A:+b}'",)),
                Option(b"--add-flag", (b"a b",)),
                Option(b"--append-flags", (b"-z\n-y",)),
            ),
            TARGET,
            (b"-x", b"*.txt", b"'${A:+b}'", b"a b"),
            (b"-z",),
            id="flags are split at blanks, not read by a shell, and only in the first line",
        ),
    ],
)
def test_arguments_and_names(
    scratch: Path,
    command: tuple[Option, ...],
    argv0: bytes,
    before: tuple[bytes, ...],
    after: tuple[bytes, ...],
) -> None:
    found = read_binary(compile_wrapper(source(TARGET, command), scratch), PATH)
    assert found == wrapper((), argv0, before, after, None, resolves=False)


@pytest.mark.real
@pytest.mark.parametrize("option", OURS, ids=lambda option: option.name.decode())
def test_each_option_alone(scratch: Path, option: Option) -> None:
    found = read_binary(compile_wrapper(source(TARGET, (option,)), scratch), PATH)
    assert isinstance(found, BinaryWrapper)
    assert found.options == (option,)
    joins = {b"--prefix": Generation.G3, b"--suffix": Generation.G1}
    assert found.generation is joins.get(option.name)


@pytest.mark.real
def test_resolved_argv0_is_seen_though_it_is_not_described(scratch: Path) -> None:
    text = source(TARGET, (INHERIT, SET), resolve=True)
    found = read_binary(compile_wrapper(text, scratch), PATH)
    assert found == wrapper((SET,), Caller.ARGV0, (), (), None, resolves=True)


@pytest.mark.real
@pytest.mark.parametrize(
    ("extra", "detail"),
    [
        pytest.param('putenv("E=");', "its description does not explain b'E='", id="a variable"),
        pytest.param('putenv("A");', "it calls putenv", id="a call"),
        pytest.param('system("x");', "it calls system", id="another program"),
    ],
)
def test_what_the_description_leaves_out(scratch: Path, extra: str, detail: str) -> None:
    data = compile_wrapper(source(TARGET, (UNSET, INHERIT), extra=extra), scratch)
    assert refusal(data) == detail


@pytest.mark.real
def test_a_text_of_one_byte_needs_no_description(scratch: Path) -> None:
    """Compilers leave such in .rodata: separators, or what constants happen to look like."""
    extra = 'static const char *volatile one = "~"; (void)one;'
    found = read_binary(
        compile_wrapper(source(TARGET, (UNSET, INHERIT), extra=extra), scratch), PATH
    )
    assert isinstance(found, BinaryWrapper)


@pytest.mark.real
def test_a_description_that_tells_too_much(scratch: Path) -> None:
    text = write_command(TARGET, (SET, INHERIT))
    data = compile_wrapper(source(TARGET, (INHERIT,), description=text), scratch)
    assert refusal(data) == f"it does not hold {b'='.join(SET.arguments)!r}"


@pytest.mark.real
def test_a_description_of_another_program(scratch: Path) -> None:
    text = write_command(TARGET + b"2", (INHERIT,))
    data = compile_wrapper(source(TARGET, (INHERIT,), description=text), scratch)
    assert refusal(data) == f"it does not hold {TARGET + b'2'!r}"


@pytest.mark.real
def test_two_descriptions(scratch: Path) -> None:
    data = compile_wrapper(source(TARGET, (INHERIT,)), scratch)
    doubled = data + write_command(TARGET, ()) + b"\0"
    assert refusal(doubled) == "it holds more than one description of itself"


@pytest.mark.real
def test_a_static_binary_is_left_alone(scratch: Path) -> None:
    data = compile_wrapper(source(TARGET, (INHERIT,)), scratch, "-Os", "-static")
    detail = "it is not a dynamically linked program of 64 bits with section headers"
    assert refusal(data) == detail


@pytest.mark.real
def test_changed_bytes_never_raise(scratch: Path) -> None:
    data = compile_wrapper(source(TARGET, (*OURS, INHERIT)), scratch)
    random = Random(1)
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(random.choice((1, 1, 20))):
            changed[random.randrange(len(data))] = random.randrange(256)
        cut = random.choice((len(data), random.randrange(len(data))))
        found = read(bytes(changed[:cut]), PATH)
        assert isinstance(found, BinaryWrapper | Refusal | Native)


@pytest.mark.real
def test_a_changed_value_is_found(scratch: Path) -> None:
    """Every byte of the program's own literals counts, not only those of the description."""
    data = compile_wrapper(source(TARGET, (SUFFIX, INHERIT)), scratch)
    described = data.index(b"makeCWrapper")
    places = [at for at in range(len(data)) if data.startswith(b"/nix/store/x-share", at)]
    (own,) = (at for at in places if not described < at < described + 400)
    for at in range(own, own + len(b"/nix/store/x-share")):
        changed = data[:at] + b"#" + data[at + 1 :]
        assert refusal(changed) == "it does not hold b'/nix/store/x-share'"


def test_another_program_is_no_wrapper() -> None:
    data = Path("/proc/self/exe").read_bytes()
    assert not is_binary_wrapper(data)
    assert read(data, PATH) is Native.ELF


_texts = st.binary(max_size=6).filter(lambda text: b"\0" not in text)
_options = st.one_of(
    st.just(INHERIT),
    *(
        st.builds(Option, st.just(option.name), st.tuples(*(_texts for _ in option.arguments)))
        for option in (*OURS, Option(b"--argv0", (b"",)), Option(b"--append-flags", (b"",)))
    ),
)


@given(_texts, st.lists(_options).map(tuple), st.booleans())
def test_a_description_is_read_as_it_was_written(
    target: bytes,
    command: tuple[Option, ...],
    utf8: bool,  # noqa: FBT001
) -> None:
    assert read_command(write_command(target, command, utf8=utf8)) == (target, command)


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        pytest.param(b"--set ", b"--sit ", "has an option that is not known", id="unknown option"),
        pytest.param(b"'A' 'b'", b"'A'", "has a wrong --set", id="too few arguments"),
        pytest.param(b"'A' 'b'", b"'A' 'b' 'c'", "has a wrong --set", id="too many arguments"),
        pytest.param(b"'A' 'b'", b"'A' $b", "has a wrong --set", id="an expansion"),
        pytest.param(
            b"'A'", b"A", "is not as makeBinaryWrapper writes it", id="an argument without quotes"
        ),
        pytest.param(
            b"'A'", b'"A"', "is not as makeBinaryWrapper writes it", id="quotes of another kind"
        ),
        pytest.param(b" \\\n    --set", b" \\\n     --set", "has an option", id="another indent"),
        pytest.param(b"(Use", b"(use", "is not in the known form", id="another end"),
        pytest.param(b"'/x'", b"$x", "does not name a program", id="a program that is expanded"),
    ],
)
def test_descriptions_in_another_form(old: bytes, new: bytes, detail: str) -> None:
    text = write_command(b"/x", (Option(b"--set", (b"A", b"b")),))
    assert old in text
    with pytest.raises(RefusedError) as caught:
        read_command(text.replace(old, new))
    assert detail in caught.value.detail


def test_the_first_version_wrote_the_program_without_quotes() -> None:
    text = write_command(b"/x", (INHERIT,)).replace(b"'/x'", b"/x")
    assert read_command(text) == (b"/x", (INHERIT,))


@given(st.binary())
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    assert read(b"\x7fELF\x02\x01" + data, PATH) is Native.ELF
    head = write_command(b"/x", ())
    assert isinstance(read_binary(b"\x7fELF\x02\x01" + data + head + data, PATH), Refusal)

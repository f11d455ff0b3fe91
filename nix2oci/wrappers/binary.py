"""Wrapper binaries: what makeBinaryWrapper compiled, read from the description that it put inside.

Each holds the command that made it, as text. That is believed where the rest of the file agrees:
the strings of its read-only data and the functions that it imports are those that the command
leads to, and no others. The order of the operations is not proved by it. These binaries need no
shell and stay as they are; they are read so that chains can be followed through them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum

from msgspec import Struct

from nix2oci.wrappers import bash
from nix2oci.wrappers.elf import Elf, read_elf
from nix2oci.wrappers.refusal import Reason, Refusal, RefusedError

_RULE = b"# " + b"-" * 84 + b"\n"
_MARK = b"# The C-code for this binary wrapper has been generated using the following command:\n"
_HEAD = b"\n\n\n" + _RULE + _MARK + b"\n\nmakeCWrapper "
_TAIL = (
    b"\n\n\n# (Use `nix-shell -p makeBinaryWrapper` to get access to makeCWrapper in your shell)\n"
    + _RULE
    + b"\n\n"
)
_NEXT = b" \\\n    "
_WORD = re.compile(rf" ({bash.WORD})(?= |\Z)".encode("latin-1"))

_ARGUMENTS = {
    b"--set": 2,
    b"--set-default": 2,
    b"--unset": 1,
    b"--prefix": 3,
    b"--suffix": 3,
    b"--chdir": 1,
    b"--add-flag": 1,
    b"--add-flags": 1,
    b"--append-flag": 1,
    b"--append-flags": 1,
    b"--argv0": 1,
    b"--inherit-argv0": 0,
}
_FLAGS = (b"--add-flag", b"--add-flags", b"--append-flag", b"--append-flags")

_START = frozenset(
    b"""
    __cxa_finalize __gmon_start__ __libc_start_main _ITM_deregisterTMCloneTable
    _ITM_registerTMCloneTable _Jv_RegisterClasses _init _fini __stack_chk_fail execv
    """.split()
)
_REPORTED = frozenset((b"perror", b"abort"))
_JOINS = frozenset(
    b"""
    getenv setenv asprintf __asprintf_chk free strlen strncmp strstr strchr memcmp strcmp memcpy
    """.split()
)
_FLAGGED = frozenset((b"calloc", b"__assert_fail", b"memcpy", b"__memcpy_chk"))
_RESOLVES = frozenset(
    b"""
    access strdup strtok strchr malloc free getenv strlen sprintf __sprintf_chk memcpy strcpy stpcpy
    """.split()
)


class Generation(Enum):
    """How `--prefix` and `--suffix` work; the suffix has not changed since G1."""

    G0 = "until 2025: the text is put there, nothing removed"
    G1 = "2025: an element that is there moves; at the end of the value what follows is undefined"
    G2 = "2026, for a short time: as G1, with the end of the value handled on its own"
    G3 = "since 2026: an element that is there moves"


class Caller(Enum):
    """Where `argv[0]` comes from, if it is no literal."""

    ARGV0 = "what the caller gave as argv[0]"


class Option(Struct, frozen=True):
    """An option of the command and its arguments, as makeCWrapper documents them."""

    name: bytes
    arguments: tuple[bytes, ...]


class BinaryWrapper(Struct, frozen=True):
    """What a wrapper binary says of itself, borne out by the rest of it.

    `options` are in the order of the command, but for `--argv0` and those that add arguments,
    which are in the other fields. `generation` is None where no option depends on it. With
    `resolves_argv0` an argv[0] without a slash is looked up in PATH.
    """

    path: bytes
    target: bytes
    options: tuple[Option, ...]
    argv0: Caller | bytes
    resolves_argv0: bool
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    generation: Generation | None


def is_binary_wrapper(data: bytes) -> bool:
    """Whether the file calls itself a wrapper."""
    return _MARK in data


def read_binary(data: bytes, path: bytes) -> BinaryWrapper | Refusal:
    """What the binary does; never raises. A `Refusal` has no line."""
    try:
        return _wrapper(data, path)
    except RefusedError as err:
        return Refusal(err.reason, path, None, b"", err.detail)


def _wrapper(data: bytes, path: bytes) -> BinaryWrapper:
    if data.count(_MARK) != 1:
        raise _doubted("it holds more than one description of itself")
    at = data.index(_MARK)
    text = data[data.rfind(b"\0", 0, at) + 1 : data.find(b"\0", at)]
    target, command = read_command(text)
    elf = read_elf(data)
    if elf is None:
        raise _doubted("it is not a dynamically linked program of 64 bits with section headers")
    if not target.startswith(b"/"):
        raise RefusedError(Reason.TARGET_NOT_ABSOLUTE)
    wrapper = _described(path, target, command, elf)
    _check_text(wrapper, text, elf)
    _check_imports(wrapper, elf)
    return wrapper


def _doubted(detail: str) -> RefusedError:
    return RefusedError(Reason.ROUND_TRIP, f"the binary cannot be believed: {detail}")


def write_command(target: bytes, command: Sequence[Option], *, utf8: bool = False) -> bytes:
    """The description as makeBinaryWrapper writes it, in the C locale or in one with UTF-8."""
    lines = [bash.quote(target, utf8=utf8)]
    for option in command:
        quoted = (bash.quote(argument, utf8=utf8) for argument in option.arguments)
        lines.append(b" ".join((option.name, *quoted)))
    return _HEAD + _NEXT.join(lines) + _TAIL


def read_command(text: bytes) -> tuple[bytes, tuple[Option, ...]]:
    """The target and the options that a description tells. Raises `RefusedError`."""
    if not text.startswith(_HEAD) or not text.endswith(_TAIL):
        raise _doubted("its description is not in the known form")
    first, *others = text[len(_HEAD) : -len(_TAIL)].split(_NEXT)
    word = bash.word(first)
    command = tuple(map(_option, others))
    if word is None:
        raise _doubted("its description does not name a program")
    # The first version printed the program without quotes.
    written = [write_command(word.value, command, utf8=utf8) for utf8 in (False, True)]
    bare = [one.replace(bash.quote(word.value), word.value, 1) for one in written]
    if text not in (*written, *(bare if word.is_bare else ())):
        raise _doubted("its description is not as makeBinaryWrapper writes it")
    return word.value, command


def _option(text: bytes) -> Option:
    name, _, _ = text.partition(b" ")
    if name not in _ARGUMENTS:
        raise _doubted("its description has an option that is not known")
    words, at = [], len(name)
    while found := _WORD.match(text, at):
        words.append(bash.word(found[1]))
        at = found.end()
    values = tuple(word.value for word in words if word)
    if at != len(text) or len(values) != _ARGUMENTS[name] or len(words) != len(values):
        raise _doubted(f"its description has a wrong {name.decode()}")
    return Option(name, values)


def _described(path: bytes, target: bytes, command: tuple[Option, ...], elf: Elf) -> BinaryWrapper:
    argv0: Caller | bytes = target
    before: list[bytes] = []
    after: list[bytes] = []
    for option in command:
        match option.name:
            case b"--inherit-argv0":
                argv0 = Caller.ARGV0
            case b"--argv0":
                argv0 = option.arguments[0] or target
            case name if name in _FLAGS:
                flags = before if name.startswith(b"--add") else after
                flags.extend(_flags(option, elf))
    own = tuple(o for o in command if o.name not in (*_FLAGS, b"--argv0", b"--inherit-argv0"))
    resolves = {b"access", b"strtok"} <= elf.imports
    generation = _generation(own, elf)
    return BinaryWrapper(
        path, target, own, argv0, resolves, tuple(before), tuple(after), generation
    )


def _flags(option: Option, elf: Elf) -> list[bytes]:
    """The words of one option: of all its lines in old versions, of the first in the newest."""
    (text,) = option.arguments
    if not option.name.endswith(b"flags"):
        return [text]
    every = [word for word in re.split(rb"[ \t\n]+", text) if word]
    first = [word for word in re.split(rb"[ \t]+", text.partition(b"\n")[0]) if word]
    return every if all(_holds(elf, word) for word in every) else first


_PREFIX_TEXTS = {
    b'asprintf(&val, "%s%s%s", prefix, sep, existing)': Generation.G0,
    b'asprintf(&val, "%s%s%.*s%s", prefix, sep, n_before, existing_env, '
    b"existing_prefix + prefix_len + sep_len)": Generation.G1,
    b'asprintf(&val, "%s%s%.*s%s", prefix, sep, n_before - (int)sep_len, existing_env, '
    b"existing_prefix + prefix_len)": Generation.G2,
    b'asprintf(&val, "%s%s%.*s%s", prefix, sep, n_before, existing_env, '
    b"existing_prefix + prefix_len)": Generation.G3,
}
_SUFFIX_TEXTS = {
    b'asprintf(&val, "%s%s%s", existing, sep, suffix)': Generation.G0,
    b'asprintf(&val, "%.*s%s%s%s", n_before, existing_env, '
    b"existing_suffix + suffix_len + sep_len, sep, suffix)": Generation.G1,
}


def _generation(options: Sequence[Option], elf: Elf) -> Generation | None:
    names = {option.name for option in options}
    for name, texts in ((b"--prefix", _PREFIX_TEXTS), (b"--suffix", _SUFFIX_TEXTS)):
        found = [generation for text, generation in texts.items() if _holds(elf, text)]
        if name in names:
            if not found:
                raise _doubted(f"it has no {name.decode()} of a known version")
            return found[-1]
    return None


def _holds(elf: Elf, text: bytes) -> bool:
    """Linkers keep a text that ends another one as a part of that."""
    return text + b"\0" in elf.rodata


def _check_text(wrapper: BinaryWrapper, description: bytes, elf: Elf) -> None:
    needed = {description, *_texts(wrapper)}
    missing = sorted(text for text in needed if not _holds(elf, text))
    if missing:
        raise _doubted(f"it does not hold {missing[0]!r}")
    strings = {text for text in elf.rodata.split(b"\0") if len(text) > 1 and _is_text(text)}
    unknown = sorted(strings - needed - _fixed(wrapper))
    if unknown:
        raise _doubted(f"its description does not explain {unknown[0]!r}")


def _is_text(text: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte in b"\t\n\r" for byte in text)


def _texts(wrapper: BinaryWrapper) -> Iterator[bytes]:
    """What the generated program has as literals, and its calls as perror would name them."""
    yield from (wrapper.target, *wrapper.before, *wrapper.after)
    if isinstance(wrapper.argv0, bytes):
        yield wrapper.argv0
    for option in wrapper.options:
        quoted = [b'"' + _escaped(argument) + b'"' for argument in option.arguments]
        match option.name:
            case b"--set":
                yield b"=".join(option.arguments)
                continue
            case b"--set-default":
                yield b"setenv(%b, %b, 0)" % tuple(quoted)
            case b"--unset":
                yield b"unsetenv(%b)" % quoted[0]
            case b"--chdir":
                yield b"chdir(%b)" % quoted[0]
        yield from option.arguments


def _escaped(text: bytes) -> bytes:
    """A text between the quotes of a C literal, as makeBinaryWrapper writes it."""
    for character, escape in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
        text = text.replace(character, escape)
    return text


def _fixed(wrapper: BinaryWrapper) -> set[bytes]:
    """Texts that come with the functions, whatever they are called with."""
    texts = {b"<stdin>", b"main", b"argv_tmp != NULL"}
    if wrapper.resolves_argv0:
        texts |= {b"%s/%s", b"PATH"}
    if wrapper.generation:
        kinds = (b"prefix", b"suffix")
        texts |= {b"%s%s%s", b"%s%s%.*s%s", b"%.*s%s%s%s", b"setenv(env, val, 1)"}
        texts |= {b"setenv(env, %b, 1)" % kind for kind in kinds}
        texts |= {b'asprintf(&val, "%s%s%s", prefix, sep, existing_env)'}
        texts |= {b'asprintf(&val, "%s%s%s", existing_env, sep, suffix)'}
        texts |= _PREFIX_TEXTS.keys() | _SUFFIX_TEXTS.keys()
    return texts


def _check_imports(wrapper: BinaryWrapper, elf: Elf) -> None:
    names = {option.name for option in wrapper.options}
    allowed = set(_START)
    allowed |= {b"putenv"} if b"--set" in names else set()
    allowed |= {b"setenv"} | _REPORTED if b"--set-default" in names else set()
    allowed |= {b"unsetenv"} | _REPORTED if b"--unset" in names else set()
    allowed |= {b"chdir"} | _REPORTED if b"--chdir" in names else set()
    allowed |= _JOINS | _REPORTED if wrapper.generation else set()
    allowed |= _FLAGGED if wrapper.before or wrapper.after else set()
    allowed |= _RESOLVES if wrapper.resolves_argv0 else set()
    unknown = sorted(elf.imports - allowed)
    if unknown or b"execv" not in elf.imports:
        raise _doubted(f"it calls {(unknown or [b'no execv'])[0].decode('latin-1')}")

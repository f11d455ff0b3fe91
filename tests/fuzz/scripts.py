"""Wrapper scripts as nixpkgs writes them, from operations: the forms that makeWrapper had.

Written from the description of the forms, not with the code that reads them, which it is to
judge. A `Form` is a generation of the text; operations of one that another does not know are
refused by `KeyError`.
"""

from __future__ import annotations

import re
from enum import Enum

from nix2oci.wrappers.operations import (
    Append,
    Argv0,
    Chdir,
    Default,
    Launch,
    Op,
    Prefix,
    PrefixWhole,
    Prepend,
    Set,
    Suffix,
    SuffixWhole,
    Unset,
)

_BARE = re.compile(rb"[A-Za-z0-9_./:+-]+")
_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 27: "E", 39: "'", 92: "\\"}


class Form(Enum):
    """A generation of the text, by what differs between them."""

    RAW = "2016: values without quotes where they need none"
    DOUBLE = "2016-17: values in double quotes"
    QUOTED = "2017-21: values as ${v@Q}"
    BLOCKS = "since 2021: one block for each element"
    APPLICATION = "writeShellApplication"


OLD_FORMS = (Form.RAW, Form.DOUBLE, Form.QUOTED)


def quote(text: bytes, *, utf8: bool = False) -> bytes:
    """`${v@Q}` of bash, in the C locale of a Nix builder or in one with UTF-8."""
    if text == b"'":
        return rb"\'"
    if all(0x20 <= byte < 0x7F or (utf8 and byte >= 0x80) for byte in text) and _is_utf8(text):
        return b"'" + text.replace(b"'", rb"'\''") + b"'"
    escaped = (
        f"\\{_ESCAPES[byte]}" if byte in _ESCAPES
        else chr(byte) if 0x20 <= byte < 0x7F
        else f"\\{byte:03o}"
        for byte in text
    )  # fmt: skip
    return b"$'" + "".join(escaped).encode() + b"'"


def script(launch: Launch, form: Form, bash: bytes, *, utf8: bool = False) -> bytes:
    """The whole wrapper. `bash` is the interpreter's path, `utf8` the builder's locale."""
    head = b"#! " + bash + b" -e"
    if form is Form.APPLICATION:
        head = b"#!" + bash + b"\nset -o errexit\nset -o nounset\nset -o pipefail\n"
    lines = [head, *(_operation(op, form, utf8=utf8) for op in launch.ops)]
    return b"\n".join([*lines, _exec(launch, form, utf8=utf8), b""])


def _operation(op: Op, form: Form, *, utf8: bool) -> bytes:
    match op:
        case Set() | Default() | Unset() | Chdir():
            return _statement(op, form, utf8=utf8)
        case Prepend():
            return b'export %b="%b$%b"' % (op.name, op.text, op.name)
        case Append():
            return b'export %b="${%b}%b"' % (op.name, op.name, op.text)
    separator, value = quote(op.separator, utf8=utf8), _value(op.value, form, utf8=utf8)
    match op:
        case Prefix():
            return _prefix_block(op.name, separator, value)
        case Suffix():
            return _suffix_block(op.name, separator, value)
    return _whole(op, separator, value)


def _statement(op: Set | Default | Unset | Chdir, form: Form, *, utf8: bool) -> bytes:
    match op:
        case Set():
            return b"export %b=%b" % (op.name, _value(op.value, form, utf8=utf8))
        case Default():
            return b"export %b=${%b-%b}" % (op.name, op.name, quote(op.value, utf8=utf8))
        case Unset():
            return b"unset " + op.name
    return b"cd " + quote(op.directory, utf8=utf8)


def _value(text: bytes, form: Form, *, utf8: bool) -> bytes:
    if form is Form.RAW and _BARE.fullmatch(text):
        return text
    if form is Form.DOUBLE and not set(text) & set(b'"$`\\') and _is_printable(text):
        return b'"' + text + b'"'
    return quote(text, utf8=utf8)


def _whole(op: PrefixWhole | SuffixWhole, separator: bytes, value: bytes) -> bytes:
    joint = b"${%b:+%b}" % (op.name, separator)
    if isinstance(op, PrefixWhole):
        return b"export %b=%b%b$%b" % (op.name, value, joint, op.name)
    return b"export %b=$%b%b%b" % (op.name, op.name, joint, value)


def _prefix_block(name: bytes, separator: bytes, value: bytes) -> bytes:
    middle = (b"V=${V/S@S/S}", b"V=@$V")
    return _block(name, separator, value, middle)


def _suffix_block(name: bytes, separator: bytes, value: bytes) -> bytes:
    middle = (b"if [[ $V != *S@S* ]]; then", b"    V=$V@", b"fi")
    return _block(name, separator, value, middle)


def _block(name: bytes, separator: bytes, value: bytes, middle: tuple[bytes, ...]) -> bytes:
    lines = (b"V=${V:+S$VS}", *middle, b"V=${V#S}", b"V=${V%S}", b"export V")
    parts = {b"V": name, b"S": separator, b"@": value}
    return re.sub(rb"[VS@]", lambda found: parts[found[0]], b"\n".join(lines))


def _exec(launch: Launch, form: Form, *, utf8: bool) -> bytes:
    match launch.argv0:
        case Argv0.TARGET:
            argv0 = b""
        case Argv0.EXECFN:
            argv0 = b'-a "$0" '
        case literal:
            argv0 = b'-a "' + literal + b'" '
    before = b"".join(b" " + quote(word, utf8=utf8) for word in launch.before)
    after = b"".join(b" " + quote(word, utf8=utf8) for word in launch.after)
    if form in OLD_FORMS and not after:
        extra = b' "${extraFlagsArray[@]}"' if form is not Form.QUOTED else b""
        return b'exec %b"%b" %b%b "$@"' % (argv0, launch.target, before, extra)
    return b'exec %b"%b" %b "$@" %b' % (argv0, launch.target, before, after)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_printable(text: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in text)

"""The line that starts the program: who lays it out so, and what is not read."""

from __future__ import annotations

import pytest

from nix2oci.wrappers.exec_line import read_exec
from nix2oci.wrappers.operations import Argv0
from nix2oci.wrappers.refusal import Reason, RefusedError


@pytest.mark.parametrize(
    ("line", "forms"),
    [
        pytest.param(b'exec /x "${extraFlagsArray[@]}" "$@"', "F0", id="a bare program"),
        pytest.param(
            b'exec -a "$0" /x -a b "${extraFlagsArray[@]}" "$@"', "F0", id="with words before"
        ),
        pytest.param(b'exec /x "$@"', "", id="a bare program, without extraFlagsArray"),
        pytest.param(b'exec /x  "${extraFlagsArray[@]}" "$@"', "", id="a blank too many"),
        pytest.param(b'exec "/x"  "${extraFlagsArray[@]}" "$@"', "F1 F2", id="extraFlagsArray"),
        pytest.param(
            b'exec "/x"  -a "${extraFlagsArray[@]}" "$@"', "F1 F2", id="extraFlagsArray and a word"
        ),
        pytest.param(b'exec "/x"  "${extraFlagsArray[@]}" "$@" ', "", id="a blank at the end"),
        pytest.param(b'exec "/x"  "$@"', "F3 F4", id="as of 2021"),
        pytest.param(b'exec "/x"  "$@" ', "F4", id="as since 2022"),
        pytest.param(b'exec -a "x" "/x"  -a "$@"  -b', "F4", id="words before and after"),
        pytest.param(b"exec \"/x\"  '-a' \"$@\"  '-b'", "F4 F5", id="quoted words"),
        pytest.param(b'exec "/x"  \'-a\' b "$@" ', "F4", id="words of both kinds"),
        pytest.param(b'exec "/x" "$@" ', "", id="one blank before the arguments"),
        pytest.param(b'exec "/x"  a  "$@" ', "", id="two blanks before the arguments"),
        pytest.param(b'exec "/x"  "$@" a', "", id="one blank after the arguments"),
        pytest.param(b'exec  "/x"  "$@" ', "", id="two blanks before the program"),
        pytest.param(b'exec -a x "/x"  "$@" ', "", id="a bare name"),
        pytest.param(b"exec '/x'  \"$@\" ", "", id="a program in other quotes"),
    ],
)
def test_forms(line: bytes, forms: str) -> None:
    found = read_exec([line])
    assert found.text == line
    assert " ".join(sorted(form.name for form in found.forms)) == forms


@pytest.mark.parametrize(
    ("line", "argv0"),
    [
        pytest.param(b'exec /x "$@"', Argv0.TARGET, id="no name"),
        pytest.param(b'exec -a "$0" /x "$@"', Argv0.EXECFN, id="the wrapper's own"),
        pytest.param(b"exec -a 'a b' /x \"$@\"", b"a b", id="a literal"),
        pytest.param(b'exec -a "" /x "$@"', b"", id="nothing"),
        pytest.param(b'exec -a -a /x "$@"', b"-a", id="what looks like an option"),
    ],
)
def test_argv0(line: bytes, argv0: Argv0 | bytes) -> None:
    assert read_exec([line]).argv0 == argv0


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        pytest.param([b"exec /x \\", b'"$@"'], b'exec /x \\\n"$@"', id="a blank before the break"),
        pytest.param([b"exec /x\\", b' "$@"'], b'exec /x\\\n "$@"', id="a blank after the break"),
        pytest.param(
            [b"exec \\", b"  /x \\", b"\\", b' "$@" \\', b"", b"more"],
            b'exec \\\n  /x \\\n\\\n "$@" \\\n',
            id="several breaks, one of them at the end",
        ),
        pytest.param([b'exec /x "$@"', b"more"], b'exec /x "$@"', id="none"),
    ],
)
def test_lines_that_go_on(lines: list[bytes], text: bytes) -> None:
    found = read_exec(lines)
    assert (found.text, found.before, found.after) == (text, (), ())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b"exec", Reason.TARGET_NOT_ABSOLUTE, id="nothing"),
        pytest.param(b"exec -a", Reason.TARGET_NOT_ABSOLUTE, id="an option alone"),
        pytest.param(b"exec -a x", Reason.TARGET_NOT_ABSOLUTE, id="a name alone"),
        pytest.param(b'exec -a "$@" /x', Reason.EXPANSION_IN_QUOTES, id="arguments as a name"),
        pytest.param(b'exec "$0" "$@"', Reason.TARGET_NOT_ABSOLUTE, id="itself"),
        pytest.param(b'exec -- /x "$@"', Reason.TARGET_NOT_ABSOLUTE, id="the end of options"),
        pytest.param(b'exec "" "$@"', Reason.TARGET_NOT_ABSOLUTE, id="an empty name"),
        pytest.param(b'exec a/b "$@"', Reason.TARGET_NOT_ABSOLUTE, id="a relative path"),
        pytest.param(b'exec ~/x "$@"', Reason.TARGET_NOT_ABSOLUTE, id="a home directory"),
        pytest.param(b'exec $X "$@"', Reason.EXPANSION_IN_QUOTES, id="a variable"),
        pytest.param(b'exec `x` "$@"', Reason.EXPANSION_IN_QUOTES, id="a command"),
        pytest.param(b'exec /x "$0" "$@"', Reason.FLAGS_NOT_LITERAL, id="its own name"),
        pytest.param(b'exec /x "$@"$@', Reason.FLAGS_NOT_LITERAL, id="glued arguments"),
        pytest.param(
            b'exec /x "${extraFlagsArray[@]}" a "$@"',
            Reason.FLAGS_NOT_LITERAL,
            id="extraFlagsArray elsewhere",
        ),
        pytest.param(b'exec /x "$@" \\', Reason.FLAGS_NOT_LITERAL, id="a break before nothing"),
    ],
)
def test_what_is_not_read(line: bytes, reason: Reason) -> None:
    with pytest.raises(RefusedError) as caught:
        read_exec([line])
    assert caught.value.reason is reason

"""Wrappers told to people and to machines; the golden files of test_wrappers have the scripts."""

from __future__ import annotations

from typing import Any

import pytest

from nix2oci.wrappers.binary import BinaryWrapper, Caller, Generation, Option
from nix2oci.wrappers.chain import Chain, End, Step
from nix2oci.wrappers.explain import refusal_document, wrapper_document, wrapper_text
from nix2oci.wrappers.refusal import Reason, Refusal
from nix2oci.wrappers.script import HostFacts, Native, Wrapper, read

SHELL = b"/nix/store/0c5xnk0hzyh8kf4vbcy6h7ifjl8w6fgy-bash-5.2p37/bin/bash"
OPTIONS = (
    Option(b"--set", (b"A", b"b\xff")),
    Option(b"--set-default", (b"C", b"d")),
    Option(b"--unset", (b"E",)),
    Option(b"--chdir", (b"/f",)),
    Option(b"--prefix", (b"PATH", b":", b"/g")),
    Option(b"--suffix", (b"PATH", b":", b"/h")),
)
BINARY = BinaryWrapper(
    b"/w",
    b"/t",
    OPTIONS,
    Caller.ARGV0,
    resolves_argv0=True,
    before=(b"-x",),
    after=(b"-y", b"z"),
    generation=Generation.G0,
)
PLAIN = BinaryWrapper(
    b"/w", b"/t", (), b"/t", resolves_argv0=False, before=(), after=(), generation=None
)
KIND = (
    "a wrapper binary by makeBinaryWrapper (G0, until 2025: the text is put there, nothing removed)"
)
REFUSED = Refusal(Reason.TARGET_MISSING, b"/t", None, b"", "there is nothing at this path")


def script(*lines: bytes) -> Wrapper:
    text = b"\n".join((b"#!" + SHELL, *lines, b""))
    found = read(text, b"/w", HostFacts(path_preset=lambda _: b"/none"))
    assert isinstance(found, Wrapper)
    return found


def chain(*steps: Step, refusal: Refusal | None = None) -> Chain:
    return Chain(steps, End.REFUSE if refusal else End.NATIVE, refusal)


def test_a_binary_for_people() -> None:
    through = chain(
        Step(b"/l", b"/w"), Step(b"/w", BINARY), Step(b"/t", b"/u"), Step(b"/u", Native.ELF)
    )
    assert wrapper_text(BINARY, through).splitlines() == [
        f"/w: {KIND}",
        "  sets A to 'b\\xff'",
        "  sets C to 'd' where it is not set",
        "  removes E",
        "  changes the working directory to '/f'",
        "  puts '/g' at the front of PATH (separated by ':')",
        "  puts '/h' at the end of PATH (separated by ':')",
        "  runs /t",
        "    under the name that the caller gave (argv[0])",
        "    with '-x' before the arguments",
        "    with '-y' 'z' after the arguments",
        "    looking a name without a slash up in PATH first",
        "    which is a link to /u",
        "    then /u, a program",
    ]


def test_a_binary_for_machines() -> None:
    steps = (Step(b"/w", BINARY), Step(b"/t", Native.INTERPRETED))
    assert wrapper_document(BINARY, chain(*steps)) == {
        "form": "binary",
        "generation": "g0",
        "options": [
            ["--set", "A", "b\\xff"],
            ["--set-default", "C", "d"],
            ["--unset", "E"],
            ["--chdir", "/f"],
            ["--prefix", "PATH", ":", "/g"],
            ["--suffix", "PATH", ":", "/h"],
        ],
        "resolves_argv0": True,
        "target": "/t",
        "argv0": {"from": "caller"},
        "before": ["-x"],
        "after": ["-y", "z"],
        "chain": {
            "files": [
                {"path": "/w", "is": KIND},
                {"path": "/t", "is": "a script of an interpreter that is no shell"},
            ],
            "end": "native",
            "needs_shell": False,
            "refusal": None,
        },
    }


def test_a_binary_that_does_nothing() -> None:
    through = chain(Step(b"/w", PLAIN), Step(b"/t", REFUSED), refusal=REFUSED)
    assert wrapper_text(PLAIN, through).splitlines() == [
        "/w: a wrapper binary by makeBinaryWrapper",
        "  runs /t",
        "    which is not understood: /t: target-missing: there is nothing at this path",
    ]
    document: Any = wrapper_document(PLAIN, through)
    assert (document["generation"], document["argv0"]) == (None, {"literal": "/t"})
    assert document["chain"]["refusal"] == refusal_document(REFUSED)


@pytest.mark.parametrize(
    ("line", "document"),
    [
        pytest.param(b"export V=a", {"op": "set", "name": "V", "value": "a"}, id="set"),
        pytest.param(
            b"export V=${V-a}", {"op": "set-default", "name": "V", "value": "a"}, id="default"
        ),
        pytest.param(b"unset V", {"op": "unset", "name": "V"}, id="unset"),
        pytest.param(b'export V="a$V"', {"op": "prepend", "name": "V", "text": "a"}, id="prepend"),
        pytest.param(b'export V="${V}a"', {"op": "append", "name": "V", "text": "a"}, id="append"),
        pytest.param(
            b'export V="a${V:+:$V}"',
            {"op": "prefix-whole", "name": "V", "separator": ":", "value": "a"},
            id="prefix of a list",
        ),
        pytest.param(
            b'export V="${V:+$V:}a"',
            {"op": "suffix-whole", "name": "V", "separator": ":", "value": "a"},
            id="suffix of a list",
        ),
    ],
)
def test_operations_for_machines(line: bytes, document: dict[str, str]) -> None:
    wrapper = script(line, b'exec -a "$0" /nix/store/t "$@"')
    found = wrapper_document(wrapper, chain(Step(b"/w", wrapper)))
    assert found["operations"] == [document]
    assert (found["form"], found["argv0"]) == ("script", {"from": "execfn"})


def test_a_preset_for_machines() -> None:
    wrapper = script(b'export PATH="/a:$PATH"', b'exec /nix/store/t "$@"')
    found: Any = wrapper_document(wrapper, chain(Step(b"/w", wrapper)))
    assert found["operations"][0] == {"op": "shell-preset", "name": "PATH", "value": "/none"}

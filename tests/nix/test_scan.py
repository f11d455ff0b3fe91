"""Every mention of a shell is found, and what the scripts and programs start is followed."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from support.fakestore import FakeStore, Link, Node, Program, store_path
from support.own_process import in_own_process
from support.tools import require

from nix2oci.errors import StoreError
from nix2oci.model.shell_references import ReferenceKind, Scan, ShellReference
from nix2oci.nix.needles import find
from nix2oci.nix.scan import scan
from nix2oci.wrappers.chain import End
from nix2oci.wrappers.operations import Prefix, Preset
from nix2oci.wrappers.script import Wrapper

ELF = b"\x7fELF\x02\x01 a program"
BASH_ELF = ELF + b"\0/no-such-path\0@(#)Bash version 5.2.15(1) release GNU\0"
BASH, LIB, APP, TOOL = (store_path(name) for name in ("bash-5.2", "libc-2", "app-1", "tool-1"))
HASH = BASH.hash_part.encode()
NAME = str(BASH).encode()
MIB = 1 << 20
CHUNK = 1 << 18
"""Of which a file is searched at once."""


def wrapper(target: str, *lines: bytes) -> bytes:
    text = (b"#! " + NAME + b"/bin/bash -e", *lines, f'exec "{target}"  "$@" '.encode(), b"")
    return b"\n".join(text)


@pytest.fixture
def store(tmp_path: Path) -> FakeStore:
    """A store that has a bash, and a library that it needs."""
    made = FakeStore(tmp_path)
    made.add(LIB.name, {b"lib": {b"libc.so": ELF}})
    shells: Node = {b"bash": Program(BASH_ELF), b"sh": Link(b"bash")}
    made.add(BASH.name, {b"bin": shells}, [LIB])
    return made


def scanned(store: FakeStore, node: Node, *programs: str) -> Scan:
    """The scan of a closure whose root, `app-1`, refers to bash."""
    store.add(APP.name, node, [BASH])
    found = [f"{APP}/{program}".encode() for program in programs]
    return scan(store.closure(APP), found, store.root)


def told(found: Scan) -> list[str]:
    """`FILE: KIND LINE TEXT`, without the store path, in which bash is called BASH."""
    return [
        " ".join(
            filter(
                None,
                (
                    f"{mention.inside}: {mention.kind}",
                    str(mention.line or ""),
                    mention.text.replace(NAME, b"BASH").decode(),
                ),
            )
        )
        for mention in found.mentions
    ]


# --- which store paths are shells ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "is_shell"),
    [
        pytest.param(
            {b"bin": {b"zsh": Program()}}, True, id="an executable of the name of a shell"
        ),
        pytest.param(
            {b"bin": {b"sh": Link(b"box"), b"box": Program()}}, True, id="a link beside it"
        ),
        pytest.param(
            {b"bin": Link(b"libexec"), b"libexec": {b"ash": Program()}}, True, id="bin is a link"
        ),
        pytest.param({b"bin": {b"bash": b""}}, False, id="it must be executable"),
        pytest.param({b"sbin": {b"bash": Program()}}, False, id="only bin counts"),
        pytest.param({b"bin": {b"bashful": Program()}}, False, id="another name"),
        pytest.param({b"bin": {b"sh": {}}}, False, id="a directory"),
        pytest.param({b"bin": {b"sh": Link(b"sh")}}, False, id="a circle of links"),
        pytest.param(
            {b"bin": {b"sh": Link(NAME + b"/bin/sh")}}, False, id="a link to another's shell"
        ),
        pytest.param(Program(), False, id="a file"),
        pytest.param(Link(b"/nowhere"), False, id="a link that leads nowhere"),
    ],
)
def test_a_shell_is_a_store_path_that_has_one_in_bin(
    node: Node, *, is_shell: bool, store: FakeStore
) -> None:
    found = scanned(store, node).shells
    assert found == ((APP, BASH) if is_shell else (BASH,))


def test_the_files_of_large_store_paths_are_searched_on_all_cores(store: FakeStore) -> None:
    """Each is somebody's, and what is found comes in the order that it would have from one."""
    small: Node = {b"%02d" % number: b"at " + NAME for number in range(40)}
    node: Node = {b"share": small, b"large": bytes(17 * MIB) + NAME, b"link": Link(NAME)}
    expected = [
        "large: binary",
        "link: link BASH",
        *(f"share/{n:02}: text 1 at BASH" for n in range(40)),
    ]

    def body() -> None:
        assert told(scanned(store, node)) == expected

    in_own_process(body)


def test_without_a_shell_no_file_is_read(tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    info = store.add("app-1", {b"share": {b"x": HASH}})
    store.thaw(info)
    os.unlink(store.physical(info.path, b"/share/x"))
    assert scan(store.closure(info.path), [], store.root) == Scan()


def test_a_store_path_that_does_not_refer_to_a_shell_is_not_read(store: FakeStore) -> None:
    other = store.add(TOOL.name, {b"x": b"text"})
    store.thaw(other)
    os.unlink(store.physical(TOOL, b"/x"))
    store.add(APP.name, {b"a": HASH}, [BASH, TOOL])
    found = scan(store.closure(APP), [], store.root)
    assert told(found) == ["a: text 1 " + HASH.decode()]


# --- mentions ------------------------------------------------------------------------------------

MENTIONS = [
    pytest.param({b"f": b"a\nx=" + NAME + b" y\nz"}, ["f: text 2 x=BASH y"], id="a line of a text"),
    pytest.param({b"f": HASH}, ["f: text 1 " + HASH.decode()], id="the hash part alone"),
    pytest.param({b"f": b"\0" + NAME}, ["f: binary"], id="a file with a NUL"),
    pytest.param(
        {b"f": b"\0" + b"x" * 9999 + NAME}, ["f: binary"], id="a NUL far before it is enough"
    ),
    pytest.param(
        {b"f": b"#!" + NAME + b"/bin/sh\n"}, ["f: shebang 1 #!BASH/bin/sh"], id="a script"
    ),
    pytest.param(
        {b"f": b"#!" + NAME + b"/bin/sh"}, ["f: shebang 1 #!BASH/bin/sh"], id="a line without end"
    ),
    pytest.param(
        {b"f": b"#!" + NAME + b"/bin/sh\n\nSHELL=" + NAME + b"\n" + NAME},
        ["f: shebang 1 #!BASH/bin/sh", "f: text 3 SHELL=BASH"],
        id="a script that names it again counts twice",
    ),
    pytest.param(
        {b"f": b"#!/bin/x\n" + NAME}, ["f: text 2 BASH"], id="a script of another interpreter"
    ),
    pytest.param({b"l": Link(NAME + b"/bin/sh")}, ["l: link BASH/bin/sh"], id="a link"),
    pytest.param({b"d": {HASH: b""}}, ["d/" + HASH.decode() + ": other"], id="the name of a file"),
    pytest.param(
        {b"x-" + HASH: {b"a": {b"b": b""}}},
        ["x-" + HASH.decode() + ": other"],
        id="the name of a directory, not of what is in it",
    ),
    pytest.param({b"f": b"nothing"}, [": other"], id="a reference that Nix recorded counts"),
    pytest.param({b"f": b"\n" * 9 + NAME * 9}, ["f: text 10 " + "BASH" * 9], id="once for a line"),
    pytest.param(Program(b"#!" + NAME + b"/bin/sh\n"), [": shebang 1 #!BASH/bin/sh"], id="a file"),
    pytest.param(
        {b"b": NAME, b"a": {b"z": NAME}}, ["a/z: text 1 BASH", "b: text 1 BASH"], id="in order"
    ),
]


@pytest.mark.parametrize(("node", "expected"), MENTIONS)
def test_each_mention_is_found(node: Node, expected: list[str], store: FakeStore) -> None:
    assert told(scanned(store, node)) == expected


@pytest.mark.parametrize("before", [0, 1, CHUNK - 33, CHUNK - 32, CHUNK - 31, CHUNK - 1, CHUNK])
@pytest.mark.parametrize("after", [0, 1, CHUNK])
def test_a_mention_is_found_wherever_it_lies(before: int, after: int, tmp_path: Path) -> None:
    other = b"z" * 32
    (tmp_path / "f").write_bytes(b"x" * before + HASH + b"y" * after)
    with (tmp_path / "f").open("rb") as file:
        fd = file.fileno()
        assert find(fd, [other, HASH]) == {HASH: before}
        assert find(fd, [HASH], before) == {HASH: before}
        assert find(fd, [HASH], before + 1) == {}


def test_a_line_far_into_a_file_has_its_number(store: FakeStore) -> None:
    lines = b"a line\n" * 400_000
    found = scanned(store, {b"f": lines + b"end " + NAME + b"\n"})
    assert told(found) == ["f: text 400001 end BASH"]


def test_a_long_line_is_cut(store: FakeStore) -> None:
    (mention,) = scanned(store, {b"f": b"x" * 5000 + HASH + b"y" * 5000}).mentions
    assert HASH in mention.text
    assert len(mention.text) == 2048


def test_a_large_file_is_not_in_memory_as_a_whole(store: FakeStore) -> None:
    info = store.add(APP.name, {b"f": HASH}, [BASH])
    store.thaw(info)
    place = store.physical(APP, b"/f")
    with open(place, "r+b") as file:
        file.seek(100 * MIB)
        file.write(HASH)
    closure = store.closure(APP)
    tracemalloc.start()
    found = scan(closure, [], store.root)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [mention.kind for mention in found.mentions] == [ReferenceKind.BINARY]
    assert peak < 4 * MIB


def test_two_shells_in_one_file_are_two_mentions(store: FakeStore) -> None:
    dash = store.add("dash-1", {b"bin": {b"dash": Program(ELF)}})
    text = NAME + b"\n" + str(dash.path).encode()
    store.add(APP.name, {b"f": text}, [BASH, dash.path])
    mentions = scan(store.closure(APP), [], store.root).mentions
    assert [(mention.shell, mention.line) for mention in mentions] == [(BASH, 1), (dash.path, 2)]


@pytest.mark.parametrize("gone", [b"", b"/f"])
def test_what_is_gone_is_an_error(gone: bytes, store: FakeStore) -> None:
    info = store.add(APP.name, {b"f": Link(NAME)}, [BASH])
    store.thaw(info)
    closure = store.closure(APP)
    os.unlink(store.physical(APP, b"/f"))
    if not gone:
        os.rmdir(store.physical(APP))
        with pytest.raises(StoreError) as caught:
            scan(closure, [], store.root)
        where = os.fsdecode(store.physical(APP))
        assert str(caught.value) == f"cannot read {where}: it is not in the store"
    else:
        assert told(scan(closure, [], store.root)) == [": other"]


# --- what scripts and programs start -------------------------------------------------------------


def test_a_wrapper_is_read_with_the_path_that_its_bash_has(store: FakeStore) -> None:
    block = rb"""PATH=${PATH:+':'$PATH':'}
PATH=${PATH/':''/a'':'/':'}
PATH='/a'$PATH
PATH=${PATH#':'}
PATH=${PATH%':'}
export PATH"""
    target = f"{APP}/libexec/app"
    node = {
        b"bin": {b"app": Program(wrapper(target, block))},
        b"libexec": {b"app": Program(ELF)},
    }
    found = scanned(store, node, "bin/app")
    chain = found.scripts[f"{APP}/bin/app".encode()]
    first = chain.steps[0].what
    assert isinstance(first, Wrapper)
    assert first.launch.ops == (
        Preset(b"PATH", b"/no-such-path"),
        Prefix(b"PATH", b":", b"/a"),
    )
    assert (chain.end, first.launch.target) == (End.NATIVE, target.encode())
    assert found.programs == found.scripts


@pytest.mark.parametrize(
    ("shell", "is_bash"),
    [
        pytest.param(BASH_ELF, True, id="by what its build put into it"),
        pytest.param(ELF, False, id="not by its name"),
        pytest.param(b"#!/bin/x\n@(#)Bash version 5", False, id="not a script that says so"),
    ],
)
def test_a_bash_is_known_by_its_content(shell: bytes, *, is_bash: bool, tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    bash = store.add("shell-1", {b"bin": {b"sh": Program(shell)}}).path
    text = f'#! {bash}/bin/sh -e\nexec "{APP}/a"  "$@" \n'.encode()
    store.add(APP.name, {b"w": Program(text), b"a": Program(ELF)}, [bash])
    (chain,) = scan(store.closure(APP), [], store.root).scripts.values()
    assert isinstance(chain.steps[0].what, Wrapper) == is_bash


def test_links_are_followed_within_the_closure_alone(store: FakeStore) -> None:
    tool = store.add(TOOL.name, {b"real": {b"tool": Program(ELF)}, b"bin": Link(b"real")})
    into = wrapper(f"{tool.path}/bin/tool")
    out = wrapper(f"{APP}/link")
    node: Node = {b"in": Program(into), b"out": Program(out), b"link": Link(b"/bin/sh")}
    store.add(APP.name, node, [BASH, TOOL])
    chains = scan(store.closure(APP), [], store.root).scripts
    assert chains[f"{APP}/in".encode()].end is End.NATIVE
    assert chains[f"{APP}/out".encode()].end is End.REFUSE


def test_a_script_that_is_not_executable_is_followed_no_further(store: FakeStore) -> None:
    found = scanned(store, {b"w": wrapper(f"{APP}/a"), b"a": Program(ELF)})
    assert found.scripts[f"{APP}/w".encode()].end is End.REFUSE


@pytest.mark.parametrize("lines", [1000, 2000])
def test_a_large_shell_script_is_never_a_wrapper(lines: int, store: FakeStore) -> None:
    text = wrapper(f"{APP}/a", *[b"export A='" + b"x" * 3000 + b"'"] * lines)
    found = scanned(store, {b"w": Program(text), b"a": Program(ELF)})
    is_wrapper = isinstance(found.scripts[f"{APP}/w".encode()].steps[0].what, Wrapper)
    assert is_wrapper == (len(text) <= 4 << 20)


def test_the_head_of_a_large_script_is_no_wrapper_though_it_reads_like_one(
    store: FakeStore,
) -> None:
    """The first 4096 bytes, which are all that is read, end with the line that starts a program."""
    short = len(wrapper(f"{APP}/a", b"export A=''"))
    text = wrapper(f"{APP}/a", b"export A='" + b"x" * (4096 - short) + b"'")
    assert len(text) == 4096
    large = Program(text + b"rm -r /\n" * (1 << 19))
    found = scanned(store, {b"w": large, b"v": Program(text), b"a": Program(ELF)})
    whole = {path[-1:]: chain.steps[0].what for path, chain in found.scripts.items()}
    assert isinstance(whole[b"v"], Wrapper)
    assert not isinstance(whole[b"w"], Wrapper)


def test_a_large_program_or_script_of_another_interpreter_ends_a_chain(store: FakeStore) -> None:
    node: Node = {
        b"w": Program(wrapper(f"{APP}/elf")),
        b"v": Program(wrapper(f"{APP}/zip")),
        b"elf": Program(ELF + bytes(5 << 20)),
        b"zip": Program(b"#!" + str(LIB).encode() + b"/bin/x\n" + bytes(5 << 20)),
    }
    store.add(APP.name, node, [BASH, LIB])
    chains = scan(store.closure(APP), [], store.root).scripts
    assert [chain.end for chain in chains.values()] == [End.NATIVE, End.NATIVE]


def test_a_program_that_can_call_a_shell_is_named(store: FakeStore, tmp_path: Path) -> None:
    require("gcc")
    built = {}
    for name, body in (
        ("calls", "return system(argv[1]) + !popen(argv[2], 0);"),
        ("quiet", "return puts(argv[0]);"),
    ):
        text = f"#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **argv) {{ {body} }}"
        output = tmp_path / name
        command = ["gcc", "-w", "-x", "c", "-o", str(output), "-"]
        subprocess.run(command, input=text, text=True, check=True)
        built[name] = Program(output.read_bytes())
    node: Node = {
        b"bin": {b"calls": built["calls"], b"quiet": built["quiet"]},
        b"w": Program(wrapper(f"{APP}/bin/calls")),
    }
    expected = {f"{APP}/bin/calls".encode(): ("popen", "system")}
    assert scanned(store, node, "bin/quiet").calls == expected  # by the wrapper
    closure = store.closure(APP)
    assert scan(closure, [f"{APP}/bin/quiet".encode()], store.root).calls == expected


def test_nothing_depends_on_the_order_of_files(store: FakeStore, tmp_path: Path) -> None:
    node = dict.fromkeys((b"c", b"a", b"b"), HASH)
    (tmp_path / "other").mkdir()
    other = FakeStore(tmp_path / "other")
    other.add(BASH.name, {b"bin": {b"bash": Program(BASH_ELF)}})
    one = scanned(store, node)
    backwards = dict(reversed(node.items()))
    assert scanned(other, backwards).mentions == one.mentions
    assert [mention.file[-1:] for mention in one.mentions] == [b"a", b"b", b"c"]
    assert one.mentions[0] == ShellReference(
        APP, f"{APP}/a".encode(), BASH, ReferenceKind.TEXT, 1, HASH
    )

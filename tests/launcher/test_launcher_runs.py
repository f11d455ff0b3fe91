"""The launcher as a program, beside the real bash: what it hands on, and how it fails."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fuzz.cases import Case
from fuzz.running import Bench, Wrapped, compile_probe, judge
from fuzz.scripts import Form
from support.tools import require

from nix2oci.wrappers.operations import (
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

pytestmark = pytest.mark.real
HERE = platform.machine()
V = b"VAR"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    require("bash")
    root = tmp_path_factory.mktemp("launcher")
    compile_probe(root / "compiled")
    return Bench.make(root, root / "compiled", HERE, b"/bin/bash")


def case(bench: Bench, *ops: Op, environment: Mapping[bytes, bytes] | None = None) -> Case:
    return Case(
        launch=Launch(bench.places.targets[0], ops),
        form=Form.BLOCKS,
        utf8=False,
        environment=environment or {},
        argv=(b"wrapper",),
        execfn=b"./wrapper",
        directory=bench.root + b"/one",
    )


def assert_equal(bench: Bench, given: Case) -> tuple[bytes, ...]:
    """The environment, after bash, launcher and model have been found to agree."""
    launcher = bench.as_launcher(given)
    assert launcher.status == 0, launcher.stderr
    assert judge(given, bench.as_script(given), launcher, bench.as_model(given), ordered=True) == ""
    return launcher.environment


# nixpkgs' own tests of makeWrapper (pkgs/test/make-wrapper/default.nix): operations, the caller's
# value, and the value that the program has to see.
@pytest.mark.parametrize(
    ("ops", "given", "expected"),
    [
        pytest.param((Set(V, b"abc"),), None, b"abc", id="set"),
        pytest.param((Set(V, b"abc"),), b"foo", b"abc", id="set wins"),
        pytest.param((Default(V, b"abc"),), None, b"abc", id="default"),
        pytest.param((Default(V, b"abc"),), b"foo", b"foo", id="default gives way"),
        pytest.param((Unset(V),), b"foo", None, id="unset"),
        pytest.param((Prefix(V, b":", b"abc"),), b"foo", b"abc:foo", id="prefix"),
        pytest.param((Prefix(V, b":", b"abc"),), None, b"abc", id="prefix of nothing"),
        pytest.param((Prefix(V, b":", b"abc"),), b"abc", b"abc", id="prefix is there"),
        pytest.param((Prefix(V, b":", b"abc"),), b"foo:abc", b"abc:foo", id="prefix moves"),
        pytest.param(
            (Prefix(V, b":", b"abc"),),
            b"test:abcde:test",
            b"abc:test:abcde:test",
            id="prefix is part of an element",
        ),
        pytest.param(
            (Prefix(V, b":", b"foo"), Prefix(V, b":", b"foo"), Prefix(V, b":", b"abc")),
            b"abc:foo:bar",
            b"abc:foo:bar",
            id="prefix of three elements",
        ),
        pytest.param((Prefix(V, b":", b"./*"),), b"f?oo", b"./*:f?oo", id="prefix is no pattern"),
        pytest.param((Suffix(V, b":", b"abc"),), b"foo", b"foo:abc", id="suffix"),
        pytest.param((Suffix(V, b":", b"abc"),), None, b"abc", id="suffix of nothing"),
        pytest.param((Suffix(V, b":", b"abc"),), b"abc", b"abc", id="suffix is there"),
        pytest.param((Suffix(V, b":", b"abc"),), b"abc:foo", b"abc:foo", id="suffix stays"),
        pytest.param(
            (Prefix(V, b":", b"foo"), Suffix(V, b":", b"bar")),
            b"abc",
            b"foo:abc:bar",
            id="prefix and suffix",
        ),
        pytest.param(
            (Suffix(V, b":", b"foo"), Suffix(V, b":", b"bar:def")),
            b"abc",
            b"abc:foo:bar:def",
            id="suffix-each",
        ),
        pytest.param(
            (Prefix(V, b":", b"foo"), Prefix(V, b":", b"bar:def")),
            b"abc",
            b"bar:def:foo:abc",
            id="prefix-each",
        ),
        pytest.param((Prefix(V, b":", b"m"),), b":", b"m::", id="separators that survive"),
        pytest.param((Prefix(V, b":", b"a"),), b"f:a:a", b"a:f:a", id="one occurrence goes"),
        pytest.param((Suffix(V, b":", b""),), None, b"", id="an empty element"),
        pytest.param((PrefixWhole(V, b":", b"a"),), b"a", b"a:a", id="prefix until 2021"),
        pytest.param((SuffixWhole(V, b":", b"a"),), b"", b"a", id="suffix until 2021"),
        pytest.param((Prepend(V, b"a:"),), None, b"a:", id="writeShellApplication"),
    ],
)
def test_operations(
    bench: Bench, ops: tuple[Op, ...], given: bytes | None, expected: bytes | None
) -> None:
    environment = {b"BEFORE": b"1"} | ({} if given is None else {V: given}) | {b"AFTER": b"2"}
    found = assert_equal(bench, case(bench, *ops, environment=environment))
    values = [entry.partition(b"=")[2] for entry in found if entry.startswith(V + b"=")]
    assert values == ([] if expected is None else [expected])


def test_an_unset_path_is_what_bash_makes_of_it(bench: Bench) -> None:
    found = assert_equal(bench, case(bench, Prefix(b"PATH", b":", b"/a")))
    assert found == (b"PATH=/a:" + bench.places.path_preset,)


@pytest.mark.parametrize("pwd", ["/link", "/two words", "/one", "", "relative"])
def test_chdir_tells_where_it_came_from(bench: Bench, pwd: str) -> None:
    value = bench.root + pwd.encode() if pwd.startswith("/") else pwd.encode()
    chdir = Chdir(bench.root + b"/.//one/")
    given = replace(
        case(bench, chdir, environment={b"PWD": value}), directory=bench.root + b"/link"
    )
    assert_equal(bench, given)


# --- $0 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), (b"./wrapper",), (b"a", b"./wrapper", b"")])
def test_the_name_is_the_path_given_to_execve(bench: Bench, words: tuple[bytes, ...]) -> None:
    given = case(bench)
    launch = replace(given.launch, argv0=Argv0.EXECFN)
    assert_equal(bench, replace(given, launch=launch, argv=(b"anything", *words)))
    assert bench.as_launcher(replace(given, launch=launch)).argv == (b"./wrapper",)


@pytest.mark.parametrize("argument", ["", " an argument "])
@pytest.mark.parametrize("nested", [False, True], ids=["script", "script of a script"])
def test_the_name_as_the_interpreter_of_a_script(
    bench: Bench, argument: str, tmp_path: Path, *, nested: bool
) -> None:
    launch = Launch(bench.places.targets[0], argv0=Argv0.EXECFN, before=(b"-s",))
    wrapped = Wrapped.write(tmp_path, launch)
    found = []
    for path in (wrapped.script, wrapped.launcher):
        program = path.parent / "program"
        program.write_text(f"#!./wrapper{argument}\n")
        program.chmod(0o755)
        if nested:
            program = path.parent / "nested"
            program.write_text("#!./program x\n")
            program.chmod(0o755)
        done = subprocess.run(
            [f"./{program.name}", "a", f"./{program.name}"],
            cwd=path.parent, env={}, capture_output=True, check=True,
        )  # fmt: skip
        found.append(done.stdout.partition(b"\0")[2].partition(b"\0\xff\0")[0])
    assert found[0] == found[1]
    assert found[1].startswith(b"./wrapper\0-s\0")


# --- limits -------------------------------------------------------------------------------------


def test_as_much_as_the_kernel_takes(bench: Bench) -> None:
    """Values of nearly 128 KiB, the most for one text, and 1.9 MB in all."""
    environment = {b"V%d" % n: b"x" * 131_000 for n in range(7)}
    environment[b"VAR"] = b":".join([b"y"] * 60_000)
    ops = [Prefix(V, b":", b"e%d" % n) for n in range(5)] + [Suffix(b"V1", b"x", b"z")]
    given = case(bench, *ops, environment=environment)
    assert_equal(bench, replace(given, argv=(b"w", *(b"%d" % n for n in range(40_000)))))


def exec_with(path: Path, argv: list[bytes], entries: list[bytes]) -> bytes:
    """What the probe says; Python's own calls cannot pass one name twice."""
    code = """
import ctypes, sys
path, argc, *rest = (word.encode("utf-8", "surrogateescape") for word in sys.argv[1:])
words, entries = rest[: int(argc)], rest[int(argc) :]
array = lambda texts: (ctypes.c_char_p * (len(texts) + 1))(*texts, None)
ctypes.CDLL(None).execve(path, array(words), array(entries))
"""
    words = [os.fsencode(path), str(len(argv)).encode(), *argv, *entries]
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, check=True
    ).stdout


def test_the_last_of_several_entries_counts_and_others_stay(bench: Bench, tmp_path: Path) -> None:
    launch = Launch(bench.places.targets[0], (Suffix(V, b":", b"x"),))
    wrapped = Wrapped.write(tmp_path, launch)
    given = [b"VAR=1", b"A=1", b"noequals", b"VAR=2", b"A=2", b"=x", b""]
    done = exec_with(wrapped.launcher, [b"w"], given)
    entries = done.partition(b"\0\xff\0")[2].split(b"\0")[:-1]
    assert entries == [b"A=1", b"noequals", b"VAR=2:x", b"A=2", b"=x", b""]
    under_bash = exec_with(wrapped.script, [b"w"], given).partition(b"\0\xff\0")[2].split(b"\0")
    assert b"VAR=2:x" in under_bash


# --- failing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "ops", "status", "message"),
    [
        pytest.param("missing", (), 127, "{0}/missing: No such file or directory", id="missing"),
        pytest.param("plain", (), 126, "{0}/plain: Permission denied", id="not executable"),
        pytest.param("directory", (), 126, "{0}/directory: Permission denied", id="a directory"),
        pytest.param("plain/x", (), 126, "{0}/plain/x: Not a directory", id="inside a file"),
        pytest.param("loop", (), 126, "{0}/loop: Too many levels of symbolic links", id="a loop"),
        pytest.param("x" * 300, (), 126, "{0}/{1}: File name too long", id="a long name"),
        pytest.param(
            "probe", ("missing",), 1, "cd: {0}/missing: No such file or directory", id="cd, missing"
        ),
        pytest.param("probe", ("plain",), 1, "cd: {0}/plain: Not a directory", id="cd to a file"),
    ],
)
def test_failures_have_the_status_of_bash(
    target: str, ops: tuple[str, ...], status: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    top = os.fsencode(tmp_path)
    launch = Launch(
        top + b"/" + target.encode(), tuple(Chdir(top + b"/" + name.encode()) for name in ops)
    )
    wrapped = Wrapped.write(tmp_path, launch)
    runs = [
        subprocess.run([path], env={}, capture_output=True, check=False)
        for path in (wrapped.script, wrapped.launcher)
    ]
    assert [done.returncode for done in runs] == [status, status]
    text = message.format(tmp_path, "x" * 300)
    assert runs[1].stderr.decode() == f"{wrapped.launcher}: {text}\n"
    assert runs[1].stdout == b""


def test_a_file_that_the_kernel_does_not_know_is_not_run_as_a_script(tmp_path: Path) -> None:
    """Bash would run it itself; a wrapper of such a target is never replaced."""
    (tmp_path / "text").write_bytes(b"echo hello\n")
    (tmp_path / "text").chmod(0o755)
    wrapped = Wrapped.write(tmp_path, Launch(os.fsencode(tmp_path / "text")))
    done = subprocess.run([wrapped.launcher], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        126,
        f"{wrapped.launcher}: {tmp_path}/text: Exec format error\n",
    )


def test_too_long_an_environment(bench: Bench, tmp_path: Path) -> None:
    launch = Launch(bench.places.targets[0], (Set(V, b"x" * 200_000),))
    wrapped = Wrapped.write(tmp_path, launch)
    runs = [
        subprocess.run([path], env={}, capture_output=True, check=False)
        for path in (wrapped.script, wrapped.launcher)
    ]
    assert [done.returncode for done in runs] == [126, 126]
    assert runs[1].stderr.endswith(b": Argument list too long\n")


def test_no_memory(bench: Bench, tmp_path: Path) -> None:
    ops = tuple(Prefix(V, b":", b"%d" % n) for n in range(100))
    wrapped = Wrapped.write(tmp_path, Launch(bench.places.targets[0], ops))
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 << 20,) * 2); "
    done = subprocess.run(
        [sys.executable, "-c", limited + "os.execv(sys.argv[1], ['w'])", wrapped.launcher],
        env={"VAR": "x" * 100_000}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 126
    assert done.stderr == f"{wrapped.launcher}: launcher: Cannot allocate memory\n".encode()

"""Operations: what each does to a value, in order, and what a chain of wrappers comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.wrapper_run import Exec, apply

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
    Preset,
    Set,
    Suffix,
    SuffixWhole,
    Unset,
    normal_directory,
    preset,
)

V = b"V"


def run(*ops: Op, environment: tuple[bytes, ...] = (), **rest: object) -> Exec:
    launch = Launch(b"/target", ops, **rest)  # type: ignore[arg-type]
    return apply(launch, environment, b"./wrapper", (b"wrapper", b"x"), b"/home")


@pytest.mark.parametrize(
    ("op", "old", "new"),
    [
        pytest.param(Set(V, b"abc"), None, b"abc", id="set sets an unset variable"),
        pytest.param(Set(V, b"abc"), b"foo", b"abc", id="set wins over the caller"),
        pytest.param(Default(V, b"abc"), None, b"abc", id="default sets an unset variable"),
        pytest.param(Default(V, b"abc"), b"foo", b"foo", id="default leaves the caller's value"),
        pytest.param(Default(V, b"abc"), b"", b"", id="default leaves an empty value"),
        pytest.param(Preset(V, b"abc"), None, b"abc", id="a preset counts when it is unset"),
        pytest.param(Preset(V, b"abc"), b"", b"", id="a preset does not count when it is set"),
        pytest.param(Prefix(V, b":", b"abc"), b"foo", b"abc:foo", id="prefix goes to the front"),
        pytest.param(Prefix(V, b":", b"abc"), None, b"abc", id="prefix alone has no separator"),
        pytest.param(Prefix(V, b":", b"abc"), b"", b"abc", id="prefix takes empty as unset"),
        pytest.param(Prefix(V, b":", b"abc"), b"abc", b"abc", id="prefix is not there twice"),
        pytest.param(Prefix(V, b":", b"abc"), b"foo:abc", b"abc:foo", id="prefix moves an element"),
        pytest.param(
            Prefix(V, b":", b"abc"),
            b"test:abcde:test",
            b"abc:test:abcde:test",
            id="prefix looks at whole elements",
        ),
        pytest.param(
            Prefix(V, b":", b"abc"),
            b"foo:abc:abc",
            b"abc:foo:abc",
            id="prefix removes the first occurrence only",
        ),
        pytest.param(
            Prefix(V, b":", b"m"), b":", b"m::", id="separators at the ends of a value survive"
        ),
        pytest.param(Prefix(V, b":", b""), None, b"", id="an empty element exports nothing"),
        pytest.param(Prefix(V, b":", b"./*"), b"f?oo", b"./*:f?oo", id="nothing is a pattern"),
        pytest.param(Suffix(V, b":", b"abc"), b"foo", b"foo:abc", id="suffix goes to the end"),
        pytest.param(Suffix(V, b":", b"abc"), None, b"abc", id="suffix alone has no separator"),
        pytest.param(Suffix(V, b":", b"abc"), b"", b"abc", id="suffix takes empty as unset"),
        pytest.param(
            Suffix(V, b":", b"abc"), b"abc:foo", b"abc:foo", id="suffix leaves an element in place"
        ),
        pytest.param(Suffix(V, b", ", b"a"), b"ab", b"ab, a", id="a separator can be long"),
        pytest.param(
            PrefixWhole(V, b":", b"a:b"), b"a:b", b"a:b:a:b", id="the old prefix removes nothing"
        ),
        pytest.param(PrefixWhole(V, b":", b"a"), b"", b"a", id="the old prefix alone"),
        pytest.param(
            SuffixWhole(V, b":", b"a"), b"a", b"a:a", id="the old suffix looks at nothing"
        ),
        pytest.param(SuffixWhole(V, b":", b"a"), None, b"a", id="the old suffix alone"),
        pytest.param(Prepend(V, b"a:"), None, b"a:", id="prepend leaves the colon behind"),
        pytest.param(Prepend(V, b"a:"), b"b", b"a:b", id="prepend concatenates"),
        pytest.param(Append(V, b":a"), b"b", b"b:a", id="append concatenates"),
        pytest.param(Append(V, b":a"), None, b":a", id="append to nothing"),
    ],
)
def test_value(op: Set | Prefix, old: bytes | None, new: bytes) -> None:
    assert op.result(old) == new
    given = () if old is None else (b"V=" + old,)
    assert run(op, environment=given).environment == (b"V=" + new,)


@pytest.mark.parametrize(
    ("ops", "given", "environment"),
    [
        pytest.param(
            (Prefix(V, b":", b"foo"), Suffix(V, b":", b"bar")),
            (b"V=abc",),
            (b"V=foo:abc:bar",),
            id="operations follow each other",
        ),
        pytest.param(
            (Prefix(V, b":", b"foo"), Prefix(V, b":", b"foo"), Prefix(V, b":", b"abc")),
            (b"V=abc:foo:bar",),
            (b"V=abc:foo:bar",),
            id="a value of several elements is several operations, from the last",
        ),
        pytest.param(
            (Unset(V), Default(V, b"x")), (b"V=a", b"W=b"), (b"W=b", b"V=x"), id="unset, then new"
        ),
        pytest.param((Unset(V),), (b"V=a", b"VV=b", b"V"), (b"VV=b", b"V"), id="whole names"),
        pytest.param(
            (Set(V, b"x"),), (b"A=1", b"V=a", b"B=2"), (b"A=1", b"V=x", b"B=2"), id="places stay"
        ),
        pytest.param(
            (Suffix(V, b":", b"x"),),
            (b"V=a", b"A=1", b"V=b", b"A=2"),
            (b"A=1", b"V=b:x", b"A=2"),
            id="of several entries the last counts, and others are let be",
        ),
    ],
)
def test_environment(
    ops: tuple[Op, ...], given: tuple[bytes, ...], environment: tuple[bytes, ...]
) -> None:
    assert run(*ops, environment=given).environment == environment


def test_words_and_argv0() -> None:
    launch = Launch(b"/target", before=(b"b",), after=(b"a", b""))
    assert apply(launch, (), b"./w", (b"w", b"x"), b"/").argv == (b"/target", b"b", b"x", b"a", b"")
    assert run(argv0=Argv0.EXECFN).argv == (b"./wrapper", b"x")
    assert run(argv0=b"name").argv == (b"name", b"x")
    assert run(argv0=b"name").path == b"/target"


def test_each_chdir_leaves_its_directory_in_oldpwd() -> None:
    done = run(Chdir(b"/a/"), Chdir(b"/b"), environment=(b"PWD=/stale", b"X=1"))
    assert done.environment == (b"PWD=/b", b"X=1", b"OLDPWD=/a")
    assert done.directory == b"/b"
    assert run(Chdir(b"/a")).environment == (b"OLDPWD=/home", b"PWD=/a")


@pytest.mark.parametrize(
    ("given", "normal"),
    [(b"/", b"/"), (b"/a//b/./c/", b"/a/b/c"), (b"//a", b"//a"), (b"///a", b"/a"), (b"/.", b"/")],
)
def test_pwd_is_written_as_bash_does(given: bytes, normal: bytes) -> None:
    assert normal_directory(given) == normal


@pytest.mark.parametrize(
    ("ops", "at"),
    [
        pytest.param((Set(V, b"x"), Prefix(b"PATH", b":", b"a")), 1, id="before the first reader"),
        pytest.param((Default(b"PATH", b"a"), Unset(b"PATH")), 0, id="default is a reader"),
        pytest.param((Chdir(b"/x"), Prepend(b"PATH", b"a")), 1, id="chdir has no name"),
        pytest.param((Set(b"PATH", b"x"), Prefix(b"PATH", b":", b"a")), None, id="set comes first"),
        pytest.param((Unset(b"PATH"), Prefix(b"PATH", b":", b"a")), None, id="unset comes first"),
        pytest.param((Set(V, b"x"),), None, id="nobody reads it"),
    ],
)
def test_preset_counts_for_the_first_reader(ops: tuple[Op, ...], at: int | None) -> None:
    given = Preset(b"PATH", b"/no-such-path")
    expected = ops if at is None else (*ops[:at], given, *ops[at:])
    assert preset(ops, b"PATH", b"/no-such-path") == expected


def test_bash_of_nixpkgs_and_an_unset_path() -> None:
    ops = preset((Prefix(b"PATH", b":", b"/a"),), b"PATH", b"/no-such-path")
    assert run(*ops).environment == (b"PATH=/a:/no-such-path",)
    assert run(*ops, environment=(b"PATH=/b",)).environment == (b"PATH=/a:/b",)


def compose(outer: Launch, inner: Launch) -> Launch:
    """What `outer` does when its target is the wrapper that `inner` was read from.

    To the inner wrapper `$0` is the path that the outer one names, whatever the caller ran.
    """
    return replace(
        inner,
        ops=outer.ops + inner.ops,
        argv0=outer.target if inner.argv0 is Argv0.EXECFN else inner.argv0,
        before=inner.before + outer.before,
        after=outer.after + inner.after,
    )


@pytest.mark.parametrize("inner_argv0", [Argv0.TARGET, Argv0.EXECFN, b"name"])
@pytest.mark.parametrize("outer_argv0", [Argv0.TARGET, Argv0.EXECFN, b"outer"])
def test_a_chain_is_one_launch(inner_argv0: Argv0 | bytes, outer_argv0: Argv0 | bytes) -> None:
    outer = Launch(b"/inner", (Set(V, b"a"), Chdir(b"/x")), outer_argv0, (b"ob",), (b"oa",))
    inner = Launch(
        b"/target", (Prefix(V, b":", b"b"), Chdir(b"/y")), inner_argv0, (b"ib",), (b"ia",)
    )
    first = apply(outer, (b"W=1",), b"w", (b"w", b"x"), b"/home")
    second = apply(inner, first.environment, first.path, first.argv, first.directory)
    assert apply(compose(outer, inner), (b"W=1",), b"w", (b"w", b"x"), b"/home") == second


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Set(b"a-b", b""), "b'a-b' is not the name of a variable"),
        (lambda: Unset(b"V\n"), "b'V\\n' is not the name of a variable"),
        (lambda: Default(b"1", b""), "b'1' is not the name of a variable"),
        (lambda: Append(V, b"a\0"), "b'a\\x00' holds a NUL byte"),
        (lambda: PrefixWhole(V, b"\0", b""), "b'\\x00' holds a NUL byte"),
        (lambda: Prefix(V, b"", b"x"), "the separator of V is empty"),
        (lambda: Suffix(V, b"", b"x"), "the separator of V is empty"),
        (lambda: Chdir(b"a/b"), "the directory b'a/b' is not absolute"),
        (lambda: Chdir(b""), "the directory b'' is not absolute"),
        (lambda: Chdir(b"/a/../b"), "the directory b'/a/../b' has a '..'"),
        (lambda: Launch(b"target"), "the target b'target' is not an absolute path"),
        (lambda: Launch(b"/t", argv0=b"\0"), "b'\\x00' holds a NUL byte"),
        (lambda: Launch(b"/t", before=(b"\0",)), "b'\\x00' holds a NUL byte"),
    ],
)
def test_what_no_wrapper_can_do(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message follows
        make()
    assert str(raised.value) == message


def test_equal_texts_are_not_equal_operations() -> None:
    assert Set(V, b"x") == Set(V, b"x")
    assert len({Set(V, b"x"), Default(V, b"x"), Preset(V, b"x"), Set(V, b"x")}) == 3
    assert len({Prefix(V, b":", b"x"), Suffix(V, b":", b"x"), Prefix(V, b":", b"x")}) == 2

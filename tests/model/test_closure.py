"""Closures: what is no store path is refused, and so is what is no closure."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path
from support.tools import require

from nix2oci.errors import ClosureError
from nix2oci.model.closure import (
    Closure,
    PathInfo,
    StorePath,
    format_nar_hash,
    parse_nar_hash,
    store_path_of,
)

HASH = "0123456789abcdfghijklmnpqrsvwxyz"
ALPHABET = HASH


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param(f"/nix/store/{HASH}-a", ("/nix/store", HASH, "a"), id="the shortest name"),
        pytest.param(
            f"/nix/store/{HASH}-{'n' * 211}", ("/nix/store", HASH, "n" * 211), id="the longest name"
        ),
        pytest.param(
            f"/nix/store/{HASH}-libc++_1.2?x=y-bin",
            ("/nix/store", HASH, "libc++_1.2?x=y-bin"),
            id="every character that a name may have",
        ),
        pytest.param(
            f"/nix/store/{HASH}-.hidden", ("/nix/store", HASH, ".hidden"), id="a dot first"
        ),
        pytest.param(f"/nix/store/{HASH}--x", ("/nix/store", HASH, "-x"), id="a dash first"),
        pytest.param(f"/data/my store/{HASH}-a", ("/data/my store", HASH, "a"), id="another store"),
        pytest.param(f"/s/{HASH}-a", ("/s", HASH, "a"), id="a store below the root"),
    ],
)
def test_a_store_path_is_read_and_printed(text: str, parts: tuple[str, str, str]) -> None:
    path = StorePath.parse(text)
    assert (path.store_dir, path.hash_part, path.name) == parts
    assert str(path) == text
    assert path.base == text.rpartition("/")[2]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("/nix/store", id="the store itself"),
        pytest.param("/nix/store/", id="nothing in the store"),
        pytest.param(f"/nix/store/{HASH}", id="no name"),
        pytest.param(f"/nix/store/{HASH}-", id="an empty name"),
        pytest.param(f"/nix/store/{HASH[:-1]}-a", id="a hash part that is too short"),
        pytest.param(f"/nix/store/{HASH}0-a", id="a hash part that is too long"),
        *(
            pytest.param(f"/nix/store/{letter}{HASH[1:]}-a", id=f"'{letter}' in the hash part")
            for letter in "eotuA_é"
        ),
        pytest.param(f"/nix/store/{HASH}-a/bin", id="a path inside"),
        pytest.param(f"/nix/store/{HASH}-a/", id="a slash at the end"),
        pytest.param(f"/nix/store/../store/{HASH}-a", id="a parent directory"),
        pytest.param(f"/nix/./store/{HASH}-a", id="a directory named '.'"),
        pytest.param(f"/nix//store/{HASH}-a", id="a doubled slash"),
        pytest.param(f"//nix/store/{HASH}-a", id="a doubled slash in front"),
        pytest.param(f"/{HASH}-a", id="the root as the store"),
        pytest.param(f"nix/store/{HASH}-a", id="a relative path"),
        pytest.param(f"{HASH}-a", id="a base name"),
        pytest.param(f"/nix/store/{HASH}-..", id="a name that is '..'"),
        pytest.param(f"/nix/store/{HASH}-.", id="a name that is '.'"),
        pytest.param(f"/nix/store/{HASH}-a\n", id="a newline at the end"),
        pytest.param(f"/nix/store/{HASH}-a\nb", id="a newline in the name"),
        pytest.param(f"/nix\n/store/{HASH}-a", id="a newline in the store directory"),
        pytest.param(f"/nix/store/{HASH}-a\0", id="a NUL"),
        pytest.param(f"/nix\x1b[2J/{HASH}-a", id="an escape sequence"),
        pytest.param(f"/nix/store/{HASH}-\udcff", id="a stray byte in the name"),
        pytest.param(f"/n\udcff/{HASH}-a", id="a stray byte in the store directory"),
        pytest.param(f"/nix/store/{HASH}-é", id="a letter that is not ASCII"),
        pytest.param(f"/nix/store/{HASH}-\u0661", id="a digit that is not ASCII"),
        pytest.param(f"/nix/store/{HASH}-a b", id="a space in the name"),
        pytest.param(f"/nix/store/{HASH}-a;rm", id="a semicolon in the name"),
        pytest.param(f"/nix/store/{HASH}-{'n' * 212}", id="a name that is too long"),
        pytest.param(f"/nix/store/{HASH}_a", id="no dash"),
        pytest.param(
            f"/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9/{HASH}", id="placeholder"
        ),
        pytest.param(" ", id="a space"),
    ],
)
def test_what_is_no_store_path_is_refused(text: str) -> None:
    with pytest.raises(ClosureError) as caught:
        StorePath.parse(text)
    assert str(caught.value) == f"cannot read store path {text!r}: it is not one"
    assert caught.value.exit_code == 4


def test_a_long_answer_is_cut_in_the_error() -> None:
    with pytest.raises(ClosureError) as caught:
        StorePath.parse("x" * 10_000)
    assert str(caught.value) == f"cannot read store path {'x' * 300!r}: it is not one"


_PATHS = st.builds(
    StorePath,
    st.sampled_from(["/nix/store", "/data/store"]),
    st.text(ALPHABET, min_size=32, max_size=32),
    st.text("ab01+-._?=", min_size=1, max_size=20).filter(lambda name: name not in (".", "..")),
)


@given(_PATHS)
def test_any_store_path_is_read_as_it_is_printed(path: StorePath) -> None:
    assert StorePath.parse(str(path)) == path


@given(st.text(max_size=80))
def test_any_text_is_a_store_path_or_refused(text: str) -> None:
    try:
        path = StorePath.parse(text)
    except ClosureError as err:
        error = str(err)
    else:
        error = ""
        assert str(path) == text
    assert error.isprintable()


def test_store_paths_are_ordered_by_name_then_hash_part() -> None:
    texts = [f"/nix/store/{'1' * 32}-a", f"/nix/store/{'0' * 32}-b", f"/nix/store/{'2' * 32}-b"]
    assert [str(path) for path in sorted(map(StorePath.parse, reversed(texts)))] == texts


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(f"/nix/store/{HASH}-a", f"/nix/store/{HASH}-a", id="the path itself"),
        pytest.param(f"/nix/store/{HASH}-a/bin/x", f"/nix/store/{HASH}-a", id="a path inside"),
        pytest.param("/nix/store", None, id="the store"),
        pytest.param("/nix/store/.links/x", None, id="no store path"),
        pytest.param(f"/nix/storex/{HASH}-a", None, id="a name that only begins like the store"),
        pytest.param(f"/nix/stork/{HASH}-a", None, id="a directory whose name is as long"),
        pytest.param("/etc/passwd", None, id="elsewhere"),
    ],
)
def test_the_store_path_that_a_path_lies_in(path: str, expected: str | None) -> None:
    found = store_path_of(path, "/nix/store")
    assert (str(found) if found else None) == expected


DIGEST = hashlib.sha256(b"hello").digest()
HEX = DIGEST.hex()
SRI = "sha256-" + base64.b64encode(DIGEST).decode()
BASE32 = "sha256:094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SRI, id="SRI"),
        pytest.param(BASE32, id="base 32"),
        pytest.param("sha256:" + HEX, id="hex"),
        pytest.param("sha256:" + SRI[7:], id="base 64 after a colon"),
        pytest.param("sha256-" + HEX, id="hex after a dash"),
    ],
)
def test_every_form_of_a_nar_hash_is_read(text: str) -> None:
    assert parse_nar_hash(text) == DIGEST


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("sha256:", id="no value"),
        pytest.param(HEX, id="no algorithm"),
        pytest.param("sha512-" + base64.b64encode(bytes(64)).decode(), id="another algorithm"),
        pytest.param("sha1:" + "0" * 40, id="a broken algorithm"),
        pytest.param("sha256:" + HEX[:-1], id="hex that is too short"),
        pytest.param("sha256:" + HEX + "00", id="hex that is too long"),
        pytest.param("sha256:" + "0" * 63 + "g", id="a letter that is not hex"),
        pytest.param("sha256:" + "00 " * 21 + "0", id="hex with spaces, of the right length"),
        pytest.param("sha256:" + "00 " * 21 + " ", id="hex with spaces, an even number of digits"),
        pytest.param("sha256:" + "e" * 52, id="a letter that is not base 32"),
        pytest.param("sha256:z" + "0" * 51, id="base 32 of 260 bits"),
        pytest.param("sha256:2" + "0" * 51, id="base 32 of 257 bits"),
        pytest.param("sha256-" + base64.b64encode(bytes(31)).decode(), id="31 bytes"),
        pytest.param("sha256-" + base64.b64encode(bytes(33)).decode(), id="33 bytes"),
        pytest.param(SRI[:-1], id="base 64 without padding"),
        pytest.param(SRI[:20] + "!" + SRI[20:], id="a letter that is not base 64"),
        pytest.param(SRI.replace("=", "é"), id="a letter that is not ASCII"),
        pytest.param(SRI + "\n", id="a newline"),
        pytest.param("sha256:" + "\u0660" * 64, id="digits that are not ASCII"),
    ],
)
def test_what_is_no_nar_hash_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a SHA-256 hash: '"):
        parse_nar_hash(text)


@given(st.binary(min_size=32, max_size=32))
def test_a_nar_hash_is_read_as_it_is_printed(digest: bytes) -> None:
    assert parse_nar_hash(format_nar_hash(digest)) == digest


@pytest.mark.real
@pytest.mark.parametrize("form", ["to-base16", "to-base32", "to-base64", "to-sri"])
def test_nix_prints_what_is_read(form: str) -> None:
    require("nix")
    command = ["nix", "--extra-experimental-features", "nix-command", "hash", form, SRI]
    printed = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
    ).stdout.strip()
    assert parse_nar_hash(printed if "-" in printed else "sha256:" + printed) == DIGEST


def info(name: str, *references: str, size: int = 1) -> PathInfo:
    refs = tuple(sorted(store_path(reference) for reference in references))
    return PathInfo(store_path(name), bytes(32), size, refs)


def closure(*infos: PathInfo, roots: tuple[str, ...] = ("app",)) -> Closure:
    return Closure.of(infos, [store_path(root) for root in roots])


def test_a_closure_holds_its_paths_in_their_order() -> None:
    found = closure(info("app", "libb", "liba", size=5), info("libb", size=3), info("liba"))
    assert list(found) == [store_path(name) for name in ("app", "liba", "libb")]
    assert len(found) == 3
    assert found.nar_size == 9
    assert store_path("liba") in found
    assert store_path("other") not in found
    assert found.roots == (store_path("app"),)


def test_the_order_of_the_answer_does_not_show() -> None:
    infos = (info("app", "lib", "c"), info("lib", "c"), info("c"))
    assert closure(*infos) == closure(*reversed(infos))


def test_roots_keep_their_order_and_come_once() -> None:
    found = closure(info("b"), info("a"), roots=("b", "a", "b"))
    assert found.roots == (store_path("b"), store_path("a"))


def test_a_path_may_refer_to_itself() -> None:
    found = closure(info("app", "app", "lib"), info("lib", "lib"))
    assert found.references(store_path("app")) == (store_path("lib"),)
    assert sets(found, "users") == {"app": {"app"}, "lib": {"app", "lib"}}


@pytest.mark.parametrize(
    ("infos", "message"),
    [
        pytest.param((info("lib"),), "it lacks its root {app}", id="the root is not in the answer"),
        pytest.param(
            (info("app", "lib"),),
            "{app} refers to {lib}, which is not in it",
            id="a reference is not in the answer",
        ),
        pytest.param((), "it lacks its root {app}", id="an empty answer"),
        pytest.param(
            (info("app"), info("lib")), "no root refers to {lib}", id="a path that nothing needs"
        ),
        pytest.param(
            (info("app", "lib"), info("lib", "app")),
            "{app} refers to {lib} refers to {app}",
            id="two paths refer to each other",
        ),
        pytest.param(
            (info("app", "b"), info("b", "c"), info("c", "d"), info("d", "b")),
            "{b} refers to {c} refers to {d} refers to {b}",
            id="a cycle of three behind the root",
        ),
    ],
)
def test_what_is_no_closure_is_refused(infos: tuple[PathInfo, ...], message: str) -> None:
    with pytest.raises(ClosureError) as caught:
        closure(*infos)
    names = {name: store_path(name) for name in ("app", "lib", "b", "c", "d")}
    assert "cannot use closure: " + message.format(**names) in _rotations(str(caught.value))
    assert caught.value.exit_code == 4


def _rotations(message: str) -> set[str]:
    """A cycle may begin anywhere: each way to write it."""
    start, _, cause = message.partition(": ")
    steps = cause.split(" refers to ")
    if len(steps) < 2 or steps[0] != steps[-1]:
        return {message}
    around = steps[:-1]
    turned = (around[at:] + around[: at + 1] for at in range(len(around)))
    return {f"{start}: {' refers to '.join(each)}" for each in turned}


def test_without_roots_what_nothing_refers_to_is_one() -> None:
    infos = (info("b", "lib", "b"), info("a", "lib"), info("lib"))
    found = Closure.of_all(infos)
    assert found == Closure.of_all(reversed(infos)) == closure(*infos, roots=("a", "b"))
    assert found.store_dir == "/nix/store"


@pytest.mark.parametrize(
    ("infos", "message"),
    [
        pytest.param((), "there is no path in it", id="nothing"),
        pytest.param(
            (info("app", "lib"), info("lib", "app")),
            "{app} refers to {lib} refers to {app}",
            id="nothing but a cycle",
        ),
    ],
)
def test_without_roots_what_is_no_closure_is_refused(
    infos: tuple[PathInfo, ...], message: str
) -> None:
    with pytest.raises(ClosureError) as caught:
        Closure.of_all(infos)
    names = {name: store_path(name) for name in ("app", "lib")}
    assert "cannot use closure: " + message.format(**names) in _rotations(str(caught.value))


@pytest.mark.parametrize(
    ("gone", "left", "roots"),
    [
        pytest.param(["c"], ["app", "a", "b"], ["app"], id="a leaf"),
        pytest.param(["app"], ["a", "b", "c"], ["a", "b"], id="the root: what it led to is one"),
        pytest.param(["a", "b"], ["app", "c"], ["app", "c"], id="what led to a leaf"),
        pytest.param([], ["app", "a", "b", "c"], ["app"], id="nothing"),
    ],
)
def test_without_some_paths_a_closure_is_one(
    gone: list[str], left: list[str], roots: list[str]
) -> None:
    whole = closure(info("app", "a", "b"), info("a", "c"), info("b", "c", "b"), info("c"))
    found = whole.without({store_path(name) for name in gone})
    assert set(found) == {store_path(name) for name in left}
    assert found.roots == tuple(store_path(name) for name in roots)
    assert found.nar_size == len(left)


def sets(found: Closure, of: str) -> dict[str, set[str]]:
    bit = {path: 1 << i for i, path in enumerate(found)}
    answer = found.reach(bit) if of == "reach" else found.users(bit)
    return {
        path.name: {other.name for other in found if numbers & bit[other]}
        for path, numbers in answer.items()
    }


def test_reach_is_what_a_path_refers_to_and_users_what_refers_to_it() -> None:
    found = closure(info("app", "l", "r"), info("l", "c"), info("r", "c"), info("c"))
    assert sets(found, "reach") == {
        "app": {"app", "l", "r", "c"},
        "l": {"l", "c"},
        "r": {"r", "c"},
        "c": {"c"},
    }
    assert sets(found, "users") == {
        "app": {"app"},
        "l": {"app", "l"},
        "r": {"app", "r"},
        "c": {"app", "l", "r", "c"},
    }


def test_a_chain_of_ten_thousand_is_no_recursion() -> None:
    names = [f"p{n}" for n in range(10_000)]
    infos = [info(name, after) for name, after in pairwise(names)]
    found = closure(*infos, info(names[-1]), roots=("p0",))
    bit = {path: 1 << i for i, path in enumerate(found)}
    assert found.users(bit)[store_path(names[-1])].bit_count() == 10_000

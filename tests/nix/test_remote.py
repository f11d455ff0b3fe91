"""A closure in another store: what Nix is asked, and what becomes of its answers."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import DRV, OUT, FakeNix, joint, value
from support.fakestore import FakeStore, Node, Program, entries_of, nar, store_path, whole

from nix2oci.errors import NixCommandError, StoreError
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.nix.options import Origin
from nix2oci.nix.realise import Built
from nix2oci.nix.remote import NixSender, RemoteStore, known_outputs, remote_store
from nix2oci.nix.store_skeleton import StoreSkeleton

URL = "https://user:secret@cache.test"
NAME = "https://cache.test"
UNCHECKED = Origin(URL, check_signatures=False)
ROOT = StorePath.parse(OUT)
OLD = "nix (Nix) 2.8.0\n"


@pytest.fixture
def fake(tmp_path: Path) -> FakeNix:
    return FakeNix(tmp_path)


# --- outputs --------------------------------------------------------------------------------------


def outputs(fake: FakeNix, text: str, *options: str) -> tuple[Built, ...]:
    nix = fake.nix(*options)
    return known_outputs(nix, [nix.evaluate(nix.installable(text))])


@pytest.mark.parametrize(
    ("version", "operand"),
    [
        pytest.param("2.34.8", f"{DRV}^out", id="a recent Nix is asked for an output"),
        pytest.param("2.8.0", DRV, id="an old one for a derivation"),
    ],
)
def test_outputs_are_found_out_without_building(fake: FakeNix, version: str, operand: str) -> None:
    fake.answer('#""', joint(value(), version=version))
    (built,) = outputs(fake, ".#app")
    assert built.roots == (ROOT,)
    argv = ["build", "--json", "--dry-run", "--no-link", "--store", str(fake.root)]
    assert fake.calls[-1] == [*argv, "--option", "substitute", "false", "--", operand]
    assert sum(call[0] == "build" for call in fake.calls) == 1


def test_a_store_path_is_its_own_output(fake: FakeNix) -> None:
    (built,) = outputs(fake, OUT)
    assert built.roots == (ROOT,)
    assert [call for call in fake.calls if call[0] == "build"] == []


def test_derivations_are_looked_for_where_they_are(fake: FakeNix) -> None:
    outputs(fake, ".#app", "--eval-store", "/other")
    assert fake.calls[-1][4:8] == ["--store", str(fake.root), "--store", "/other"]


def test_an_output_that_only_a_build_can_tell(fake: FakeNix) -> None:
    fake.answer("--dry-run", json.dumps([{"drvPath": DRV, "outputs": {"out": None}}]))
    with pytest.raises(StoreError) as caught:
        outputs(fake, ".#app")
    assert str(caught.value) == f"cannot build {DRV}: Nix gave no path for its output 'out'"


def test_a_derivation_that_is_gone(fake: FakeNix) -> None:
    fake.answer("--dry-run", stderr=f"error: path '{DRV}' is not valid\n", code=1)
    with pytest.raises(NixCommandError) as caught:
        outputs(fake, ".#app")
    what = f"cannot find out what {DRV}^out would become"
    assert str(caught.value) == f"{what}: path '{DRV}' is not valid"


# --- closure --------------------------------------------------------------------------------------


def closure(fake: FakeNix, origin: Origin = UNCHECKED) -> Closure:
    return NixSender(fake.nix(origin=origin), origin).closure([ROOT])


def test_the_graph_is_that_of_the_other_store(fake: FakeNix) -> None:
    assert list(closure(fake)) == [ROOT]
    asked = ["path-info", "--json", "--recursive", "--store", str(fake.root), "--store", URL]
    assert fake.calls[-1] == [*asked, "--", OUT]


def test_a_path_that_is_not_there(fake: FakeNix) -> None:
    other = store_path("other-1")
    fake.answer("path-info", stderr=f"error: path '{other}' is not valid\n", code=1)
    with pytest.raises(StoreError) as caught:
        closure(fake)
    assert str(caught.value) == f"cannot read {other}: it is not in {NAME}"
    assert caught.value.exit_code == 4
    assert caught.value.hint == (
        f"copy it there from where it was built: nix copy --to '{NAME}' {other}"
    )


def test_a_store_that_does_not_answer(fake: FakeNix) -> None:
    said = f"error: unable to download '{URL}/nix-cache-info': Couldn't connect to server (7)\n"
    fake.answer("path-info", stderr=said, code=1)
    with pytest.raises(NixCommandError) as caught:
        closure(fake)
    assert str(caught.value) == (
        f"cannot read the closure of {OUT} in {NAME}: unable to download "
        f"'{NAME}/nix-cache-info': Couldn't connect to server (7)"
    )


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        pytest.param("file://{}", "/nix-cache-info", id="a directory that is no binary cache"),
        pytest.param("file://{}/no", "/no/nix-cache-info", id="a binary cache that is not there"),
        pytest.param("file://{}/a%20b", "/a b/nix-cache-info", id="a name with a space"),
        pytest.param("{}/no", "/no", id="a directory with a store"),
        pytest.param("local?root={}/no", "/no", id="a root of a store"),
    ],
)
def test_nix_is_not_asked_to_make_an_empty_store(
    fake: FakeNix, tmp_path: Path, url: str, missing: str
) -> None:
    origin = Origin(url.format(tmp_path))
    with pytest.raises(StoreError) as caught:
        closure(fake, origin)
    assert str(caught.value) == f"cannot read {origin}: there is no {tmp_path}{missing}"
    assert caught.value.hint == f"make a store there with: nix copy --to '{origin}' PATH"
    assert fake.calls == []


# --- bytes ----------------------------------------------------------------------------------------

NODE: Node = {b"bin": {b"app": Program(b"\x7fELF" * 1000)}, b"etc": b"x" * 300_000}


RECORD = PathInfo(ROOT, hashlib.sha256(nar(NODE)).digest(), len(nar(NODE)), ())


def served(
    fake: FakeNix, data: bytes = nar(NODE), first: str = ":", then: str = ":", **answer: Any
) -> RemoteStore:
    """A store whose Nix does something, prints a NAR, does something else, and ends."""
    (fake.directory / "nar").write_bytes(data)
    cat = f"cat {shlex.quote(str(fake.directory / 'nar'))}"
    fake.answer("dump-path", run=f"{first}; {cat}; {then}", **answer)
    closure = Closure.of([RECORD], [ROOT])
    skeleton = StoreSkeleton(closure, str(fake.directory / "outline"), lambda _: iter(()))
    return RemoteStore(NixSender(fake.nix(), Origin(URL)), "", skeleton)


def test_entries_are_those_of_the_nar(fake: FakeNix) -> None:
    store = served(fake)
    assert whole(store.entries(RECORD)) == entries_of(RECORD, NODE)
    argv = ["store", "dump-path", "--store", str(fake.root), "--store", URL, "--", OUT]
    assert fake.calls == [argv]


def test_nothing_is_asked_for_before_it_is_read(fake: FakeNix) -> None:
    served(fake).entries(RECORD)
    assert fake.calls == []


def failing(store: RemoteStore) -> StoreError:
    with pytest.raises(StoreError) as caught:
        whole(store.entries(RECORD))
    assert type(caught.value) is StoreError
    return caught.value


def test_a_nix_that_fails_midway_says_why(fake: FakeNix) -> None:
    said = f"warning: slow\nerror: file 'nar/x' does not exist in binary cache '{URL}'\n"
    error = failing(served(fake, nar(NODE)[:100_000], stderr=said, code=1))
    assert str(error) == (
        f"cannot read {OUT} from {NAME}: file 'nar/x' does not exist in binary cache '{NAME}'"
    )
    assert fake.shown == ["warning: slow"]


def test_a_nix_that_fails_after_all_came(fake: FakeNix) -> None:
    error = failing(served(fake, code=1))
    assert str(error) == f"cannot read {OUT} from {NAME}: nix ended with exit code 1"


def test_a_nix_that_is_killed(fake: FakeNix) -> None:
    error = failing(served(fake, nar(NODE)[:1000], then="kill -9 $$"))
    assert str(error) == f"cannot read {OUT} from {NAME}: nix was killed by SIGKILL"
    assert error.hint == "the machine may have run out of memory"


def test_a_nar_that_ends_early(fake: FakeNix) -> None:
    error = failing(served(fake, nar(NODE)[:100_000]))
    assert str(error) == f"cannot read {OUT} from {NAME}: its NAR ends early"


def test_a_nix_that_is_not_listened_to_any_more_is_ended(fake: FakeNix) -> None:
    pid = fake.directory / "pid"
    first = f"echo $$ > {shlex.quote(str(pid))}"
    entries = served(fake, first=first, then="exec tail -f /dev/null").entries(RECORD)
    assert next(entries).path == OUT[1:].encode()
    assert os.path.exists(f"/proc/{pid.read_text().strip()}")
    del entries
    assert not os.path.exists(f"/proc/{pid.read_text().strip()}")


def test_some_are_on_their_way_while_one_is_read(fake: FakeNix, store: FakeStore) -> None:
    """The first is sent only when a later one is asked for."""
    gate = fake.directory / "gate"
    os.mkfifo(gate)
    known = [store.add(f"lib-{n}", b"x") for n in range(9)]
    for number, each in enumerate(known):
        (fake.directory / "nar").write_bytes(nar(b"x"))
        first = {0: f"read line < {gate};", 4: f"echo > {gate};"}.get(number, "")
        fake.answer(f"-- {each.path}", run=f"{first} cat {fake.directory / 'nar'}")
    closure = Closure.of(known, [each.path for each in known])
    with remote_store(NixSender(fake.nix(), Origin(URL)), closure) as found:
        found.skeleton.materialize()
    assert len(fake.calls) == len(known)


def test_those_on_their_way_are_called_off_when_one_fails(fake: FakeNix, store: FakeStore) -> None:
    pid = fake.directory / "pid"
    known = [store.add(f"lib-{n}", b"x") for n in range(2)]
    os.mkfifo(pid)
    fake.answer(f"-- {known[0].path}", run=f"read line < {pid}; echo $line > {pid}.2; exit 1")
    fake.answer(f"-- {known[1].path}", run=f"echo $$ > {pid}; exec tail -f /dev/null")
    closure = Closure.of(known, [each.path for each in known])
    with (
        remote_store(NixSender(fake.nix(), Origin(URL)), closure) as found,
        pytest.raises(StoreError),
    ):
        found.skeleton.materialize()
    child = Path(f"{pid}.2").read_text().strip()
    assert not os.path.exists(f"/proc/{child}")


def test_what_the_outline_has_is_not_asked_for_again(fake: FakeNix, store: FakeStore) -> None:
    known = store.add("app-1", {b"bin": {b"app": Program(b"x")}})
    (fake.directory / "nar").write_bytes(nar({b"bin": {b"app": Program(b"x")}}))
    fake.answer("dump-path", run=f"cat {shlex.quote(str(fake.directory / 'nar'))}")
    nix = fake.nix()
    with remote_store(NixSender(nix, Origin(URL)), Closure.of([known], [known.path])) as found:
        found.skeleton.materialize()
        expected = entries_of(known, {b"bin": {b"app": Program(b"x")}})
        assert whole(found.entries(known)) == whole(found.entries(known)) == expected
        found.fetch(f"{known.path}/bin/app".encode())
        assert Path(f"{found.root}{known.path}/bin/app").read_bytes() == b"x"
    assert len(fake.calls) == 1
    assert not os.path.exists(found.root)

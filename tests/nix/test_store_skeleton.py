"""An outline is looked at as the store would be: the same decisions, from a part of the bytes."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fakestore import FakeStore, Link, Node, Program, nar, store_path

from nix2oci.errors import OutputError, StoreError
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.closure_contents import ClosureContents
from nix2oci.model.shell_references import ReferenceKind, Scan
from nix2oci.model.tree import Entry
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.nar import nar_entries
from nix2oci.nix.scan import scan
from nix2oci.nix.store import store_entries
from nix2oci.nix.store_skeleton import BUDGET, SMALL, StoreSkeleton
from nix2oci.nix.survey import survey

ELF = b"\x7fELF\x02\x01 a program"
BASH_ELF = ELF + b"\0/no-such-path\0@(#)Bash version 5.2.15(1) release GNU\0"
BASH, LIB, APP, CERTS, TOOL = (
    store_path(name) for name in ("bash-5.2", "libc-2", "app-1", "certs-1", "tool-1")
)
SH = str(BASH).encode() + b"/bin/bash"
WRAPPER = b"#! " + SH + b' -e\nexport A=b\nexec "' + str(TOOL).encode() + b'/bin/tool"  "$@" \n'
PADDING = b"nothing of a shell " * 1000


@dataclass
class Remote:
    """Objects that are sent as NARs; `sent` counts how often."""

    closure: Closure
    nars: Mapping[StorePath, bytes]
    sent: Counter[str] = field(default_factory=Counter)

    def read(self, info: PathInfo) -> Iterator[Entry]:
        self.sent[info.path.name] += 1
        return nar_entries(info, iter([self.nars[info.path]]), "https://cache.test")

    def outline(
        self,
        root: Path,
        *,
        notes: FactCache | None = None,
        small: int = SMALL,
        budget: int = BUDGET,
    ) -> StoreSkeleton:
        outline = StoreSkeleton(
            self.closure, str(root), self.read, notes or FactCache(), small, budget
        )
        outline.materialize()
        return outline


@dataclass
class Sample:
    """The same closure in a store and elsewhere."""

    store: FakeStore
    nodes: dict[StorePath, Node] = field(default_factory=dict)

    def add(self, path: StorePath, node: Node, *references: StorePath) -> None:
        self.store.add(path.name, node, references)
        self.nodes[path] = node

    def remote(self, root: StorePath = APP) -> Remote:
        nars = {path: nar(node) for path, node in self.nodes.items()}
        return Remote(self.store.closure(root), nars)


@pytest.fixture
def sample(store: FakeStore) -> Sample:
    """An application with a wrapper, a script, and files of all kinds."""
    made = Sample(store)
    made.add(LIB, {b"lib": {b"ld-linux-x86-64.so.2": Program(ELF), b"libc.so.6": Program(PADDING)}})
    made.add(BASH, {b"bin": {b"bash": Program(BASH_ELF), b"sh": Link(b"bash")}}, LIB)
    made.add(TOOL, {b"bin": {b"tool": Program(ELF + PADDING)}}, LIB)
    made.add(CERTS, {b"etc": {b"ssl": {b"certs": {b"ca-bundle.crt": b"certificates"}}}})
    node: Node = {
        b"bin": {b"app": Program(WRAPPER), b"link": Link(str(TOOL).encode() + b"/bin/tool")},
        b"etc": {b"app.conf": b"shell = " + SH + b"\n", b"dir": {}},
        b"lib": {b"big": PADDING + SH + PADDING, b"none": PADDING, b"empty": b""},
        b"sbin": Link(SH),
    }
    made.add(APP, node, BASH, TOOL, CERTS)
    return made


def decided(
    closure: Closure,
    root: str,
    outline: StoreSkeleton | None = None,
    notes: FactCache | None = None,
) -> tuple[ClosureContents, Scan]:
    """All that is decided from what lies below a directory."""
    if outline is None:
        found = survey(closure, root)
        return found, scan(closure, [p.target for p in found.programs], root)
    found = survey(closure, root, notes, outline.fetch)
    return found, scan(closure, [p.target for p in found.programs], root, notes, outline.fetch)


LIMITS = [
    pytest.param(SMALL, BUDGET, id="everything is small"),
    pytest.param(500, BUDGET, id="small files are kept"),
    pytest.param(0, BUDGET, id="nothing is small"),
    pytest.param(SMALL, 0, id="there is no budget"),
    pytest.param(SMALL, 25_000, id="the budget is used up on the way"),
]


@pytest.mark.parametrize(("small", "budget"), LIMITS)
def test_decisions_are_those_of_the_store(
    sample: Sample, tmp_path: Path, small: int, budget: int
) -> None:
    remote = sample.remote()
    outline = remote.outline(tmp_path / "outline", small=small, budget=budget)
    expected = decided(remote.closure, sample.store.root)
    assert decided(remote.closure, outline.root, outline) == expected
    assert {ReferenceKind.SHEBANG, ReferenceKind.TEXT, ReferenceKind.LINK} <= {
        m.kind for m in expected[1].mentions
    }


@pytest.mark.parametrize(("small", "budget"), LIMITS)
def test_names_sizes_links_and_executable_bits_are_those_of_the_store(
    sample: Sample, tmp_path: Path, small: int, budget: int
) -> None:
    outline = sample.remote().outline(tmp_path / "outline", small=small, budget=budget)
    assert listing(outline.root) == listing(sample.store.root, but="outline")


def listing(top: str, but: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for directory, names, files in os.walk(top):
        names[:] = [name for name in names if name != but or directory != top]
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            what: object = status.st_size, bool(status.st_mode & 0o100)
            if stat.S_ISLNK(status.st_mode):
                what = os.readlink(path)
            elif stat.S_ISDIR(status.st_mode):
                what = "directory"
            found[os.path.relpath(path, top)] = what
    return found


def test_a_small_closure_is_sent_once(sample: Sample, tmp_path: Path) -> None:
    remote = sample.remote()
    outline = remote.outline(tmp_path / "outline")
    decided(remote.closure, outline.root, outline)
    assert set(remote.sent.values()) == {1}
    assert outline.whole == set(remote.closure)
    for info in remote.closure.infos.values():
        assert sum(1 for _ in store_entries(info, outline.root)) > 0


def test_content_that_was_not_kept_is_sent_again_once(sample: Sample, tmp_path: Path) -> None:
    remote = sample.remote()
    outline = remote.outline(tmp_path / "outline", small=0)
    assert outline.whole == set()
    decided(remote.closure, outline.root, outline)
    # The program of the root, and what names a shell, are kept in any case.
    get_or_compute = {"libc-2": 1, "app-1": 1}
    assert remote.sent == {**get_or_compute, "bash-5.2": 2, "tool-1": 2, "certs-1": 2}


def test_what_is_kept_of_a_large_object_is_little(sample: Sample, tmp_path: Path) -> None:
    remote = sample.remote()
    outline = remote.outline(tmp_path / "outline", small=500)
    kept = {
        str(path.relative_to(f"{outline.root}{APP}"))
        for path in Path(f"{outline.root}{APP}").rglob("*")
        if path.is_file() and not path.is_symlink() and path.read_bytes().strip(b"\0")
    }
    assert kept == {"bin/app", "etc/app.conf", "lib/big"}


@pytest.mark.parametrize("inside", [True, False], ids=["in a directory", "as the store path"])
def test_a_shell_that_is_one_by_a_roundabout_link_is_found(
    store: FakeStore, tmp_path: Path, *, inside: bool
) -> None:
    """`odd` is a shell through a link in `far`, which nothing says before all is drawn."""
    odd, far, user = (store_path(name) for name in ("odd-1", "far-1", "user-1"))
    made = Sample(store)
    made.add(odd, {b"bin": Link(str(far).encode() + b"/bin"), b"real": Program(BASH_ELF)})
    text = b"it names " + odd.hash_part.encode()
    made.add(user, {b"file": text} if inside else text, odd)
    made.add(far, {b"bin": {b"sh": Link(str(odd).encode() + b"/real")}}, user)
    made.add(APP, {}, far)
    remote = made.remote()
    outline = remote.outline(tmp_path / "outline", small=0)
    expected = scan(remote.closure, [], store.root)
    assert expected.shells == (odd,)
    assert scan(remote.closure, [], outline.root, fetch=outline.fetch) == expected
    assert remote.sent["user-1"] == 2


# --- a store that is not honest -----------------------------------------------------------------


def test_content_that_comes_later_is_checked_as_well(sample: Sample, tmp_path: Path) -> None:
    remote = sample.remote()
    outline = remote.outline(tmp_path / "outline", small=0)
    changed = nar({b"bin": {b"tool": Program(b"other".ljust(len(ELF + PADDING)))}})
    remote.nars = {**remote.nars, TOOL: changed}
    with pytest.raises(StoreError, match=r"cannot use .*-tool-1: what .* does not match the hash"):
        outline.fetch(f"{TOOL}/bin/tool".encode())


def test_an_object_that_changes_its_shape_writes_nothing_elsewhere(
    store: FakeStore, tmp_path: Path
) -> None:
    """First there are links out of the outline, then directories and files of their names."""
    outside = tmp_path / "outside"
    (outside / "bin").mkdir(parents=True)
    (outside / "bin" / "tool").write_text("mine")
    out = str(outside).encode()
    made = Sample(store)
    made.add(
        TOOL,
        {b"a": Link(out), b"bin": {b"tool": Program(ELF), b"x": Link(out + b"/bin/tool")}},
    )
    made.add(APP, {}, TOOL)
    remote = made.remote()
    outline = remote.outline(tmp_path / "outline", small=0)
    evil: Node = {b"a": {b"bin": {b"tool": b"evil"}}, b"bin": {b"tool": b"", b"x": b"evil"}}
    remote.nars = {TOOL: nar(evil)}
    outline.small = SMALL
    with pytest.raises((StoreError, OutputError)):
        outline.fetch(f"{TOOL}/bin/tool".encode())
    assert (outside / "bin" / "tool").read_text() == "mine"
    assert sorted(outside.rglob("*")) == [outside / "bin", outside / "bin" / "tool"]


def test_a_directory_that_cannot_be_written(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        sample.remote().outline(tmp_path / "file")
    assert str(caught.value) == f"cannot write to {tmp_path}/file: Not a directory"
    assert caught.value.hint == "TMPDIR may name another directory"


class Memory:
    """What one run leaves for the next."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}

    def read(self, name: str) -> dict[str, Any] | None:
        return self.known.get(name)

    def write(self, name: str, document: dict[str, Any]) -> None:
        self.known[name] = json.loads(json.dumps(document))


@pytest.mark.parametrize(("small", "budget"), LIMITS)
def test_what_was_noted_is_not_sent_for_again(
    sample: Sample, tmp_path: Path, small: int, budget: int
) -> None:
    fact_store, found = Memory(), []
    for run in ("first", "second"):
        remote, notes = sample.remote(), FactCache(fact_store)
        root = tmp_path / run
        outline = remote.outline(root, notes=notes, small=small, budget=budget)
        found.append(decided(remote.closure, outline.root, outline, notes))
        notes.commit(lambda _: True)
        assert bool(remote.sent) == (run == "first")
    assert found == [decided(sample.remote().closure, sample.store.root)] * 2
    assert listing(str(tmp_path / "second")) == listing(str(tmp_path / "first"))


def test_only_a_path_that_is_new_is_sent_for(sample: Sample, tmp_path: Path) -> None:
    fact_store = Memory()
    notes = FactCache(fact_store)
    remote = sample.remote()
    outline = remote.outline(tmp_path / "first", notes=notes)
    decided(remote.closure, outline.root, outline, notes)
    notes.commit(lambda _: True)
    new = store_path("app-2")
    sample.store.infos[:] = [info for info in sample.store.infos if info.path != APP]
    sample.add(new, {b"bin": {b"app": Program(WRAPPER)}}, BASH, TOOL, CERTS)
    remote, notes = sample.remote(new), FactCache(fact_store)
    outline = remote.outline(tmp_path / "second", notes=notes)
    decided(remote.closure, outline.root, outline, notes)
    assert set(remote.sent) == {"app-2"}

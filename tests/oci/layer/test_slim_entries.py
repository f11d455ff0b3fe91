"""The layers of a slim image: what is in them, what is still checked, and what is on record."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import FakeStore, Link, Node, Program, store_path

from nix2oci.errors import StoreError
from nix2oci.model.slim_rules import RULES, RuleSet
from nix2oci.model.tree import HardLink
from nix2oci.nix.store import LocalStore, store_layer
from nix2oci.oci.layer.slim_entries import slim_job
from nix2oci.oci.layer.tar import tar_blocks
from nix2oci.oci.layer.workers import LayerJob
from nix2oci.oci.spec import store_paths_digest
from nix2oci.oci.validate.layer_contents import LayerContents

APP = store_path("app-1")
LARGE = b"0123456789abcdef" * (1 << 17)  # 2 MiB, which no layer has in memory at once
ALL = RuleSet.of(RULES)


def job(store: FakeStore, rules: RuleSet = ALL) -> LayerJob:
    entries = store_layer(store.infos, LocalStore(store.root))
    return slim_job(LayerJob(entries, 0), rules, "/nix/store")


def tar_of(store: FakeStore, rules: RuleSet = ALL) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(tar_blocks(job(store, rules).entries))))


def names(store: FakeStore, rules: RuleSet = ALL) -> list[str]:
    """What is in the layer, within `app-1`."""
    top = f"{APP}/"[1:]
    with tar_of(store, rules) as tar:
        return [name.removeprefix(top) for name in tar.getnames() if name.startswith(top)]


@pytest.fixture
def store(tmp_path: Path) -> FakeStore:
    return FakeStore(tmp_path)


def test_what_a_rule_leaves_out_is_not_there_nor_are_its_directories(store: FakeStore) -> None:
    share: Node = {
        b"doc": {b"app": {b"README": b"x", b"copyright": b"MIT"}, b"other": {b"README": b"y"}},
        b"man": {b"man1": {b"app.1": b"x"}},
        b"empty": {},
        b"man.txt": b"x",
    }
    store.add(APP.name, {b"bin": {b"app": Program(b"x")}, b"share": share})
    assert names(store) == [
        *("bin", "bin/app", "share"),
        *("share/doc", "share/doc/app", "share/doc/app/copyright", "share/empty", "share/man.txt"),
    ]


def test_links_are_left_out_as_files_are(store: FakeStore) -> None:
    store.add(APP.name, {b"include": Link(b"/nix/store/x-dev/include"), b"lib": Link(b"lib64")})
    assert names(store) == ["lib"]


def test_equal_files_of_a_store_path_are_one(store: FakeStore) -> None:
    store.add(
        APP.name,
        {b"a": b"same", b"b": {b"c": b"same"}, b"d": Program(b"same"), b"e": b"else", b"f": b""},
    )
    store.add("app-2", {b"a": b"same", b"f": b"", b"g": b""})
    with tar_of(store, RuleSet.of(["duplicates"])) as tar:
        links = {m.name.rpartition("/")[2]: m.linkname for m in tar.getmembers() if m.islnk()}
    assert links == {"c": f"{APP}/a"[1:]}


@pytest.mark.parametrize(
    ("second", "is_link"),
    [
        pytest.param(LARGE, True, id="equal"),
        pytest.param(LARGE[:-1] + b"!", False, id="of the same size"),
        pytest.param(LARGE + b"!", False, id="longer"),
    ],
)
def test_a_large_file_is_compared_without_being_in_memory(
    store: FakeStore,
    second: bytes,
    is_link: bool,  # noqa: FBT001
) -> None:
    store.add(APP.name, {b"a": LARGE, b"b": second, b"c": b"after"})
    with tar_of(store) as tar:
        member = tar.getmember(f"{APP}/b"[1:])
        assert member.islnk() == is_link
        content = tar.extractfile(member)
        assert content
        assert content.read() == second
        last = tar.extractfile(f"{APP}/c"[1:])
        assert last
        assert last.read() == b"after"


@pytest.mark.parametrize("path", [b"share/man/app.1", b"bin/again", b"bin/app"])
def test_a_changed_file_is_found_whether_or_not_it_is_left_out(
    store: FakeStore, path: bytes
) -> None:
    node: Node = {
        b"bin": {b"again": b"same", b"app": b"same"},
        b"share": {b"man": {b"app.1": b"x"}},
    }
    info = store.add(APP.name, node)
    store.thaw(info)
    Path(store.physical(info.path, b"/" + path).decode()).write_bytes(b"evil")
    with pytest.raises(StoreError, match="do not match the hash that Nix recorded"):
        names(store)


NAMES = st.sampled_from([b"bin", b"share", b"man", b"doc", b"include", b"lib", b"a", b"LICENSE"])
FILES = st.sampled_from([b"", b"one", b"two"]) | st.builds(Program, st.sampled_from([b"one"]))
NODES = st.recursive(
    FILES | st.builds(Link, st.just(b"to")),
    lambda nodes: st.dictionaries(NAMES, nodes, max_size=4),
    max_leaves=12,
)
RULE_SETS = st.sets(st.sampled_from(sorted(RULES))).map(RuleSet.of)


@given(node=st.dictionaries(NAMES, NODES, max_size=4), rules=RULE_SETS)
def test_a_slim_layer_is_the_whole_one_without_what_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, node: Mapping[bytes, Node], rules: RuleSet
) -> None:
    store = FakeStore(tmp_path_factory.mktemp("store"))
    store.add(APP.name, node)
    with tar_of(store, RuleSet()) as whole, tar_of(store, rules) as slim:
        assert files_of(slim) == {
            name: found
            for name, found in files_of(whole).items()
            if not rules.leaves_out(name.removeprefix(f"{APP}/"[1:]).encode())
        }


def files_of(tar: tarfile.TarFile) -> dict[str, tuple[object, ...]]:
    """Files and links by name: mode, target and content, hard links followed."""
    found: dict[str, tuple[object, ...]] = {}
    for member in tar.getmembers():
        if not member.isdir():
            content = None if member.issym() else tar.extractfile(member)
            target = member.linkname if member.issym() else ""
            found[member.name] = (member.mode, target, content.read() if content else b"")
    return found


def test_a_layer_says_what_is_in_it(store: FakeStore) -> None:
    store.add(APP.name, {b"a": b"same", b"b": b"same", b"include": {b"a.h": b"x"}})
    made = job(store)
    blocks = [bytes(block) for block in tar_blocks(made.entries)]
    read = LayerContents("layer")
    read.read(blocks)
    assert made.slimmed
    assert made.slimmed() == str(store_paths_digest({**read.nar_hashes, **read.linked_hashes}))
    whole = {str(info.path): info.nar_hash for info in store.infos}
    assert made.slimmed() != str(store_paths_digest(whole))


def test_without_hard_links_what_is_on_record_is_the_nar_hash_of_what_is_left(
    store: FakeStore, tmp_path: Path
) -> None:
    store.add(APP.name, {b"a": b"x", b"include": {b"a.h": b"x"}})
    made = job(store, RuleSet.of(["dev"]))
    assert made.slimmed
    for _ in tar_blocks(made.entries):
        pass
    left = FakeStore(tmp_path / "left").add(APP.name, {b"a": b"x"})
    assert made.slimmed() == str(store_paths_digest({str(left.path): left.nar_hash}))


def test_a_hard_link_is_a_name_of_what_comes_before_it() -> None:
    data = b"".join(tar_blocks([HardLink(b"b", b"a", 0o555)]))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        (member,) = tar.getmembers()
    assert (member.islnk(), member.linkname, member.mode, member.size) == (True, "a", 0o555, 0)


def test_slimming_leaves_the_bytes_of_layers_without_rules_alone(store: FakeStore) -> None:
    store.add(APP.name, {b"a": b"x", b"share": {b"man": {b"x": b"y"}}})

    def digest(blocks: Iterable[memoryview]) -> str:
        return hashlib.sha256(b"".join(blocks)).hexdigest()

    plain = store_layer(store.infos, LocalStore(store.root))
    assert digest(tar_blocks(job(store, RuleSet()).entries)) == digest(tar_blocks(plain))

"""The view over a base image: where its entries land, and who has a path that both want."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fakestore import store_path

from nix2oci.errors import ConflictError, Nix2OCIError, RepresentationError
from nix2oci.model.closure_contents import ClosureContents, FoundFile
from nix2oci.model.tree import Directory, Entry, File, Owned, Symlink, Tree, text_file
from nix2oci.plan.overlay.lower_tree import LowerTree
from nix2oci.plan.overlay.overlay import Overlaid, lay_over
from nix2oci.plan.rootfs import rootfs
from nix2oci.plan.view_switches import ViewSwitches

APP = store_path("app-1")
TARGET = f"{APP}/bin/app".encode()
PROGRAM = FoundFile(b"app", TARGET, APP, b"app")
VIEW = rootfs(ClosureContents(programs=(PROGRAM,)), ViewSwitches())
LINK = Symlink(b"usr/bin/app", TARGET)


def lower(*entries: Entry) -> LowerTree:
    """A base with these entries and the directories above them."""
    tree = Tree.merge([Owned(entry, "base") for entry in entries])
    directories = {e.path: e for e in tree if isinstance(e, Directory)}
    links = {e.path: e.target for e in tree if isinstance(e, Symlink)}
    return LowerTree(directories, links, frozenset(e.path for e in tree if isinstance(e, File)))


def over(*entries: Entry, tree: Tree = VIEW) -> Overlaid:
    return lay_over(tree, lower(*entries), "/nix/store")


def etc(name: bytes, *, directory: bool = False) -> Tree:
    """A view whose output has something in etc/."""
    found = FoundFile(b"etc/" + name, f"{APP}/etc/".encode() + name, APP, b"x", directory)
    return rootfs(ClosureContents(places=(found,)), ViewSwitches())


def entries(found: Overlaid) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in found.tree}


def file(path: str) -> File:
    return text_file(path, "the base's")


def test_without_anything_below_the_view_is_itself() -> None:
    found = over()
    assert list(found.tree) == [entry for entry in VIEW if entry.path != b"."]
    assert (found.replaced, found.kept) == ({}, ())


@pytest.mark.parametrize(
    ("base", "path"),
    [
        pytest.param([Symlink(b"bin", b"usr/bin")], b"usr/bin/app", id="/bin -> usr/bin"),
        pytest.param(
            [Directory(b"bin", 0o755), Symlink(b"usr/bin", b"../bin")],
            b"bin/app",
            id="/usr/bin -> ../bin",
        ),
        pytest.param([Symlink(b"usr/bin", b"../bin")], b"bin/app", id="/usr/bin -> nowhere yet"),
        pytest.param([Symlink(b"usr/bin", b"/opt/bin")], b"opt/bin/app", id="/usr/bin -> /opt/bin"),
        pytest.param([Symlink(b"usr", b"system")], b"system/bin/app", id="/usr -> system"),
        pytest.param([Directory(b"bin", 0o755)], b"usr/bin/app", id="/bin of its own"),
    ],
)
def test_a_program_lands_behind_the_links_of_the_base(base: list[Entry], path: bytes) -> None:
    found = over(*base)
    assert entries(found)[path] == Symlink(path, TARGET)
    assert not {entry.path for entry in base if isinstance(entry, Symlink)} & entries(found).keys()
    assert found.replaced == {}


def test_all_of_etc_lands_behind_its_link() -> None:
    found = entries(over(Symlink(b"etc", b"/data/etc"), Directory(b"data/etc", 0o750, 1, 2)))
    assert {b"data/etc/passwd", b"data/etc/group", b"data/etc/nsswitch.conf"} <= found.keys()
    assert not any(path == b"etc" or path.startswith(b"etc/") for path in found)
    assert found[b"data/etc"] == Directory(b"data/etc", 0o750, 1, 2)
    assert found[b"data/etc/os-release"] == Symlink(b"data/etc/os-release", b"/usr/lib/os-release")


def test_a_directory_keeps_mode_and_owner_of_the_base() -> None:
    found = entries(over(Directory(b"usr/bin", 0o751, 3, 4), Directory(b"root", 0o755)))
    assert found[b"usr/bin"] == Directory(b"usr/bin", 0o751, 3, 4)
    assert b"root" not in found


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        pytest.param(b"etc/nsswitch.conf", file("etc/nsswitch.conf"), id="a file"),
        pytest.param(b"lib64", Symlink(b"lib64", b"usr/lib64"), id="a link that is another"),
        pytest.param(b"lib", Directory(b"lib", 0o755), id="a directory that is a link elsewhere"),
        pytest.param(b"etc/passwd", file("etc/passwd"), id="users to whom nobody is added"),
    ],
)
def test_what_every_image_has_is_left_to_the_base(path: bytes, entry: Entry) -> None:
    found = over(entry)
    assert path not in entries(found)
    assert (found.replaced, found.kept) == ({}, (path,))


@pytest.mark.parametrize("path", ["etc/os-release", "usr/lib/os-release"])
def test_a_base_with_one_os_release_has_no_other(path: str) -> None:
    found = over(file(path))
    assert not {b"etc/os-release", b"usr/lib/os-release"} & entries(found).keys()
    assert found.kept == (path.encode(),)


def test_the_loader_of_the_base_stays() -> None:
    loader = FoundFile(b"ld-linux.so.2", f"{APP}/lib/ld-linux.so.2".encode(), APP, b"ld")
    tree = rootfs(ClosureContents(loaders=(loader,)), ViewSwitches())
    found = over(Symlink(b"lib", b"usr/lib"), file("usr/lib/ld-linux.so.2"), tree=tree)
    assert found.kept == (b"lib", b"usr/lib/ld-linux.so.2")


def test_a_program_takes_the_place_of_the_bases_and_it_is_told() -> None:
    found = over(Symlink(b"bin", b"usr/bin"), file("usr/bin/app"))
    assert entries(found)[b"usr/bin/app"] == LINK
    assert found.replaced == {b"usr/bin/app": str(APP)}


def test_a_link_that_the_base_has_already_is_not_made_again() -> None:
    found = over(LINK)
    assert LINK.path not in entries(found)
    assert found.replaced == {}


def test_a_file_in_etc_takes_the_place_of_the_bases() -> None:
    found = over(file("etc/app.conf"), tree=etc(b"app.conf"))
    assert isinstance(entries(found)[b"etc/app.conf"], Symlink)
    assert found.replaced == {b"etc/app.conf": str(APP)}


@pytest.mark.parametrize(
    ("base", "tree", "path", "owners"),
    [
        pytest.param(
            Directory(b"etc/nginx", 0o755),
            etc(b"nginx", directory=True),
            "/etc/nginx",
            f"the base image (a directory) and {APP}",
            id="a directory of the base where an output has one thing",
        ),
        pytest.param(
            Directory(b"usr/bin/app", 0o755),
            VIEW,
            "/usr/bin/app",
            f"the base image (a directory) and {APP}",
            id="a directory of the base where a program is to be",
        ),
        pytest.param(
            file("usr"),
            VIEW,
            "/usr",
            "the base image (a file) and nix2oci's own /usr",
            id="a file of the base where a directory is to be",
        ),
    ],
)
def test_files_and_directories_do_not_mix(base: Entry, tree: Tree, path: str, owners: str) -> None:
    with pytest.raises(ConflictError) as raised:
        over(base, tree=tree)
    assert str(raised.value) == f"cannot place {path}: both {owners} provide it"
    assert bool(raised.value.hint) is (str(APP) in owners)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        pytest.param(
            Symlink(b"nix", b"/data/nix"),
            "cannot lay the store over the base image: its /nix is a link, no directory",
            id="/nix is a link",
        ),
        pytest.param(
            Symlink(b"nix/store", b"/s"),
            "cannot lay the store over the base image: its /nix/store is a link, no directory",
            id="/nix/store is a link",
        ),
        pytest.param(
            file("nix"),
            "cannot lay the store over the base image: its /nix is a file, no directory",
            id="/nix is a file",
        ),
        pytest.param(
            Symlink(b"usr/bin", f"{APP}/bin".encode()),
            "cannot place /usr/bin: the base image has a link there that leads into the store, "
            f"to {APP}/bin",
            id="/usr/bin leads into the store",
        ),
        pytest.param(
            Symlink(b"usr", b"usr"),
            "cannot place /usr: links of the base image lead in circles there",
            id="/usr leads to itself",
        ),
    ],
)
def test_a_base_that_is_in_the_way_is_refused(base: Entry, message: str) -> None:
    with pytest.raises(RepresentationError) as raised:
        over(base)
    assert str(raised.value) == message


def owned(entries: Iterable[Entry]) -> Tree:
    return Tree.merge([Owned(entry, "ours") for entry in entries])


def test_entries_of_the_store_are_not_touched() -> None:
    launcher = File(TARGET[1:], 3, (b"elf",), 0o555)
    mine = owned([Directory(b"nix", 0o755), Directory(b"nix/store", 0o755), launcher])
    found = over(Directory(b"nix", 0o700), Directory(b"nix/store", 0o1775, 0, 30000), tree=mine)
    assert entries(found)[b"nix"] == Directory(b"nix", 0o755)
    assert entries(found)[b"nix/store"] == Directory(b"nix/store", 0o755)
    assert entries(found)[TARGET[1:]] == launcher


def test_joined_files_are_written_where_the_bases_are() -> None:
    below = lower(Symlink(b"etc/passwd", b"/data/passwd"), file("data/passwd"))
    found = lay_over(VIEW, below, "/nix/store", {b"etc/passwd": b"both\n"})
    assert entries(found)[b"data/passwd"] == text_file("data/passwd", "both\n")
    assert b"etc/passwd" not in entries(found)
    assert found.replaced == {}


def test_a_joined_file_takes_the_place_of_a_link_into_the_store() -> None:
    inside = f"{APP}/etc/passwd".encode()
    below = lower(Symlink(b"etc/passwd", inside), file(inside[1:].decode()))
    found = lay_over(VIEW, below, "/nix/store", {b"etc/passwd": b"both\n"})
    assert entries(found)[b"etc/passwd"] == text_file("etc/passwd", "both\n")
    assert inside[1:] not in entries(found)


def test_a_relative_link_that_moves_leads_to_the_same_place() -> None:
    tree = owned([Symlink(b"etc/ssl/a", b"../b"), Symlink(b"etc/ssl/c", b"/d")])
    found = entries(over(Symlink(b"etc/ssl", b"/x/y/z"), tree=tree))
    assert found[b"x/y/z/a"] == Symlink(b"x/y/z/a", b"/etc/b")
    assert found[b"x/y/z/c"] == Symlink(b"x/y/z/c", b"/d")


PATHS = st.sampled_from(
    [
        *(b"bin", b"data", b"data/etc", b"etc", b"etc/os-release", b"etc/passwd", b"lib", b"sbin"),
        *(b"tmp", b"usr", b"usr/bin", b"usr/bin/app", b"usr/lib", b"usr/sbin", b"var/run"),
    ]
)
TARGETS = PATHS | PATHS.map(lambda path: b"/" + path) | st.sampled_from([b"..", b"../bin", b"/"])
BASES = st.lists(
    st.builds(Directory, PATHS, st.sampled_from([0o755, 0o700]), st.integers(0, 2))
    | st.builds(Symlink, PATHS, TARGETS)
    | PATHS.map(lambda path: file(path.decode())),
    max_size=6,
    unique_by=lambda entry: entry.path,
)


@given(BASES)
@settings(max_examples=300, deadline=None)
def test_on_any_base_the_program_is_found_and_no_link_or_directory_is_lost(
    base: list[Entry],
) -> None:
    try:
        below = lower(*base)
        found = lay_over(VIEW, below, "/nix/store")
    except Nix2OCIError:
        return
    ours = entries(found)
    assert not ours.keys() & below.directories.keys() - {
        path for path, directory in below.directories.items() if ours.get(path) == directory
    }
    hidden = ours.keys() & (below.links.keys() | below.files)
    assert hidden == found.replaced.keys()
    links = {path: entry.target for path, entry in ours.items() if isinstance(entry, Symlink)}
    both = LowerTree({}, {**below.links, **links}, frozenset())
    assert both.follow(b"usr/bin/app") == TARGET[1:]
    for path in found.kept:
        assert path in below
        assert ours.get(path) == below.directories.get(path) or path not in ours

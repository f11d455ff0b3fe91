"""What is replaced and what is dropped: a shell goes when nothing that stays names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path
from support.shell_cases import (
    APP,
    BASH,
    DASH,
    ELF,
    LIB,
    READLINE,
    RUNS,
    SMALL,
    TEMPLATE,
    TOOL,
    WRAPPED,
    WRAPPER,
    closure,
    decided,
    mention,
    scan_of,
    wrapper,
)

from nix2oci.errors import ConflictError, RepresentationError
from nix2oci.launcher.encoder import MAX_OPERATIONS
from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.shell_references import ReferenceKind, Scan
from nix2oci.model.tree import Directory, File, Owned, Symlink, Tree, text_file
from nix2oci.plan.shell import (
    Launchers,
    ShellDecision,
    decide,
    is_launcher,
    keep_all,
    make_launchers,
    no_launchers,
    with_launchers,
)
from nix2oci.plan.shell_mode import Mode
from nix2oci.wrappers.chain import File as ChainFile
from nix2oci.wrappers.chain import follow
from nix2oci.wrappers.refusal import Reason


def dropped(shells: ShellDecision) -> list[str]:
    return [info.path.name for info in shells.dropped]


# --- auto --------------------------------------------------------------------------------------


def test_a_shell_goes_with_what_only_it_needs() -> None:
    found = decided()
    assert dropped(found) == ["bash-5", "readline-8"]
    assert (found.saved, found.staying, found.droppable, found.broken) == (200, (), (), ())
    assert list(found.closure) == [APP, LIB]
    assert found.closure.infos[APP].references == (LIB,)
    assert replace(found.closure.infos[APP], references=(BASH, LIB)) == replace(
        SMALL.infos[APP], references=(BASH, LIB)
    )


def test_the_launcher_takes_the_wrappers_place() -> None:
    assert list(decided().launchers) == [f"{APP}/bin/app".encode()]
    assert all(map(is_launcher, decided().launchers.values()))


STAYS = [
    pytest.param(scan_of({"bin/app": RUNS}), ["bin/app"], id="a script that is no wrapper"),
    pytest.param(
        scan_of({"bin/app": WRAPPER, "bin/run": RUNS}), ["bin/run"], id="one of two scripts"
    ),
    pytest.param(
        scan_of({"bin/app": wrapper(target=f"{APP}/bin/run"), "bin/run": RUNS}),
        ["bin/run"],
        id="a script behind a wrapper",
    ),
    *(
        pytest.param(
            scan_of({"bin/app": WRAPPER}, [mention(APP, "x", kind)]), ["x"], id=f"a file: {kind}"
        )
        for kind in ReferenceKind
    ),
    pytest.param(
        scan_of({"bin/app": WRAPPER}, [mention(APP, "bin/app", ReferenceKind.TEXT)]),
        ["bin/app"],
        id="the wrapper itself names it in what it does",
    ),
    pytest.param(scan_of({"bin/app": wrapper(target=f"{APP}/gone")}), ["bin/app"], id="no target"),
    pytest.param(
        scan_of({"bin/app": WRAPPER}, [mention(LIB, "x", ReferenceKind.BINARY)]),
        ["x"],
        id="another path",
    ),
]


@pytest.mark.parametrize(("scan", "files"), STAYS)
def test_a_shell_stays_while_a_file_names_it(scan: Scan, files: list[str]) -> None:
    found = decided(scan=scan)
    (staying,) = found.staying
    assert (staying.shell, staying.wanted) == (BASH, "")
    assert [each.inside for each in staying.mentions] == files
    assert dropped(found) == []
    assert found.closure is SMALL
    assert [info.path.name for info in found.droppable] == ["bash-5", "readline-8"]


def test_wrappers_are_replaced_even_where_the_shell_stays() -> None:
    found = decided(scan=scan_of({"bin/app": WRAPPER, "bin/run": RUNS}))
    assert list(found.launchers) == [f"{APP}/bin/app".encode()]
    assert sorted(found.scripts) == [f"{APP}/bin/app".encode(), f"{APP}/bin/run".encode()]


def test_files_of_a_path_that_only_the_shell_needs_do_not_count() -> None:
    whole = closure({APP: [BASH], BASH: [TOOL], TOOL: [DASH], DASH: [BASH_LIKE]})
    mentions = [
        mention(TOOL, "x", ReferenceKind.SHEBANG, DASH),
        mention(DASH, "y", ReferenceKind.TEXT, BASH_LIKE),
    ]
    scan = scan_of({"bin/app": WRAPPER}, mentions, (BASH, BASH_LIKE, DASH))
    found = decided(whole, scan)
    assert dropped(found) == ["bash-5", "busybox-1", "dash-1", "tool-1"]
    assert found.staying == ()


BASH_LIKE = store_path("busybox-1")


def test_a_shell_that_another_shell_needs_stays_with_it() -> None:
    whole = closure({APP: [BASH], BASH: [DASH]})
    mentions = [mention(BASH, "x", ReferenceKind.TEXT, DASH)]
    found = decided(whole, scan_of({"bin/app": RUNS}, mentions, (BASH, DASH)))
    assert [each.shell for each in found.staying] == [BASH, DASH]


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.DROP])
def test_a_shell_that_is_wanted_stays_with_what_it_needs(mode: Mode) -> None:
    found = decided(mode=mode, wanted={BASH: "the configuration names it"})
    assert dropped(found) == []
    assert found.staying[0].wanted == "the configuration names it"


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.DROP])
def test_a_shell_that_is_an_output_stays(mode: Mode) -> None:
    whole = closure({APP: [LIB], BASH: [LIB]}, APP, BASH)
    found = decided(whole, Scan((BASH,)), mode)
    assert dropped(found) == []
    assert [(each.shell, each.wanted) for each in found.staying] == [
        (BASH, "it is an output that was named")
    ]


def test_what_is_wanted_and_would_have_no_referrer_keeps_all() -> None:
    whole = closure({APP: [DASH], DASH: [BASH]})
    scan = Scan((BASH, DASH), (mention(DASH, "x", ReferenceKind.TEXT),))
    found = decided(whole, scan, wanted={BASH: "--view sh asks for it"})
    assert dropped(found) == []


def test_a_shell_stays_with_what_only_it_refers_to_when_that_is_wanted() -> None:
    found = decided(wanted={READLINE: "the configuration names it"})
    assert dropped(found) == []
    assert [(each.shell, each.wanted) for each in found.staying] == [
        (BASH, "a path that the configuration names would be lost with it")
    ]


# --- the other modes ---------------------------------------------------------------------------


def test_drop_leaves_every_shell_out_and_names_what_breaks() -> None:
    scan = scan_of({"bin/app": WRAPPER, "bin/run": RUNS}, [mention(LIB, "x", ReferenceKind.BINARY)])
    found = decided(scan=scan, mode=Mode.DROP)
    assert dropped(found) == ["bash-5", "readline-8"]
    assert [each.inside for each in found.broken] == ["bin/run", "x"]
    assert (found.staying, found.droppable) == ((), ())


def test_keep_changes_nothing() -> None:
    assert keep_all(SMALL) == ShellDecision(Mode.KEEP, SMALL)


def test_forbid_is_as_auto_where_no_shell_stays() -> None:
    assert replace(decided(mode=Mode.FORBID), mode=Mode.AUTO) == decided()


FORBIDDEN = [
    pytest.param(
        scan_of(
            {"bin/run": RUNS},
            [mention(LIB, "x", ReferenceKind.TEXT), mention(APP, "y", ReferenceKind.LINK)],
        ),
        {},
        "bash-5 stays, 3 files name it",
        [
            f"{APP}/bin/run:2: shebang: run-line: {Reason.RUN_LINE.value} ('mkdir x')",
            f"{LIB}/x:7: text",
            f"{APP}/y: link",
        ],
        id="every file, with the reason of a script",
    ),
    pytest.param(
        scan_of({"bin/app": wrapper(target=f"{APP}/gone")}),
        {},
        "bash-5 stays, 1 file names it",
        [f"{APP}/bin/app: shebang: {APP}/gone: target-missing: there is nothing at this path"],
        id="a wrapper whose program is not there",
    ),
    pytest.param(
        WRAPPED,
        {BASH: "--view sh asks for it"},
        "bash-5 stays, 0 files name it",
        ["bash-5: --view sh asks for it"],
        id="a shell that is wanted",
    ),
]


@pytest.mark.parametrize(("scan", "wanted", "cause", "lines"), FORBIDDEN)
def test_forbid_names_every_file_that_needs_a_shell(
    scan: Scan, wanted: Mapping[StorePath, str], cause: str, lines: list[str]
) -> None:
    with pytest.raises(RepresentationError) as caught:
        decided(scan=scan, mode=Mode.FORBID, wanted=wanted)
    assert str(caught.value) == f"cannot make an image without a shell: {cause}"
    assert caught.value.hint == "\n  ".join(["what stands in the way:", *lines])


# --- launchers ---------------------------------------------------------------------------------


def test_a_machine_without_a_launcher_keeps_its_wrappers() -> None:
    found = decide(SMALL, WRAPPED, no_launchers(WRAPPED, "none"), Mode.AUTO, {})
    assert found.unmade == {f"{APP}/bin/app".encode(): "none"}
    assert dropped(found) == []


def test_a_wrapper_that_is_too_large_for_a_launcher_stays() -> None:
    scan = scan_of({"bin/app": wrapper(f"export A='{'x' * MAX_OPERATIONS}'")})
    made = make_launchers(scan, "x86_64", TEMPLATE)
    assert made.made == {}
    (cause,) = made.refused.values()
    assert cause.startswith(f"cannot make a launcher for {APP}/real: its operations take ")


def test_a_launcher_of_a_dropped_path_is_none_of_the_image() -> None:
    whole = closure({APP: [BASH], BASH: [TOOL], TOOL: [BASH_LIKE]})
    path = f"{TOOL}/w".encode()
    chains = {path: follow(path, {path: ChainFile(WRAPPER), f"{APP}/real".encode(): ELF}.get)}
    own = scan_of({"bin/app": WRAPPER})
    mentions = (*own.mentions, mention(TOOL, "w", ReferenceKind.SHEBANG, BASH_LIKE))
    scan = Scan((BASH, BASH_LIKE), mentions, {**own.scripts, **chains})
    assert list(decided(whole, scan).launchers) == [f"{APP}/bin/app".encode()]


def test_launchers_lie_in_the_view_in_directories_like_the_stores() -> None:
    tree = with_launchers(Tree.merge([]), decided())
    base = f"nix/store/{APP.base}".encode()
    (elf,) = decided().launchers.values()
    assert list(tree) == [
        Directory(b"nix", 0o755),
        Directory(b"nix/store", 0o755),
        Directory(base, 0o555),
        Directory(base + b"/bin", 0o555),
        File(base + b"/bin/app", len(elf), (elf,), 0o555),
    ]


def test_the_view_keeps_what_it_has() -> None:
    tree = Tree.merge([Owned(text_file("etc/x", "x"), "me")])
    assert with_launchers(tree, decided()).get(b"etc/x") == tree.get(b"etc/x")
    assert with_launchers(tree, keep_all(SMALL)) == tree


def test_a_view_that_has_something_there_is_in_conflict() -> None:
    tree = Tree.merge([Owned(Symlink(b"nix", b"elsewhere"), "somebody")])
    with pytest.raises(ConflictError) as caught:
        with_launchers(tree, decided())
    owner = f"the launcher for {APP}/bin/app"
    assert str(caught.value) == f"cannot place /nix: both somebody and {owner} provide it"


@pytest.mark.parametrize("data", [b"", b"\x7fELF", WRAPPER, b"N2OCIOP1", TEMPLATE[1:]])
def test_other_files_are_no_launchers(data: bytes) -> None:
    assert not is_launcher(data)


def test_programs_that_run_a_file_are_told_with_all_that_they_run() -> None:
    scan = scan_of({"bin/app": wrapper(target=f"{APP}/bin/run"), "bin/run": RUNS})
    found = decided(scan=replace(scan, programs=scan.scripts))
    app, run = (f"{APP}/bin/{name}".encode() for name in ("app", "run"))
    assert found.programs_of(found.staying[0].mentions) == {app: (app, run), run: (run,)}
    assert found.programs_of([mention(APP, "bin/run", ReferenceKind.TEXT)]) == {}


def test_a_program_that_is_the_shell_by_another_name_is_told_too() -> None:
    scan = scan_of({"bin/app": wrapper(target=f"{BASH}/bin/bash")})
    app = f"{APP}/bin/app".encode()
    files = {app: ChainFile(wrapper(target=f"{BASH}/bin/bash")), f"{BASH}/bin/bash".encode(): ELF}
    found = decided(scan=replace(scan, programs={app: follow(app, files.get)}))
    told = found.programs_of([mention(APP, "bin/app", ReferenceKind.TEXT)])
    assert told == {app: (app, f"{BASH}/bin/bash".encode())}


# --- properties --------------------------------------------------------------------------------

PATHS = [store_path(f"p-{number}") for number in range(7)]


@st.composite
def scans(draw: st.DrawFn) -> tuple[Closure, Scan, Launchers]:
    """A closure of up to seven paths, some of them shells, with mentions for some references."""
    edges: dict[StorePath, list[StorePath]] = {}
    for at, path in enumerate(PATHS):
        edges[path] = (
            draw(st.lists(st.sampled_from(PATHS[at + 1 :]), unique=True))
            if (PATHS[at + 1 :])
            else []
        )
    reached = {PATHS[0]}
    for path in PATHS:
        reached |= set(edges[path]) if path in reached else set()
    whole = closure({path: edges[path] for path in reached}, PATHS[0])
    shells = tuple(sorted(draw(st.sets(st.sampled_from(sorted(reached))))))
    kinds = st.sampled_from([ReferenceKind.SHEBANG, ReferenceKind.SHEBANG, ReferenceKind.TEXT])
    mentions = tuple(
        mention(path, f"{shell.name}-{number}", draw(kinds), shell)
        for path in sorted(reached)
        for shell in whole.references(path)
        if shell in shells
        for number in range(draw(st.integers(1, 2)))
    )
    replaced = [
        each.file for each in mentions if each.kind is ReferenceKind.SHEBANG and draw(st.booleans())
    ]
    return whole, Scan(shells, mentions), Launchers(dict.fromkeys(replaced, b""))


@given(scans())
def test_what_stays_is_just_what_is_reached_without_what_was_replaced(
    drawn: tuple[Closure, Scan, Launchers],
) -> None:
    whole, scan, launchers = drawn
    found = decide(whole, scan, launchers, Mode.AUTO, {})
    kept = set(found.closure)
    live = [
        m
        for m in scan.mentions
        if m.kind is not ReferenceKind.SHEBANG or m.file not in launchers.made
    ]
    for path in kept:
        for other in whole.references(path):
            if other not in scan.shells or any((m.owner, m.shell) == (path, other) for m in live):
                assert other in kept
    for path in kept - set(whole.roots):
        assert any(path in whole.references(other) for other in kept)
    for shell in kept.intersection(scan.shells) - set(whole.roots):
        assert any(m.shell == shell and m.owner in kept for m in live)
    assert found.broken == ()
    assert kept | {info.path for info in found.dropped} == set(whole)


@given(scans())
def test_drop_leaves_out_at_least_as_much(drawn: tuple[Closure, Scan, Launchers]) -> None:
    auto = decide(*drawn, Mode.AUTO, {})
    drop = decide(*drawn, Mode.DROP, {})
    assert set(drop.closure) == set(auto.closure) - {info.path for info in auto.droppable}
    assert set(drop.closure).isdisjoint(set(drawn[1].shells) - set(drawn[0].roots))
    assert {m.shell for m in drop.broken}.isdisjoint(drop.closure)

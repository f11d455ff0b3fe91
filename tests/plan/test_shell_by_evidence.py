"""What is dropped by proof, by evidence, and what a call of a shell keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shell_cases import APP, BASH, LIB, SMALL, TEMPLATE, WRAPPER, mention, scan_of

from nix2oci.errors import RepresentationError
from nix2oci.model.shell_references import (
    CallSite,
    Discounted,
    Evidence,
    ReferenceKind,
    ShellReference,
)
from nix2oci.model.tree import Owned, Symlink, Tree, Whiteout
from nix2oci.plan.shell import ShellDecision, decide, make_launchers, with_launchers
from nix2oci.plan.shell_mode import Mode

SCRIPT = mention(LIB, "etc/init.d/x", ReferenceKind.SHEBANG)
TEXT = mention(APP, "share/doc/x", ReferenceKind.TEXT)
CALL = CallSite(f"{APP}/lib/app.py".encode(), 7, "os.system", certain=True, feature="hooks")


def discounted(found: ShellReference, *, proof: bool = True) -> Discounted:
    is_script = found.kind is ReferenceKind.SHEBANG
    return Discounted(found, "rule", "it starts nothing", proof, is_script)


def decided(mode: Mode, evidence: Evidence, *mentions: ShellReference) -> ShellDecision:
    scan = scan_of({"bin/app": WRAPPER}, mentions or (SCRIPT, TEXT))
    return decide(
        SMALL, scan, make_launchers(scan, "x86_64", TEMPLATE), mode, {}, evidence=evidence
    )


def dropped(found: ShellDecision) -> list[str]:
    return [info.path.name for info in found.dropped]


BOTH = Evidence((discounted(SCRIPT), discounted(TEXT)))
GONE = ["bash-5", "readline-8"]


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.EVIDENT, Mode.FORBID])
def test_what_does_not_count_by_proof_keeps_no_shell(mode: Mode) -> None:
    found = decided(mode, BOTH)
    assert dropped(found) == GONE
    assert (found.staying, found.broken, found.discounted) == ((), (), BOTH.discounted)
    assert found.hidden == (SCRIPT.file,)


@pytest.mark.parametrize(("mode", "gone"), [(Mode.AUTO, []), (Mode.EVIDENT, GONE)])
def test_evidence_is_for_evident_alone(mode: Mode, gone: list[str]) -> None:
    found = decided(mode, Evidence((discounted(SCRIPT), discounted(TEXT, proof=False))))
    assert dropped(found) == gone
    assert [each.mentions for each in found.staying] == ([] if gone else [(TEXT,)])
    assert bool(found.hidden) == bool(gone)


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.EVIDENT])
def test_a_call_keeps_the_shell_whatever_names_it(mode: Mode) -> None:
    found = decided(mode, Evidence(BOTH.discounted, (CALL,)))
    assert dropped(found) == []
    (staying,) = found.staying
    assert (staying.shell, staying.wanted, staying.calls) == (BASH, "", (CALL,))
    assert (found.discounted, found.hidden) == ((), ())
    assert [info.path.name for info in found.droppable] == GONE


def test_forbid_names_the_call() -> None:
    with pytest.raises(RepresentationError) as caught:
        decided(Mode.FORBID, Evidence(BOTH.discounted, (CALL,)))
    assert (caught.value.hint or "").splitlines()[
        -1
    ] == "  app-1/lib/app.py:7 calls os.system (hooks)"


def test_drop_asks_for_no_evidence() -> None:
    found = decided(Mode.DROP, Evidence(BOTH.discounted, (CALL,)))
    assert dropped(found) == GONE
    assert [each.file for each in found.broken] == [SCRIPT.file, TEXT.file]
    assert found.hidden == ()


def test_what_is_hidden_has_a_mark_and_no_link_of_the_root() -> None:
    tree = Tree.merge([Owned(Symlink(b"etc/x", SCRIPT.file), "lib")])
    hidden = with_launchers(tree, decided(Mode.AUTO, BOTH))
    assert hidden.get(b"etc/x") is None
    mark = Whiteout.of(SCRIPT.file[1:])
    assert hidden.get(mark.path) == mark


def test_links_that_lead_to_what_is_hidden_are_hidden() -> None:
    other = f"{APP}/etc/x".encode()
    evidence = Evidence(BOTH.discounted, links={SCRIPT.file: (other,)})
    assert decided(Mode.AUTO, evidence).hidden == tuple(sorted((SCRIPT.file, other)))


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6), st.sampled_from([(), (CALL,)])
)
def test_whatever_auto_drops_evident_drops(
    found: list[tuple[bool, bool]], calls: tuple[CallSite, ...]
) -> None:
    mentions = [mention(LIB, f"x{n}", ReferenceKind.TEXT) for n in range(len(found))]
    answers = tuple(
        discounted(each, proof=proof)
        for each, (is_known, proof) in zip(mentions, found, strict=True)
        if is_known
    )
    evidence = Evidence(answers, calls)
    auto, evident = (decided(mode, evidence, *mentions) for mode in (Mode.AUTO, Mode.EVIDENT))
    assert set(dropped(auto)) <= set(dropped(evident))
    assert not (calls and dropped(evident))

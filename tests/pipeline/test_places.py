"""What packages have for the root beside bin/: at its place, or the build says that it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.bases import base
from support.fakestore import Link, Node, Program
from support.several import flags_of, flake_of, listed, out_of
from support.smallimage import directory, entry, link

ELF = Program(b"\x7fELF")
APP: dict[bytes, Node] = {b"bin": {b"app": ELF}}


def to(package: str, path: str) -> str:
    return f"-> {out_of(package)}/{path}"


DIR = "0755 0:0 dir"
SHOWN = [
    pytest.param(
        {"a": {b"srv": {b"www": {b"x": b""}}, b"usr": {b"local": {b"bin": {b"t": ELF}}}}},
        {"/srv": to("a", "srv"), "/usr/local": to("a", "usr/local"), "/usr": DIR},
        id="what one package alone has is one link",
    ),
    pytest.param(
        {"a": {b"srv": {b"a": {b"x": b""}}}, "b": {b"srv": {b"b": {b"y": b""}}}},
        {"/srv": DIR, "/srv/a": to("a", "srv/a"), "/srv/b": to("b", "srv/b")},
        id="a directory of two is a real one",
    ),
    pytest.param(
        {"a": {b"var": {b"lib": {b"a": {b"x": b""}}, b"www": {b"y": b""}}, b"opt": {}}},
        {
            "/var/lib": DIR,
            "/var/lib/a": DIR,
            "/var/lib/a/x": to("a", "var/lib/a/x"),
            "/var/www": to("a", "var/www"),
            "/opt": DIR,
        },
        id="directories for state, and empty ones, are real ones",
    ),
    pytest.param(
        {"a": {b"home": {b"nonroot": {b".x": b""}}, b"root": {b".x": b""}}},
        {
            "/home/nonroot": "0700 65532:65532 dir",
            "/home/nonroot/.x": to("a", "home/nonroot/.x"),
            "/root": "0700 0:0 dir",
            "/root/.x": to("a", "root/.x"),
        },
        id="homes keep their owners and modes",
    ),
    pytest.param(
        {"a": {b"usr": {b"bin": {b"env": ELF}, b"sbin": {b"d": ELF}}, b"sbin": {b"e": ELF}}},
        {
            "/usr/bin/env": to("a", "usr/bin/env"),
            "/usr/bin/d": to("a", "usr/sbin/d"),
            "/usr/bin/e": to("a", "sbin/e"),
        },
        id="programs of all directories of programs are in one",
    ),
    pytest.param(
        {"a": {b"index.html": b"x", b"init": Link(b"/usr/bin/app")}},
        {"/index.html": to("a", "index.html"), "/init": to("a", "init")},
        id="files and links at the top",
    ),
    pytest.param(
        {"a": {b"srv": {b"x": b"same"}}, "b": {b"srv": {b"x": b"same"}}},
        {"/srv/x": to("a", "srv/x")},
        id="equal files of two are one",
    ),
]


@pytest.mark.parametrize(("more", "expected"), SHOWN)
def test_at_its_place(tmp_path: Path, more: Mapping[str, Node], expected: dict[str, str]) -> None:
    packages = {"app": APP, **more}
    found = listed(flake_of(tmp_path, packages), *flags_of(packages))
    assert {path: found.get(path) for path in expected} == expected


WWW: dict[bytes, Node] = {b"srv": {b"www": {b"index.html": b"x", b"css": {b"a": b""}}}}
INSIDE = [
    pytest.param(
        "volumes: [/srv/www/uploads]",
        {"/srv/www/uploads": "0755 65532:65532 dir", "/srv/www": DIR},
        id="a volume inside",
    ),
    pytest.param(
        "volumes: [/srv/www]",
        {"/srv/www": "0755 65532:65532 dir", "/srv": DIR},
        id="a volume that the package has something for",
    ),
    pytest.param("workdir: /srv/www/new", {"/srv/www/new": "0755 65532:65532 dir"}, id="workdir"),
    pytest.param(
        "users: [{name: w, uid: 7, home: /srv/www/w}]",
        {"/srv/www/w": "0700 7:7 dir"},
        id="a home inside",
    ),
    pytest.param(
        "users: [{name: w, uid: 7, home: /srv/www}]", {"/srv/www": "0700 7:7 dir"}, id="a home"
    ),
    pytest.param(
        "files: {/srv/www/more.html: {text: y}}",
        {"/srv/www/more.html": "0644 0:0 y"},
        id="a file of `files` inside",
    ),
    pytest.param(
        "files: {/srv/www: {directory: true, owner: '7'}}",
        {"/srv/www": "0755 7:7 dir"},
        id="the directory in `files`",
    ),
]


@pytest.mark.parametrize(("settings", "expected"), INSIDE)
def test_a_directory_in_which_something_is_placed_is_a_real_one(
    tmp_path: Path, settings: str, expected: dict[str, str]
) -> None:
    packages = {"app": APP, "site": WWW}
    found = listed(flake_of(tmp_path, packages, settings), *flags_of(packages))
    expected |= {
        "/srv/www/index.html": to("site", "srv/www/index.html"),
        "/srv/www/css": to("site", "srv/www/css"),
    }
    assert {path: found.get(path) for path in expected} == expected


def test_the_working_directory_that_a_package_has_is_there_already(tmp_path: Path) -> None:
    packages = {"app": APP, "site": WWW}
    found = listed(flake_of(tmp_path, packages, "workdir: /srv/www"), *flags_of(packages))
    assert found["/srv/www"] == to("site", "srv/www")


def test_over_a_base_its_directories_and_links_to_them_are_real_ones(tmp_path: Path) -> None:
    more: Node = {
        b"srv": {b"www": {b"x": b""}},
        b"opt": {b"o": {b"z": b""}},
        b"etc": {b"d": {b"y": b""}},
    }
    packages = {"app": APP, "more": more}
    terminal = flake_of(tmp_path, packages)
    base(
        *(directory("etc"), directory("etc/d", 0o750), entry("etc/d/theirs", b"")),
        *(directory("data"), directory("data/srv", 0o700), link("srv", "data/srv")),
        *(directory("opt"), entry("opt/theirs", b"")),
    ).write(terminal.directory / "base.oci")
    found = listed(terminal, *flags_of(packages), "--base", "base.oci:1.0")
    expected = {
        "/srv": "-> data/srv",
        "/data/srv": "0700 0:0 dir",
        "/data/srv/www": to("more", "srv/www"),
        "/opt/theirs": "0555 0:0 ",
        "/opt/o": to("more", "opt/o"),
        "/etc/d": "0750 0:0 dir",
        "/etc/d/y": to("more", "etc/d/y"),
        "/etc/d/theirs": "0555 0:0 ",
    }
    assert {path: found.get(path, "")[: len(said)] for path, said in expected.items()} == expected


def test_over_an_image_of_its_own_the_links_are_the_same(tmp_path: Path) -> None:
    packages: dict[str, Node] = {"app": {**APP, **WWW, b"etc": {b"d": {b"x": b""}}}}
    terminal = flake_of(tmp_path, packages)
    first = listed(terminal, *flags_of(packages))
    assert terminal.run("build", ".#app", "-o", "../base", "--tag", "1").returncode == 0
    assert listed(terminal, *flags_of(packages), "--base", "../base:1") == first


def test_places_can_be_switched_off(tmp_path: Path) -> None:
    packages: dict[str, Node] = {"app": {**APP, **WWW, b"etc": {b"x": b""}}}
    terminal = flake_of(tmp_path, packages)
    found = listed(terminal, *flags_of(packages), "--view", "no-places")
    assert "/srv" not in found
    assert found["/etc/x"] == to("app", "etc/x")


# --- two packages that want one path ----------------------------------------------------------

BOTH: dict[str, Node] = {
    "app": {b"bin": {b"app": ELF, b"ls": Program(b"\x7fELF1")}, b"opt": {b"x": b"1"}},
    "more": {b"bin": {b"ls": Program(b"\x7fELF2")}, b"opt": {b"x": b"2"}, b"etc": {b"y": b"2"}},
}
HINT = (
    "hint: leave one of them out, give one a lower meta.priority in the flake (lib.hiPrio), "
    "or say in 'files' what is there; all such links are left out with: --view no-"
)


@pytest.mark.parametrize(
    ("priorities", "winner"),
    [
        pytest.param({"app": 4}, "app", id="lower than what is not said"),
        pytest.param({"more": -10, "app": 4}, "more", id="lib.hiPrio"),
        pytest.param({"app": 10}, "more", id="lib.lowPrio: what is not said is 5"),
    ],
)
def test_the_lower_priority_wins(tmp_path: Path, priorities: dict[str, int], winner: str) -> None:
    terminal = flake_of(tmp_path, BOTH, priorities=priorities)
    found = listed(terminal, *flags_of(BOTH))
    assert found["/usr/bin/ls"] == to(winner, "bin/ls")
    assert found["/opt/x"] == to(winner, "opt/x")
    assert found["/etc/y"] == to("more", "etc/y")
    done = terminal.run("build", *flags_of(BOTH), "-o", "../y", "--json", "--entrypoint", "ls")
    assert json.loads(done.stdout)["entrypoint"] == [f"{out_of(winner)}/bin/ls"]


@pytest.mark.parametrize("priorities", [{}, {"app": 7, "more": 7}])
def test_a_tie_is_an_error_with_the_way_out(tmp_path: Path, priorities: dict[str, int]) -> None:
    terminal = flake_of(tmp_path, BOTH, priorities=priorities)
    done = terminal.run("build", *flags_of(BOTH), "-o", "../x")
    both = sorted((out_of("app"), out_of("more")), key=lambda path: path[44:])
    assert (done.returncode, done.stdout) == (5, "")
    assert f"cannot place /opt/x: both {both[0]} and {both[1]} provide it\n" in done.stderr or (
        f"cannot place /usr/bin/ls: both {both[0]} and {both[1]} provide it\n" in done.stderr
    )
    assert HINT in done.stderr
    settings = "files: {/usr/bin/ls: {text: x}, /opt/x: {text: x}}"
    (terminal.directory / "nix2oci.yaml").write_text(settings)
    assert terminal.run("build", *flags_of(BOTH), "-o", "../x").returncode == 0


def test_two_programs_of_one_package_are_named(tmp_path: Path) -> None:
    packages: dict[str, Node] = {"app": {b"bin": {b"x": ELF}, b"usr": {b"bin": {b"x": Program()}}}}
    done = flake_of(tmp_path, packages).run("build", ".#app", "-o", "../x", "--entrypoint", "x")
    out = out_of("app")
    assert f"/usr/bin/x: both {out}/bin/x and {out}/usr/bin/x provide it" in done.stderr


# --- what is as it was ------------------------------------------------------------------------

PLAIN: Node = {
    **APP,
    b"etc": {b"app": {b"x": b"1"}, b"hosts": b"", b"empty": {}},
    **{name: {b"x": b"1"} for name in (b"share", b"lib", b"nix-support")},
}


def test_an_image_with_nothing_of_it_has_the_bytes_that_it_had(tmp_path: Path) -> None:
    packages = {"app": PLAIN, "more": {b"etc": {b"app": {b"y": b"2"}}}}
    terminal = flake_of(tmp_path, packages)
    done = terminal.run("build", *flags_of(packages), "-o", "../x", "--json")
    *_, last = json.loads(done.stdout)["layers"]
    was = "cdd0af94b23e74316eb8565ae49b3f2cb2c5f07e8f1673028654a708982f114f"
    assert last["diff_id"] == f"sha256:{was}"


# --- what is not shown ------------------------------------------------------------------------

TOLD = [
    pytest.param(
        {b"bin": {b"m": ELF}, b"share": {b"x": b""}, b"lib": {}}, "", id="nothing of a package"
    ),
    pytest.param(
        {b"share": {b"x": b""}}, "share, in the store alone", id="all of what is furniture alone"
    ),
    pytest.param(
        {b"srv": {b"x": b""}, b"share": {}}, "share, in the store alone", id="beside what is shown"
    ),
    pytest.param(
        {b"bin": {b"m": ELF}, b"usr": {b"share": {}}},
        "usr/share, in the store alone",
        id="below usr/",
    ),
    pytest.param(
        {b"run": {b"x": b""}, b"var": {b"tmp": {b"x": b""}}, b"tmp": {}},
        "run, tmp, var/tmp, in the store alone: engines mount over such directories",
        id="what is mounted over",
    ),
    pytest.param(
        {b"nix": {b"var": {}}, b"srv": Link(b"/srv")},
        "nix, srv, in the store alone: the root has another directory there",
        id="what would be in the way",
    ),
]


@pytest.mark.parametrize(("more", "said"), TOLD)
def test_what_is_not_shown_is_told(tmp_path: Path, more: Node, said: str) -> None:
    packages = {"app": APP, "more": more}
    done = flake_of(tmp_path, packages).run("build", *flags_of(packages), "-o", "../x")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "also has" in line]
    assert told == ([f"nix2oci: more-1.0 also has {said}"] if said else [])


def test_with_v_the_furniture_of_packages_is_told_too(tmp_path: Path) -> None:
    packages: dict[str, Node] = {"app": {**APP, b"share": {}}}
    done = flake_of(tmp_path, packages).run("build", ".#app", "-o", "../x", "-v")
    assert "app-1.0 also has share, in the store alone\n" in done.stderr

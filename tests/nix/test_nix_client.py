"""Which commands nix is run with, and how few."""

import json
from pathlib import Path

import pytest
from support.fakenix import (
    DRV,
    OUT,
    SOURCE,
    SYSTEM,
    FakeNix,
    fails,
    info,
    joint,
    make,
    missing,
    value,
)
from support.paths import DATA

from nix2oci.errors import (
    NixError,
)
from nix2oci.model.closure import StorePath
from nix2oci.nix.package import EVAL_EXPRESSION

RECORDED = DATA / "nix"
UNCACHED = ["--option", "eval-cache", "false"]
OUTPUTS = ["--option", "system", "no-system", "--option", "extra-extra-platforms", SYSTEM]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
EVAL, MADE = ["eval --json"], ["build --json", "path-info --json"]
LIBRARY = "/nix/store/ai6vwhbrg1fgxn289gkabgn3d4hhfxa3-library-1.2"
PROGRAM = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-program-3.0"


@pytest.fixture
def fake(tmp_path: Path) -> FakeNix:
    return FakeNix(tmp_path)


def test_three_calls_are_all(fake: FakeNix) -> None:
    built, closure = make(fake.nix())
    assert built[0].roots == (StorePath.parse(OUT),)
    assert closure.roots == (StorePath.parse(OUT),)
    store = ["--store", str(fake.root)]
    asked, build, path_info = fake.calls
    link = build[build.index("--out-link") + 1]
    assert [*asked[:-4], asked[-2], asked[-1]] == [
        *("eval", "--json", *store, *OUTPUTS, *UNCACHED, "--", '.#""'),
    ]
    assert EVAL_EXPRESSION in asked[-3]
    assert f'[ "packages" "{SYSTEM}" "app" ]' in asked[-3]
    assert build == ["build", "--json", *store, "--out-link", link, "--", f"{DRV}^out"]
    assert path_info == [
        *("path-info", "--json", "--recursive", *store, "--json-format", "1", "--", OUT)
    ]
    assert not Path(link).parent.exists()
    assert fake.shown == []


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([".#app"], [*EVAL, *MADE], id="a flake here, of which git knows the commit"),
        pytest.param(["path:.#app"], [*EVAL, *MADE], id="a flake that is copied"),
        pytest.param([OUT], MADE, id="a store path, which is not evaluated"),
        pytest.param([".#app", ".#other"], [*EVAL, *EVAL, *MADE], id="each evaluation by itself"),
        pytest.param(
            ["github:o/r#app"], ["flake metadata", *EVAL, *MADE], id="a flake that lies elsewhere"
        ),
        pytest.param(
            ["github:o/r#app", "github:o/r#tool"],
            ["flake metadata", *EVAL, *EVAL, *MADE],
            id="which is asked for once",
        ),
        pytest.param(
            [f"github:o/r/{COMMIT}#app"], [*EVAL, *MADE], id="which says itself what it is"
        ),
    ],
)
def test_what_nix_is_started_for(fake: FakeNix, texts: list[str], expected: list[str]) -> None:
    answers = [{"drvPath": DRV, "outputs": {"out": OUT}}, OUT]
    fake.answer("build --json", json.dumps(answers))
    make(fake.nix(), *texts)
    assert [" ".join(call[:2]) for call in fake.calls] == expected


GIT = {"type": "git", "url": "https://h/r", "rev": COMMIT, "narHash": "sha256-x", "revCount": 1}


@pytest.mark.parametrize(
    ("locked", "asked"),
    [
        pytest.param(
            {**GIT, "ref": "main", "lastModified": 1, "__final": True},
            f"git+https://h/r?ref=main&rev={COMMIT}",
            id="by the commit that it is",
        ),
        pytest.param(
            {"type": "github", "owner": "o", "repo": "r", "rev": COMMIT, "dir": "a"},
            f"github:o/r/{COMMIT}?dir=a",
            id="and by its directory",
        ),
        pytest.param({**GIT, "lfs": True}, "r", id="by its name where a reference says less"),
        pytest.param({**GIT, "rev": ""}, "r", id="where it is no commit"),
        pytest.param(
            {"type": "github", "rev": COMMIT}, "r", id="where nobody knows the repository"
        ),
        pytest.param([GIT], "r", id="where it is no attributes"),
        pytest.param(
            {"type": "tarball", "url": "https://h/r.tar.gz", "narHash": "sha256-x"},
            "r",
            id="where a reference would lose its time",
        ),
    ],
)
def test_what_only_nix_can_find_is_evaluated(fake: FakeNix, locked: object, asked: str) -> None:
    Path(f"{fake.root}{SOURCE}").mkdir()
    resolved = {"type": "github", "owner": "o", "repo": "r"}
    said = {"path": SOURCE, "resolved": resolved, "locked": locked}
    fake.answer("flake metadata", json.dumps(said))
    fake.answer('#""', joint(value()))
    make(fake.nix(), "r#app", "r#tool")
    assert [call[-1] for call in fake.calls[:3]] == ["r", f'{asked}#""', f'{asked}#""']


def test_where_a_question_may_not_fetch_metadata_is_asked(fake: FakeNix) -> None:
    fake.answer("fetchTree", stderr="error: access to URI 'x' is forbidden\n", code=1)
    fake.answer('#""', joint(value()))
    make(fake.nix(), f"github:o/r/{COMMIT}#app")
    assert [" ".join(call[:2]) for call in fake.calls] == [*EVAL, *EVAL, "flake metadata", *MADE]
    assert fake.shown == []


def test_what_all_outputs_do_not_tell_is_asked_one_by_one(fake: FakeNix) -> None:
    """Impure evaluation sees the system, and to 2.16 Nix knows all outputs by no other name."""
    fake.answer(".#.", stderr=missing("packages.x86_64-linux.."), code=1)
    make(fake.nix("--impure"))
    assert [call[-1] for call in fake.calls[:4]] == [
        *(".#.", ".#app", f".#apps.{SYSTEM}.app"),
        "--version",
    ]
    assert not any("no-system" in call for call in fake.calls)


def test_what_has_to_be_built_for_a_system_that_is_none_is_asked_one_by_one(fake: FakeNix) -> None:
    """By a daemon, for example, that takes no platforms from this user."""
    refused = "error: a 'x86_64-linux' with features {} is required, but I am a 'no-system'\n"
    fake.answer('#""', stderr=refused, code=1)
    make(fake.nix())
    assert [call[-1] for call in fake.calls[:3]] == ['.#""', ".#app", f".#apps.{SYSTEM}.app"]
    assert fake.shown == []


def test_each_command_gets_the_options_that_it_knows(fake: FakeNix) -> None:
    store = ("--store", str(fake.root), "--option", "cores", "2", "--max-jobs", "1", "--offline")
    flake = ("--override-input", "a", "path:/b", "--no-write-lock-file")
    make(fake.nix(*store, *flake, "--eval-store", "auto"), "github:o/r#app")
    metadata, package, build, path_info = fake.calls
    assert metadata[3:-2] == [*store, *flake, "--eval-store", "auto"]
    assert package[2:-4] == [*store, *flake, "--eval-store", "auto", *OUTPUTS, *UNCACHED]
    assert build[2:-4] == [*store, "--eval-store", "auto"]
    assert path_info[3:-4] == list(store)


@pytest.mark.parametrize(
    "text",
    [
        "-x",
        "--help",
        ".#a b",
        ".#$(touch pwned)",
        ".#`touch pwned`; touch pwned #",
        "path:/x?dir=a b#'q\"",
        "-o#^",
        "*#*",
    ],
)
def test_an_installable_is_one_argument_and_no_option(fake: FakeNix, text: str) -> None:
    text = text.removesuffix("^")
    ref, _, attr = text.partition("#")
    fake.answer('#""', stderr=missing("x"), code=1)
    make(fake.nix("--system", SYSTEM), f"{text}^out")
    asked = [call[-2:] for call in fake.calls if call[0] == "eval"]
    assert asked == [
        ["--", f'{ref}#""'],
        ["--", f"{ref}#{attr}"],
        ["--", f"{ref}#apps.{SYSTEM}.{attr or 'default'}"],
    ]
    assert not Path("pwned").exists()
    assert not (fake.directory / "pwned").exists()


def test_an_attribute_of_a_file(fake: FakeNix) -> None:
    nix = fake.nix("--system", SYSTEM)
    found = nix.evaluate(nix.installable("-a.b", file="-f.nix"))
    assert (found.name, found.version, found.revision) == ("app", "1.0", "")
    (call,) = fake.calls
    assert [*call[-6:-3], *call[-2:]] == ["--file", "-f.nix", "--apply", "--", "-a.b"]
    assert EVAL_EXPRESSION in call[-3]


def test_a_link_to_a_store_path(fake: FakeNix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fake.directory)
    Path("result").symlink_to(OUT)
    nix = fake.nix("--system", SYSTEM)
    for text in ("result", "./result", str(fake.directory / "result"), OUT):
        installable = nix.installable(text)
        assert (installable.kind, installable.store_path) == ("path", OUT)
    assert nix.evaluate(nix.installable("result")).wanted[0].path == OUT
    assert fake.calls == []


def test_the_system_that_is_asked_for_goes_without_a_call(fake: FakeNix) -> None:
    assert fake.nix("--system", "aarch64-linux").system() == "aarch64-linux"
    assert fake.nix("--option", "system", "aarch64-linux").system() == "aarch64-linux"
    assert fake.calls == []


def test_another_system_is_evaluated_and_not_what_the_machine_is_taken_for(fake: FakeNix) -> None:
    fake.answer('#""', stderr=missing("x"), code=1)
    nix = fake.nix().for_system("aarch64-linux")
    assert nix.system() == "aarch64-linux"
    make(nix)
    assert '[ "packages" "aarch64-linux" "app" ]' in fake.calls[0][-3]
    with_system = [call[0] for call in fake.calls if "--system" in call]
    assert with_system == ["eval", "eval"]


MAC = "aarch64-darwin"


def test_on_a_mac_linux_of_its_processor_is_evaluated_and_that_is_said_once(fake: FakeNix) -> None:
    fake.answer('#""', stderr=missing("x"), code=1)
    fake.answer("build --json", json.dumps([{"drvPath": DRV, "outputs": {"out": OUT}}, OUT]))
    nix = fake.nix(NIX_CONFIG=f"system = {MAC}")
    make(nix, ".#app", OUT)
    assert nix.system() == "aarch64-linux"
    assert fake.said == ["building for aarch64-linux, as images hold Linux programs"]
    with_system = [call for call in fake.calls if "--system" in call]
    assert {call[call.index("--system") + 1] for call in with_system} == {"aarch64-linux"}
    asked = [call[-1] for call in with_system]
    assert asked == [".#app", ".#apps.aarch64-linux.app"]


def test_a_setting_of_nix_makes_a_machine_a_mac_and_system_wins(fake: FakeNix) -> None:
    nix = fake.nix("--option", "system", MAC)
    assert nix.system() == "aarch64-linux"
    assert nix.for_system("x86_64-linux").system() == "x86_64-linux"
    assert fake.nix("--system", MAC).system() == MAC
    assert fake.nix("--system", "x86_64-linux").system() == "x86_64-linux"
    assert len(fake.said) == 1


def test_an_app_and_its_package(fake: FakeNix) -> None:
    other = "/nix/store/0b5a7w7kll7y52dcqxl9dk9x5f37p1s7-tool"
    drv = "/nix/store/94flmp810fvqdv3yq5g02hrkrip8bhkz-tool.drv"
    fake.place(other)
    context = {drv: {"outputs": ["out"]}}
    fake.answer(
        "#apps.", json.dumps({"kind": "app", "program": f"{other}/bin/x", "context": context})
    )
    fake.answer(
        "build --json",
        json.dumps(
            [
                {"drvPath": drv, "outputs": {"out": other}},
                {"drvPath": DRV, "outputs": {"out": OUT}},
            ]
        ),
    )
    fake.answer("path-info", json.dumps(info() | info(other)))
    (built,), _ = make(fake.nix())
    assert built.roots == (StorePath.parse(OUT), StorePath.parse(other))
    assert built.program == f"{other}/bin/x"
    assert fake.calls[-2][-2:] == [f"{DRV}^out", f"{drv}^out"]


@pytest.mark.parametrize(
    ("version", "shape", "formatted", "operand"),
    [
        pytest.param("2.8.0", "nix-2.8", False, DRV, id="2.8"),
        pytest.param("2.17.1", "nix-2.17", False, f"{DRV}^out", id="2.17"),
        pytest.param("2.20.1", "nix-2.20", False, f"{DRV}^out", id="2.20"),
        pytest.param("2.24.1", "nix-2.24", False, f"{DRV}^out", id="2.24"),
        pytest.param("2.34.8", "nix-2.34-format-1", True, f"{DRV}^out", id="2.34"),
        pytest.param(
            "2.35.2",
            "nix-2.34-format-2",
            True,
            f"{DRV}^out",
            id="Determinate",
        ),
        pytest.param("3.1.0", "nix-2.35-format-3", True, f"{DRV}^out", id="to come"),
        pytest.param("2.93.3", "lix-2.93", False, f"{DRV}^out", id="Lix"),
    ],
)
def test_every_version_gives_the_same_closure(
    fake: FakeNix, version: str, shape: str, operand: str, *, formatted: bool
) -> None:
    fake.answer('#""', joint(value(), version=version))
    fake.answer(
        "path-info", (RECORDED / "path-info" / f"{shape}.json").read_text(), stderr="warning: new\n"
    )
    nix = fake.nix()
    package = nix.evaluate(nix.installable(".#app"))
    closure = nix.closure([StorePath.parse(PROGRAM)])
    assert [str(path) for path in closure] == [LIBRARY, PROGRAM]
    assert closure.references(StorePath.parse(PROGRAM)) == (StorePath.parse(LIBRARY),)
    assert ("--json-format" in fake.calls[-1]) is formatted
    with nix.build([package]):
        assert fake.calls[-1][-1] == operand


def test_a_json_format_that_is_refused_is_left_out(fake: FakeNix) -> None:
    fake.answer("--json-format", stderr="error: unrecognised flag '--json-format'\n", code=1)
    _, closure = make(fake.nix())
    assert len(closure) == 1
    assert [call[0] for call in fake.calls[-2:]] == ["path-info", "path-info"]
    assert "--json-format" not in fake.calls[-1]
    assert fake.shown == []


def test_a_store_path_of_any_nix_needs_no_version(fake: FakeNix) -> None:
    """A format that has to be named is named when Nix says so."""
    fake.answer("--json-format", json.dumps(info()))
    fake.answer("path-info", stderr="error: '--json' needs '--json-format'\n", code=1)
    fake.answer("build --json", json.dumps([OUT]))
    _, closure = make(fake.nix(), OUT)
    assert len(closure) == 1
    assert [call[0] for call in fake.calls] == ["build", "path-info", "path-info"]


def test_a_nix_without_flakes(fake: FakeNix) -> None:
    fake.answer("--version", "nix (Nix) 2.3.16")
    fake.answer("eval", stderr="error: unrecognised flag '--extra-experimental-features'\n", code=1)
    error = fails(fake.nix(), NixError, 3)
    assert str(error) == "cannot use nix (Nix) 2.3.16: 2.4 is the first with flakes"

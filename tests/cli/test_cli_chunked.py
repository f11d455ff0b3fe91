"""`--compression zstd:chunked` and `auto`, and all that is done with such images afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chunkedblob import CHECKSUM, POSITION, SPLIT
from support.fakeengine import FakeEngine
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.fakestore import Node, Program
from support.fleetnix import FleetNix
from support.pushbuild import Shop, reused
from support.pushing import REPOSITORY
from support.terminal import Terminal
from support.tools_terminal import ToolsTerminal
from support.two_systems import BOTH, place

CHUNKED = ("--compression", "zstd:chunked")
AUTO = ("--compression", "auto")
TABLE = {CHECKSUM, POSITION, SPLIT}
LARGE = "x" * 600_000
"""Beside an application of this size the library is hardly expected to move."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running(FakeRegistry()) as registry:
        yield Shop.make(tmp_path, registry)


@pytest.fixture
def terminal(shop: Shop) -> Terminal:
    return shop.terminal


def run(terminal: Terminal, *args: str, **env: str) -> Any:
    """What `--json` says of a command that succeeds."""
    done = terminal.run(*args, "--json", **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def build(terminal: Terminal, *args: str, to: str = "x") -> Any:
    return run(terminal, "build", ".#app", "-o", to, *args)


def listed(layout: Path, number: int = 0) -> list[dict[str, Any]]:
    """The layers of an image of a layout, as its manifest has them."""
    entry = json.loads((layout / "index.json").read_text())["manifests"][number]
    found: list[dict[str, Any]] = read(layout, entry["digest"])["layers"]
    return found


def read(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs/sha256" / digest.partition(":")[2]).read_text())


def has_table(layer: dict[str, Any]) -> bool:
    """Whether all annotations of a table are there; some alone are wrong."""
    found = TABLE & layer.get("annotations", {}).keys()
    assert found in (set(), TABLE)
    return bool(found)


def tables(layers: list[dict[str, Any]]) -> list[bool]:
    return [has_table(layer) for layer in layers]


def is_valid(terminal: Terminal, image: str) -> bool:
    return bool(run(terminal, "validate", image)["findings"] == [])


# --- what is built ---------------------------------------------------------------------------


@pytest.mark.parametrize("chunking", ["fine", "small"])
def test_every_layer_has_a_table_which_is_right(terminal: Terminal, chunking: str) -> None:
    document = build(terminal, *CHUNKED, "--chunking", chunking)
    layers = listed(terminal.directory / "x")
    assert tables(layers) == [True] * 3
    assert {layer["mediaType"].rpartition("+")[2] for layer in layers} == {"zstd"}
    assert [layer["compression"] for layer in document["layers"]] == ["zstd:chunked"] * 3
    assert document["compressor"].startswith("zstandard ")
    forms = {layer["annotations"].get("nix2oci.layer-form", "last") for layer in layers}
    assert forms == {f"1 zstd:chunked {chunking}.2 {document['compressor']}", "last"}
    assert is_valid(terminal, "x")


def test_fine_is_what_it_is_unless_told_otherwise(terminal: Terminal) -> None:
    fine = build(terminal, *CHUNKED, "--chunking", "fine")["digest"]
    assert build(terminal, *CHUNKED, to="y")["digest"] == fine
    assert build(terminal, *CHUNKED, "--chunking", "small", to="z")["digest"] != fine


def test_the_files_are_those_of_any_other_compression(terminal: Terminal) -> None:
    """The configuration has the diff IDs, and is the same."""
    ids = {build(terminal, "--compression", each, to=each)["image_id"] for each in ("none", "zstd")}
    assert ids == {build(terminal, *CHUNKED)["image_id"]}
    assert ids == {build(terminal, *AUTO, to="auto")["image_id"]}


def test_the_cache_gives_the_same_image_with_its_annotations(terminal: Terminal) -> None:
    without = build(terminal, *CHUNKED, "--no-cache", to="none")["digest"]
    first = build(terminal, *CHUNKED, to="first")
    done = terminal.run("build", ".#app", "-o", "second", *CHUNKED)
    assert "\nnix2oci: 2 of 3 layers are in the cache\n" in done.stderr
    second = listed(terminal.directory / "second")
    assert (tables(second), second) == ([True] * 3, listed(terminal.directory / "first"))
    assert first["digest"] == without


def test_layers_of_the_cache_are_those_of_their_own_form(terminal: Terminal) -> None:
    for number, form in enumerate(("zstd", "zstd:chunked", "auto", "gzip")):
        fresh = build(terminal, "--compression", form, "--no-cache", to=f"{number}-fresh")
        assert build(terminal, "--compression", form, to=f"{number}")["digest"] == fresh["digest"]


def test_what_is_in_nix2oci_yaml_is_as_good_as_a_flag(terminal: Terminal) -> None:
    (terminal.directory / "own.yaml").write_text("compression: zstd:chunked\nchunking: small\n")
    by_file = build(terminal, "--config", "own.yaml")["digest"]
    assert by_file == build(terminal, *CHUNKED, "--chunking", "small", to="y")["digest"]


# --- auto ------------------------------------------------------------------------------------


def test_auto_chunks_what_is_expected_to_change(shop: Shop) -> None:
    shop.edit(LARGE)
    document = build(shop.terminal, *AUTO)
    kinds = [layer["compression"] for layer in document["layers"]]
    assert [layer.get("risk", 0) > 0.005 for layer in document["layers"]] == [False, True, False]
    assert kinds == ["zstd", "zstd:chunked", "zstd"]
    assert tables(listed(shop.terminal.directory / "x")) == [False, True, False]
    assert is_valid(shop.terminal, "x")


def test_a_plan_says_how_layers_are_to_be_stored(shop: Shop) -> None:
    shop.edit(LARGE)
    built = build(shop.terminal, *AUTO)["layers"]
    planned = run(shop.terminal, "plan", ".#app", *AUTO)["layers"]
    kinds = [layer["compression"] for layer in planned]
    assert kinds == [layer["compression"] for layer in built[:-1]] == ["zstd", "zstd:chunked"]
    shown = shop.terminal.run("plan", ".#app", *AUTO).stdout.splitlines()
    assert shown[0].split()[:5] == ["layer", "size", "risk", "stored", "as"]
    assert [line.split()[4] for line in shown[1:3]] == kinds
    (shop.terminal.directory / "own.yaml").write_text("compression: auto\n")
    assert shop.terminal.run("plan", ".#app", "--config", "own.yaml").stdout.splitlines() == shown


def test_a_plan_of_layers_that_are_all_stored_alike_shows_no_more_than_before(shop: Shop) -> None:
    for options, kind in (
        ((), "gzip"),
        (CHUNKED, "zstd:chunked"),
        (("--compression", "none"), "none"),
    ):
        planned = run(shop.terminal, "plan", ".#app", *options)["layers"]
        assert {layer["compression"] for layer in planned} == {kind}
        assert "stored as" not in shop.terminal.run("plan", ".#app", *options).stdout


def test_auto_makes_the_layers_that_each_compression_makes(shop: Shop) -> None:
    shop.edit(LARGE)
    by_mode = {
        mode: build(shop.terminal, "--compression", mode, to=mode)["layers"]
        for mode in ("auto", "zstd", "zstd:chunked")
    }
    library, app, last = by_mode["auto"]
    assert (library, last) == (by_mode["zstd"][0], by_mode["zstd"][2])
    assert app == by_mode["zstd:chunked"][1]


@pytest.mark.parametrize(
    ("size", "is_chunked"),
    [
        pytest.param(1000, False, id="of links and small files it is not"),
        pytest.param(1 << 20, True, id="with files worth a table it is"),
    ],
)
def test_whether_auto_chunks_the_last_layer(
    terminal: Terminal, size: int, *, is_chunked: bool
) -> None:
    (terminal.directory / "page").write_bytes(bytes(size))
    (terminal.directory / "own.yaml").write_text("files: {/srv/page: {source: ./page}}\n")
    build(terminal, *AUTO, "--config", "own.yaml")
    assert tables(listed(terminal.directory / "x"))[-1] is is_chunked


def test_the_only_layer_of_an_image_moves_each_time(terminal: Terminal) -> None:
    build(terminal, *AUTO, "--max-layers", "1")
    assert tables(listed(terminal.directory / "x")) == [True]
    assert is_valid(terminal, "x")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(CHUNKED, [True, True, True], id="chunked like the others"),
        pytest.param(AUTO, [True, False, False], id="plain with auto: who debugs pulls it once"),
    ],
)
def test_the_layer_of_tools_of_the_debug_twin(
    tmp_path: Path, options: tuple[str, ...], expected: list[bool]
) -> None:
    terminal = ToolsTerminal(tmp_path).terminal
    build(terminal, "--debug", *options)
    assert tables(listed(terminal.directory / "x", 1)) == expected
    assert is_valid(terminal, "x")


# --- where it goes ---------------------------------------------------------------------------


def test_layers_that_the_registry_has_keep_their_annotations(shop: Shop) -> None:
    first = shop.push(*CHUNKED)
    before = shop.manifest()["layers"]
    shop.edit("another one")
    second = shop.push(*CHUNKED)
    assert (reused(first), reused(second)) == ([False] * 3, [True, False, False])
    after = shop.manifest()["layers"]
    assert (tables(after), after[0]) == ([True] * 3, before[0])
    assert shop.push(*CHUNKED, "--no-reuse")["digest"] == second["digest"]
    assert run(shop.terminal, "validate", shop.name, **shop.env())["findings"] == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(("--compression", "zstd"), CHUNKED, [False] * 3, id="zstd is not chunked"),
        pytest.param(CHUNKED, ("--compression", "zstd"), [False] * 3, id="chunked is not zstd"),
        pytest.param(
            CHUNKED, (*CHUNKED, "--chunking", "small"), [False] * 3, id="fine is not small"
        ),
        pytest.param(CHUNKED, AUTO, [False, True, False], id="auto takes what it would chunk"),
        pytest.param(
            ("--compression", "zstd"), AUTO, [True, False, False], id="and what it would not"
        ),
        pytest.param(AUTO, AUTO, [True, True, False], id="all of its own"),
    ],
)
def test_a_layer_is_reused_in_its_own_form_alone(
    shop: Shop, before: tuple[str, ...], after: tuple[str, ...], expected: list[bool]
) -> None:
    shop.edit(LARGE)
    shop.push(*before)
    assert reused(shop.push(*after)) == expected


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda notes: notes.pop(POSITION), id="one annotation is missing"),
        pytest.param(lambda notes: notes.update({POSITION: "1:2:3"}), id="one says no position"),
        pytest.param(
            lambda notes: [notes.pop(key) for key in TABLE], id="all those of the table are missing"
        ),
        pytest.param(lambda notes: notes.clear(), id="all annotations are missing"),
    ],
)
def test_a_layer_that_lost_annotations_is_made_again(
    shop: Shop, spoil: Callable[[dict[str, str]], object]
) -> None:
    digest = shop.push(*CHUNKED)["digest"]
    document = shop.manifest()
    spoil(document["layers"][0]["annotations"])
    shop.replace_manifest(document)
    again = shop.push(*CHUNKED)
    assert (again["digest"], reused(again)) == (digest, [False, True, False])


def test_push_pull_and_index_keep_the_annotations(shop: Shop) -> None:
    terminal = shop.terminal
    build(terminal, *CHUNKED)
    layers = listed(terminal.directory / "x")
    assert terminal.run("push", "x", shop.name, **shop.env()).returncode == 0
    assert shop.manifest()["layers"] == layers
    assert terminal.run("pull", shop.name, "-o", "y", **shop.env()).returncode == 0
    assert listed(terminal.directory / "y") == layers
    assert terminal.run("index", "y", "-o", "z").returncode == 0
    entry = json.loads((terminal.directory / "z/index.json").read_text())["manifests"][0]
    (image,) = read(terminal.directory / "z", entry["digest"])["manifests"]
    assert read(terminal.directory / "z", image["digest"])["layers"] == layers
    assert all(is_valid(terminal, each) for each in "yz")


def test_a_base_image_keeps_its_own(shop: Shop) -> None:
    terminal = shop.terminal
    build(terminal, *CHUNKED)
    below = listed(terminal.directory / "x")
    shop.edit("on top")
    build(terminal, "--base", "./x", "--compression", "zstd", to="y")
    layers = listed(terminal.directory / "y")
    assert (layers[:3], tables(layers[3:])) == (below, [False] * (len(layers) - 3))
    assert is_valid(terminal, "y")


def test_a_base_image_whose_table_is_wrong_is_refused(shop: Shop) -> None:
    """Who pulls parts of it would get other files than who pulls the whole."""
    terminal = shop.terminal
    document = shop.push(*CHUNKED)
    assert document["layers"][0]["compression"] == "zstd:chunked"
    manifest = shop.manifest()
    manifest["layers"][0]["annotations"][POSITION] = "1:2:3:1"
    shop.replace_manifest(manifest)
    done = terminal.run("build", ".#app", "--base", shop.name, "-o", "y", **shop.env())
    assert (done.returncode, terminal.left()) == (8, []), done.stderr
    assert f"layer 1: '{POSITION}' is '1:2:3:1', and the footer says " in done.stderr


def test_an_index_of_platforms(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    document = build(terminal, *BOTH, *CHUNKED)
    kinds = [layer["compression"] for each in document["platforms"] for layer in each["layers"]]
    assert kinds == ["zstd:chunked"] * 4
    assert is_valid(terminal, "x")


def test_several_images_of_a_run(tmp_path: Path) -> None:
    fleet = FleetNix.make(tmp_path)
    fleet.file("compression: zstd:chunked\nimages:\n  worker: {compression: gzip}\n  web: {}\n")
    done = fleet.build("--all", "-o", "../out")
    assert done.returncode == 0, done.stderr
    out = fleet.terminal.directory.parent / "out"
    assert set(tables(listed(out / "worker"))) == {False}
    assert set(tables(listed(out / "web"))) == {True}


# --- who does not read it --------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["zstd", "zstd:chunked", "auto"])
@pytest.mark.parametrize(
    ("where", "hint"),
    [
        pytest.param(("-o", "x.tar"), "use --compression gzip, or --format oci", id="an archive"),
        pytest.param(("--load", "docker"), "use --compression gzip", id="docker"),
    ],
)
def test_docker_gets_no_zstd_in_any_form(
    terminal: Terminal, compression: str, where: tuple[str, ...], hint: str
) -> None:
    FakeEngine(terminal.fake.directory)
    done = terminal.run("build", ".#app", "--compression", compression, *where)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"hint: {hint}")
    assert terminal.left() == []


@pytest.mark.parametrize("engine", ["podman", "containerd"])
def test_engines_that_read_zstd_get_it(terminal: Terminal, engine: str) -> None:
    fake = FakeEngine(terminal.fake.directory)
    done = terminal.run("build", ".#app", *CHUNKED, "--load", engine)
    assert (done.returncode, fake.received.exists()) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("option", "value", "choices"),
    [
        pytest.param(
            "compression", "chunked", "gzip, zstd, zstd:chunked, auto or none", id="a compression"
        ),
        pytest.param("chunking", "coarse", "fine or small", id="a chunking"),
    ],
)
def test_a_value_that_there_is_not(
    terminal: Terminal, option: str, value: str, choices: str
) -> None:
    done = terminal.run("build", ".#app", f"--{option}", value)
    assert done.returncode == 2
    assert choices in done.stderr


# --- what is said of it ----------------------------------------------------------------------


def test_inspect_says_how_many_layers_are_chunked(shop: Shop) -> None:
    shop.edit(LARGE)
    build(shop.terminal, *AUTO)
    assert "\nchunked:    1 of 3 layers, zstd:chunked\n" in shop.terminal.run("inspect", "x").stdout
    kinds = [each["compression"] for each in run(shop.terminal, "inspect", "x")["layers"]]
    assert kinds == ["zstd", "zstd:chunked", "zstd"]
    build(shop.terminal, to="y")
    assert "chunked:" not in shop.terminal.run("inspect", "y").stdout


def test_the_provenance_has_every_form(shop: Shop) -> None:
    shop.edit(LARGE)
    build(shop.terminal, *AUTO, "--provenance", "p.json")
    document = json.loads((shop.terminal.directory / "p.json").read_text())
    built = document["buildDefinition"]["internalParameters"]
    version = built["compressor"]
    assert built["layerForm"] == f"1 zstd {version}, 1 zstd:chunked fine.2 {version}"


def test_slim_layers_are_chunked_too(terminal: Terminal) -> None:
    build(terminal, *CHUNKED, "--slim", "docs")
    assert tables(listed(terminal.directory / "x")) == [True] * 3
    assert is_valid(terminal, "x")


def test_a_layer_with_a_name_that_no_table_can_hold_is_plain_zstd(tmp_path: Path) -> None:
    """It is kept like the others; in a registry it looks like one that lost its annotations."""
    odd: dict[bytes, Node] = {b"\xff-is-no-utf-8": b"content"}
    node: Node = {b"bin": {b"app": Program(b"\x7fELF")}, b"libexec": odd}
    terminal = Terminal.make(tmp_path, node)
    with running(FakeRegistry()) as registry:
        push = (*CHUNKED, "--push", f"{registry.registry}/{REPOSITORY}:1.0")
        made = [build(terminal, *CHUNKED, to=to) for to in "xy"]
        pushed = [run(terminal, "build", ".#app", *push) for _ in range(2)]
    assert tables(listed(terminal.directory / "x")) == [False, True]
    assert [layer["compression"] for layer in made[0]["layers"]] == ["zstd", "zstd:chunked"]
    assert len({each["digest"] for each in (*made, *pushed)}) == 1
    assert reused(pushed[1]) == [False, False]
    assert is_valid(terminal, "x")

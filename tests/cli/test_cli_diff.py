"""`nix2oci diff` from outside: what it costs and what changed, for people and for machines."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
from support.fakenix import OUT
from support.json_page import documented
from support.smallimage import Json, Layer, SmallImage, entry, tar
from support.store_layers import APP1, APP2, DATA, LIB, LIB_AGAIN, STORE, TOOL, layer
from support.terminal import INFO, Terminal


def run_as(user: str, entrypoint: str) -> Json:
    return {"User": user, "Entrypoint": [entrypoint], "Env": ["A=1"]}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal.make(tmp_path)
    here = terminal.directory
    old = [layer(path) for path in (LIB, TOOL, DATA, APP1)]
    new = [layer(LIB), layer(DATA), layer(LIB_AGAIN), layer(APP2, 5000)]

    def old_config(document: Json) -> None:
        document["config"] = run_as("0", APP1)

    def new_config(document: Json) -> None:
        document["config"] = run_as("1", APP2)

    SmallImage(old, config=old_config).write(here / "old.oci")
    SmallImage(new, config=new_config).write(here / "new.oci")
    (here / "closure.json").write_text(json.dumps(INFO))
    return terminal


def test_inspect_names_the_largest_paths_of_a_layer_first(terminal: Terminal) -> None:
    sizes = {f"/nix/store/{digit * 32}-lib{digit}": 1000 * int(digit) for digit in "3581"}
    entries = [entry(path[1:], b"x" * size) for path, size in sorted(sizes.items())]
    SmallImage([Layer(tar(*STORE, *entries))]).write(terminal.directory / "libs.oci")
    done = terminal.run("inspect", "-q", "libs.oci")
    assert "lib8, lib5, lib3" in done.stdout, done.stderr


def test_diff_of_two_images(terminal: Terminal) -> None:
    done = terminal.run("diff", "-q", "old.oci", "new.oci")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "old:     4 layers, 41.0 kB, 4 store paths\n"
        "new:     4 layers, 41.0 kB, 4 store paths\n"
        "layers:  2 kept (20.5 kB), 2 new (20.5 kB), 2 lost (20.5 kB)\n"
        "to push: 20.5 kB, to a registry that has OLD\n"
        "to pull: 20.5 kB, to a machine that has OLD; "
        "30.7 kB where layers are reused only up to the first new one\n"
        "\n"
        "change   package  old       new    size     more\n"
        "updated  app      1.0       1.1  5.1 kB  +4.0 kB\n"
        "added    lib      -         2.0  1.1 kB  +1.1 kB\n"
        "removed  tool     4444444…  -    1.1 kB  -1.1 kB\n"
        "1 updated, 1 added, 1 removed: +4.0 kB of NAR\n"
        "\n"
        '- entrypoint  ["/nix/store/0000000…-app-1.0"]\n'
        '+ entrypoint  ["/nix/store/1111111…-app-1.1"]\n'
        "- user  0\n"
        "+ user  1\n"
    )


def test_verbose_shows_values_as_they_are(terminal: Terminal) -> None:
    done = terminal.run("diff", "-v", "old.oci", "new.oci")
    assert f'- entrypoint  ["{APP1}"]\n+ entrypoint  ["{APP2}"]\n' in done.stdout


def test_an_image_does_not_differ_from_itself(terminal: Terminal) -> None:
    done = terminal.run("diff", "--exit-code", "old.oci", "oci:old.oci:1.0")
    assert (done.returncode, done.stdout) == (
        0,
        "no difference: 4 layers, 41.0 kB, 4 store paths\n",
    )
    said = "nix2oci: reading old.oci (41.0 kB)\nnix2oci: reading oci:old.oci:1.0 (41.0 kB)\n"
    assert done.stderr == said


def test_layers_may_differ_alone(terminal: Terminal) -> None:
    packed = [dataclasses.replace(layer(LIB), pack=gzip.compress, suffix="+gzip")]
    SmallImage([layer(LIB)]).write(terminal.directory / "plain.oci")
    SmallImage(packed).write(terminal.directory / "packed.oci")
    done = terminal.run("diff", "-q", "plain.oci", "packed.oci")
    cost, said = done.stdout.split("\n\n")
    assert "0 kept (0 B), 1 new (" in cost
    assert "), 1 of them only compressed in another way, 1 lost (10.2 kB)\n" in cost
    assert said == (
        "no store path and no setting differs: what does is outside the store or in launchers, "
        "or is how layers were made\n"
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param((), 0, id="a difference is a result"),
        pytest.param(("--exit-code",), 1, id="a difference is told by the exit code"),
        pytest.param(("--exit-code", "--json"), 1, id="with JSON, too"),
    ],
)
def test_exit_code(options: tuple[str, ...], code: int, terminal: Terminal) -> None:
    done = terminal.run("diff", "-q", "old.oci", "new.oci", *options)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout


def test_json_has_the_keys_that_are_documented(terminal: Terminal) -> None:
    document = json.loads(terminal.run("diff", "--json", "old.oci", "new.oci").stdout)
    assert set(document) == documented("diff", 0)
    assert set(document["old"]) == set(document["new"]) == documented("diff", 1)
    updated, added, removed = document["changes"]
    assert set(updated) == documented("diff", 2)
    assert set(updated["new"]) == documented("diff", 3)
    assert set(document["layers"]) == {"kept", "added", "lost"}
    assert set(document["layers"]["kept"][0]) == documented("diff", 4)
    assert set(document["settings"][0]) == documented("diff", 5)
    assert (updated["change"], updated["old"]["path"], updated["new"]["path"]) == (
        *("updated", APP1),
        APP2,
    )
    assert (added["old"], removed["new"]) == (None, None)
    assert document["push"] == document["pull"] == 20480
    assert document["pull_in_order"] == 30720
    assert document["differ"] is True


def test_what_is_built_does_not_differ_from_what_would_be_built(terminal: Terminal) -> None:
    assert terminal.run("build", ".#app", "-o", "built").returncode == 0
    for old, new in ((".#app", "built"), ("built", ".#app")):
        done = terminal.run("diff", "-q", "--exit-code", old, new)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert terminal.left() == ["built", "closure.json", "new.oci", "old.oci"]


def test_recorded_closures_need_no_nix(terminal: Terminal) -> None:
    path = OUT.replace("app-1.0", "app-2.0")
    other = {path: {**INFO[OUT], "narSize": 4096}}
    (terminal.directory / "other.json").write_text(json.dumps(other))
    shutil.rmtree(terminal.fake.bin)
    done = terminal.run("diff", "-q", "closure.json", "other.json")
    size = INFO[OUT]["narSize"]
    assert done.stdout == (
        f"old:     1 layer, {size} B of NAR, 1 store path\n"
        "new:     1 layer, 4.1 kB of NAR, 1 store path\n"
        f"layers:  0 kept (0 B), 1 new (4.1 kB), 1 lost ({size} B)\n"
        "to move: 4.1 kB of NAR, before compression\n"
        "\n"
        "change   package  old  new    size     more\n"
        f"updated  app      1.0  2.0  4.1 kB  +{(4096 - size) / 1000:.1f} kB\n"
        f"1 updated: +{(4096 - size) / 1000:.1f} kB of NAR\n"
    )


def test_an_image_and_a_closure_are_compared_by_store_paths(terminal: Terminal) -> None:
    done = terminal.run("diff", "-q", "old.oci", "closure.json")
    note = "         (layers of store paths alone, compared by these, in bytes of NAR)\n"
    assert note in done.stdout
    old, new, layers = done.stdout.splitlines()[:3]
    sizes = r"[\d.]+ kB of NAR, compressed [\d.]+ kB"
    assert re.fullmatch(rf"old: +4 layers, {sizes}, 4 store paths", old)
    assert re.fullmatch(r"new: +1 layer, \d+ B of NAR, 1 store path", new)
    assert re.fullmatch(r"layers:  0 kept \(0 B\), 1 new \(\d+ B\), 4 lost \(4.6 kB\)", layers)
    assert "3 removed, 1 rebuilt: -4.1 kB of NAR" in done.stdout


def test_long_lists_are_cut(terminal: Terminal) -> None:
    digits = "0123456789abcd"
    many = [layer(f"/nix/store/{digit * 32}-lib{digit}-1") for digit in digits]
    SmallImage(many).write(terminal.directory / "many.oci")
    SmallImage([]).write(terminal.directory / "none.oci")
    said = terminal.run("diff", "-q", "none.oci", "many.oci").stdout
    assert len(re.findall(r"^added ", said, re.MULTILINE)) == 10
    assert "and 4 more added, 4.6 kB of NAR; -v shows them\n" in said
    said = terminal.run("diff", "-q", "-v", "none.oci", "many.oci").stdout
    assert len(re.findall(r"^added ", said, re.MULTILINE)) == 14


@pytest.mark.parametrize(
    ("args", "message", "code"),
    [
        pytest.param(
            ("missing.oci", "new.oci"),
            "cannot read image at missing.oci: No such file or directory",
            8,
            id="a layout that is not there",
        ),
        pytest.param(
            ("old.oci", "missing.json"),
            "cannot read missing.json: No such file or directory",
            8,
            id="a closure that is not there",
        ),
        pytest.param(
            ("old.oci:2", "new.oci"),
            "cannot read image at old.oci:2: it has no tag '2'",
            2,
            id="a tag that is not there",
        ),
    ],
)
def test_what_cannot_be_read(
    args: tuple[str, str], message: str, code: int, terminal: Terminal
) -> None:
    done = terminal.run("diff", "-q", *args)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[0] == f"error: {message}"

"""`verify --rebuild`: an image is made again of what it was made of, and is the same or is not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT
from support.fakestore import Program
from support.json_page import documented
from support.paths import ROOT
from support.tampered import change_byte, damage
from support.terminal import Completed, Terminal
from support.tools_terminal import ToolsTerminal
from support.two_systems import BOTH, place
from support.wrapped_app import ELF, WRAPPED, give

COMMIT, OTHER = "3f4c1c2b7d0e3f4c1c2b7d0e3f4c1c2b7d0e3f4c", "a" * 40
HASH = "sha256-rcU0Sek2slflcmv68/fyNuOQkC+bd7OGN3LsBFgjyHQ="
OTHER_HASH = "sha256-" + "A" * 43 + "="
FLAKE = "git+https://git.example.org/app"


def metadata(commit: str = COMMIT, nixpkgs: str = HASH, flake: str = HASH) -> str:
    """What Nix says of the flake at a commit, with its one input."""
    locked = {"type": "git", "url": "https://git.example.org/app", "rev": commit, "narHash": flake}
    node = {"type": "github", "owner": "o", "repo": "n", "rev": nixpkgs[7:11], "narHash": nixpkgs}
    nodes = {"root": {"inputs": {"nixpkgs": "n"}}, "n": {"locked": node}}
    locks = {"root": "root", "nodes": nodes}
    found = {"resolved": {}, "locked": locked, "locks": locks, "revision": commit}
    return json.dumps({**found, "lastModified": 1})


def says(terminal: Terminal, said: str) -> None:
    """From now on Nix says this of the flake."""
    rules = [rule for rule in terminal.fake.rules if not rule.startswith("*'flake metadata'*")]
    terminal.fake.rules[:] = rules
    terminal.fake.answer("flake metadata", said)
    terminal.fake.nix()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal.make(tmp_path)
    says(terminal, metadata())
    return terminal


def build(terminal: Terminal, *options: str, **env: str) -> Path:
    options = ("-o", "a.oci", "--provenance", "p.json", *options)
    done = terminal.run("build", f"{FLAKE}#app", *options, **env)
    assert done.returncode == 0, done.stderr
    return terminal.directory / "a.oci"


def verify(terminal: Terminal, *options: str) -> Completed:
    return terminal.run("verify", "a.oci", "--rebuild", "-q", *options)


def by_provenance(terminal: Terminal, *options: str) -> dict[str, Any]:
    """What --json says of the one platform."""
    done = verify(terminal, "--provenance", "p.json", "--json", *options)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert document["reproduced"] is (done.returncode == 0)
    (found,) = document["platforms"]
    return dict(found)


OPTIONS = {
    "nothing": (),
    "a variable, labels, ports and a user": (
        *("--env", "A=b", "--labels", "x=y", "--ports", "80", "--user", "1000"),
    ),
    "zstd": ("--compression", "zstd"),
    "zstd:chunked": ("--compression", "zstd:chunked"),
    "some chunked layers": ("--compression", "auto", "--chunking", "small"),
    "no compression": ("--compression", "none"),
    "one layer": ("--max-layers", "1"),
    "a time by the clock": ("--created", "now"),
    "files": ("--files", "/etc/greeting=hello.txt"),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_an_image_is_reproduced_that_has(what: str, terminal: Terminal) -> None:
    (terminal.directory / "hello.txt").write_text("hello\n")
    build(terminal, *OPTIONS[what])
    found = by_provenance(terminal)
    assert (found["reproduced"], found["reasons"]) == (True, [])
    assert found["digest"] == found["rebuilt"]


def test_settings_beside_the_flake_count(terminal: Terminal) -> None:
    (here := terminal.directory / "flake").mkdir()
    (here / "flake.nix").write_text("{ }")
    (here / "nix2oci.yaml").write_text("user: 1000\nenv: {A: b}\n")
    options = ("-o", "a.oci", "--provenance", "p.json")
    assert terminal.run("build", "./flake#app", *options).returncode == 0
    (here / "nix2oci.yaml").unlink()
    tree = json.loads(metadata())
    del tree["revision"], tree["locked"]["rev"]  # it is not in git
    says(terminal, json.dumps(tree))
    assert verify(terminal, "./flake", "--provenance", "p.json").returncode == 0
    assert verify(terminal, "./flake#app").returncode == 1


def test_without_a_provenance_the_flake_is_named(terminal: Terminal) -> None:
    build(terminal)
    done = verify(terminal, f"{FLAKE}#app")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("a.oci is reproduced for linux/amd64: sha256:")


def test_without_either_it_is_asked_for(terminal: Terminal) -> None:
    build(terminal)
    done = verify(terminal)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: name the flake: nix2oci verify IMAGE INSTALLABLE --rebuild" in done.stderr


def test_the_keys_of_its_document_are_documented(terminal: Terminal) -> None:
    change_byte(build(terminal), "bin/app")
    document = json.loads(verify(terminal, "--provenance", "p.json", "--json").stdout)
    assert set(document) == documented("verify", 1)
    assert set(document["platforms"][0]) == documented("verify", 2)


def test_nothing_is_written(terminal: Terminal) -> None:
    build(terminal)
    before = sorted(terminal.directory.rglob("*"))
    by_provenance(terminal)
    assert sorted(terminal.directory.rglob("*")) == before
    *_, call = (each for each in terminal.fake.calls if each[:2] == ["flake", "metadata"])
    assert "--no-write-lock-file" in call


def test_a_byte_changed_in_a_layer_is_named_with_path_and_file(terminal: Terminal) -> None:
    change_byte(build(terminal), "bin/app")
    found = by_provenance(terminal)
    assert (found["first_layer"], found["store_path"]) == (1, OUT)
    assert (found["path"], found["difference"]) == (f"{OUT}/bin/app", "has other bytes")
    assert found["reasons"] == [
        "the image was changed after it was made: Nix had the bytes that it has here"
    ]


def test_a_byte_changed_outside_the_store_is_named(terminal: Terminal) -> None:
    change_byte(build(terminal), "etc/passwd")
    done = verify(terminal, "--provenance", "p.json")
    assert done.returncode == 1
    assert "  /etc/passwd has other bytes\n" in done.stdout
    assert "  why: the image was changed after it was made\n" in done.stdout


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a byte of a blob": lambda data: data[:60] + bytes([data[60] ^ 4]) + data[61:],
    "the end of a blob": lambda data: data[:-40],
    "the head of a blob": lambda data: b"x" + data[1:],
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_kept_is_read_so_it_tells(what: str, terminal: Terminal) -> None:
    damage(build(terminal), DAMAGES[what])
    found = by_provenance(terminal)
    assert (found["reproduced"], found["first_layer"]) == (False, 1)
    assert found["digest"] == found["rebuilt"]
    assert "layer 1 was changed where it is kept" in found["reasons"][0]


def test_an_image_of_another_commit_is_told(terminal: Terminal) -> None:
    build(terminal)
    says(terminal, metadata(OTHER))
    found = by_provenance(terminal)
    assert found["reasons"] == [
        f"another commit: the image is of {COMMIT}, and {OTHER} was rebuilt"
    ]
    assert found["settings"] == [
        {"name": "label org.opencontainers.image.revision", "image": COMMIT, "rebuilt": OTHER}
    ]


def test_a_dirty_tree_is_told(terminal: Terminal) -> None:
    tree = json.loads(metadata())
    del tree["revision"], tree["locked"]["rev"]
    says(terminal, json.dumps({**tree, "dirtyRevision": f"{COMMIT}-dirty"}))
    build(terminal)
    says(terminal, metadata(COMMIT))
    told = by_provenance(terminal, f"{FLAKE}#app")["reasons"]
    assert "the image is of a tree with changes, which no commit has" in told


def test_another_nixpkgs_is_told(terminal: Terminal) -> None:
    build(terminal)
    give(terminal, {b"bin": {b"app": Program(ELF)}})
    says(terminal, metadata(nixpkgs=OTHER_HASH))
    (told,) = by_provenance(terminal)["reasons"]
    assert told == "another nixpkgs: github:o/n/rcU0 when it was made, github:o/n/AAAA here"
    override = ["--override-input", "nixpkgs", "github:o/n/rcU0"]
    assert any(override == call[at : at + 3] for call in terminal.fake.calls for at in range(9))


def test_another_popularity_index_is_told(terminal: Terminal) -> None:
    for name in ("one", "two"):
        index = {"format": 2, "images": [name], "groups": [], "layers": []}
        (terminal.directory / f"{name}.json").write_text(json.dumps(index))
    build(terminal, "--popularity", "one.json")
    assert by_provenance(terminal)["reproduced"]
    (told,) = by_provenance(terminal, "--popularity", "two.json")["reasons"]
    assert told.startswith("another popularity index: sha256:")


CHUNKED = "--compression zstd:chunked"
FORMS = {
    "zstd": ("", "--compression zstd", "'1 gzip'", "'1 zstd'"),
    "another chunking": (
        *(CHUNKED, "--chunking small"),
        *("'1 zstd:chunked fine.2'", "'1 zstd:chunked small.2'"),
    ),
    "auto": ("", "--compression auto", "'1 gzip'", "'1 zstd' and '1 zstd:chunked fine.2'"),
    "zstd for a slim image": ("--slim docs", "--compression zstd", "'1 gzip'", "'1 zstd'"),
}


@pytest.mark.parametrize("what", FORMS)
def test_another_compressor_is_told(what: str, terminal: Terminal) -> None:
    before, now, was, here = FORMS[what]
    build(terminal, *before.split())
    (told,) = by_provenance(terminal, *now.split())["reasons"]
    said = re.sub(r" (zstandard|deflate) [0-9.]+(?=')", "", told)
    assert said == f"another compressor: {was} made the image, and {here} is here"


def test_other_settings_are_told(terminal: Terminal) -> None:
    build(terminal, "--env", "A=b")
    done = verify(terminal, f"{FLAKE}#app")
    assert done.returncode == 1
    assert "  env A: b in the image, none rebuilt\n" in done.stdout
    assert "  why: other settings than the image was made with: env A\n" in done.stdout


def test_other_layers_are_told(terminal: Terminal) -> None:
    build(terminal)
    found = by_provenance(terminal, "--max-layers", "1")
    assert found["reproduced"] is False


def test_another_launcher_is_told(terminal: Terminal, tmp_path: Path) -> None:
    give(terminal, WRAPPED)
    says(terminal, metadata())
    changed = shutil.copytree(ROOT / "nix2oci", tmp_path / "other/nix2oci")
    template = changed / "launcher/launcher-x86_64"
    template.write_bytes(template.read_bytes().replace(b"AWAVAUATSH", b"AWAVAUATSh", 1))
    build(terminal, PYTHONPATH=str(tmp_path / "other"))
    found = by_provenance(terminal)
    assert found["path"] == f"{OUT}/bin/app"
    (told,) = found["reasons"]
    assert told.startswith("another launcher: ")
    without = json.loads(verify(terminal, f"{FLAKE}#app", "--json").stdout)
    (platform,) = without["platforms"]
    assert platform["reasons"][0].startswith("another launcher: unknown in the image")


def test_impurity_is_told_and_not_repeated_unasked(terminal: Terminal) -> None:
    change_byte(build(terminal, "--impure"), "bin/app")
    (told,) = by_provenance(terminal)["reasons"]
    assert told.startswith("an impure input: it was evaluated with --impure")
    assert not [c for c in terminal.fake.calls[-4:] if "--impure" in c and "--expr" not in c]


def test_a_store_path_needs_no_flake(terminal: Terminal) -> None:
    terminal.fake.answer("build --json", json.dumps([OUT]))
    terminal.fake.nix()
    done = terminal.run("build", OUT, "-o", "a.oci", "--provenance", "p.json", "--env", "A=b")
    assert done.returncode == 0, done.stderr
    assert by_provenance(terminal)["reproduced"]


def test_a_nix_file_is_named_again(terminal: Terminal) -> None:
    (terminal.directory / "default.nix").write_text("{ }")
    options = ("-o", "a.oci", "--provenance", "p.json", "--env", "A=b")
    done = terminal.run("build", "-f", "default.nix", "app", *options)
    assert done.returncode == 0, done.stderr
    assert by_provenance(terminal, "-f", "default.nix", "app")["reproduced"]


def test_an_index_is_rebuilt_for_each_platform(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    done = terminal.run("build", ".#app", *BOTH, "-o", "a.oci", "--provenance", "p.json")
    assert done.returncode == 0, done.stderr
    done = verify(terminal, ".#app", "--provenance", "p.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [
        "a.oci is reproduced for linux/amd64",
        "a.oci is reproduced for linux/arm64",
    ]


def test_one_platform_is_enough_where_the_others_cannot_be_built(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    done = terminal.run("build", ".#app", *BOTH, "-o", "a.oci", "--provenance", "p.json")
    assert done.returncode == 0, done.stderr
    done = verify(terminal, ".#app", "--platform", "linux/arm64")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("a.oci is reproduced for linux/arm64: ")
    assert len(done.stdout.splitlines()) == 1


def test_an_image_and_its_debug_twin_are_reproduced(tmp_path: Path) -> None:
    terminal = ToolsTerminal(tmp_path).terminal
    options = ("--debug", "-t", "app:1", "-o", "a.oci", "--provenance", "p.json")
    assert terminal.run("build", ".#app", *options).returncode == 0
    for tag in ("1", "1-debug"):
        done = terminal.run("verify", f"a.oci:{tag}", ".", "--rebuild", "--provenance", "p.json")
        assert done.returncode == 0, done.stdout
        assert f"a.oci:{tag} is reproduced" in done.stdout


def edited(terminal: Terminal, edit: Callable[[dict[str, Any]], object]) -> Completed:
    """What comes of a provenance that somebody edited."""
    build(terminal)
    document = json.loads((terminal.directory / "p.json").read_text())
    edit(document)
    (terminal.directory / "p.json").write_text(json.dumps(document))
    return verify(terminal, "--provenance", "p.json")


def asked(found: dict[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = found["buildDefinition"]["externalParameters"]
    return parameters


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "of another kind": (
        lambda found: found["buildDefinition"].update(buildType="https://other.example.org/v1"),
        "it is of another kind, 'https://other.example.org/v1'",
    ),
    "without parameters": (
        lambda found: found["buildDefinition"].pop("externalParameters"),
        "missing required field `externalParameters`",
    ),
    "with a flag that nobody knows": (
        lambda found: asked(found).update(flags={"frobnicate": "1"}),
        "this nix2oci has no flag '--frobnicate'",
    ),
    "that names nothing": (
        lambda found: asked(found).update(installables=[]),
        "the provenance is of a flake that only one machine had",
    ),
    "with an override of one machine": (
        lambda found: asked(found).update(overrides=["x"]),
        "input 'x' was replaced by what only one machine had",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_no_rebuild_by_a_provenance(what: str, terminal: Terminal) -> None:
    edit, said = WRONG[what]
    done = edited(terminal, edit)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def in_provenance(terminal: Terminal, edit: Callable[[dict[str, Any]], object]) -> None:
    """Another provenance of the same image."""
    path = terminal.directory / "p.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def test_a_derivation_that_is_not_reproducible_is_told(terminal: Terminal) -> None:
    change_byte(build(terminal), "bin/app")
    (byproduct,) = json.loads((terminal.directory / "p.json").read_text())["runDetails"][
        "byproducts"
    ]
    other = {**byproduct, "digest": {"narSha256": "0" * 64}}
    in_provenance(terminal, lambda found: found["runDetails"].update(byproducts=[other]))
    (told,) = by_provenance(terminal)["reasons"]
    assert told.startswith(f"the derivation of {OUT} gives other bytes each time: NAR hash 0000")


def test_another_version_is_told_where_nothing_else_explains_it(terminal: Terminal) -> None:
    change_byte(build(terminal), "etc/passwd")
    in_provenance(
        terminal,
        lambda found: found["buildDefinition"]["internalParameters"].update(nix2oci="0.0.1"),
    )
    (told,) = by_provenance(terminal)["reasons"]
    assert told.startswith("another version of nix2oci: 0.0.1 made the image, this is ")


def test_a_statement_is_read_as_its_predicate_is(terminal: Terminal) -> None:
    def wrap(found: dict[str, Any]) -> None:
        predicate = dict(found)
        found.clear()
        found |= {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "x", "digest": {"sha256": "0" * 64}}],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": predicate,
        }

    assert edited(terminal, wrap).returncode == 0


def test_a_provenance_that_is_not_there_is_an_error(terminal: Terminal) -> None:
    build(terminal)
    done = verify(terminal, "--provenance", "q.json")
    assert (done.returncode, done.stdout) == (8, "")
    assert "cannot read q.json: No such file or directory" in done.stderr

"""`--slim` of build and plan, and what the image says of it."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT
from support.fakestore import Node, Program
from support.pushbuild import Shop, reused
from support.terminal import Terminal

from nix2oci.model.slim_rules import RULES
from nix2oci.oci.spec import LAYER_FORM, SLIMMED

APP: dict[bytes, Node] = {
    b"bin": {b"app": Program(b"\x7fELF a program"), b"again": Program(b"\x7fELF a program")},
    b"include": {b"app.h": b"int app;\n"},
    b"share": {b"doc": {b"app": {b"README": b"read me\n" * 99, b"LICENSE": b"MIT\n"}}},
}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path, APP)


def build(terminal: Terminal, *options: str) -> Any:
    done = terminal.run("build", ".#app", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def inspected(terminal: Terminal, image: str) -> Any:
    done = terminal.run("inspect", image, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(terminal: Terminal, image: str) -> list[str]:
    """The files of the store path in an image."""
    done = terminal.run("export", image, "-o", "files.tar")
    assert done.returncode == 0, done.stderr
    with tarfile.open(terminal.directory / "files.tar") as tar:
        return [name for name in tar.getnames() if OUT[1:] in name]


def test_what_nobody_reads_is_left_out_and_licences_stay(terminal: Terminal) -> None:
    slim = build(terminal, "--slim", "1", "-o", "slim")
    found = " ".join(listed(terminal, "slim"))
    assert "LICENSE" in found
    assert "bin/app" in found
    assert "README" not in found
    assert "include" not in found
    assert slim["slim"] == {"rules": ["docs", "dev", "pyc", "duplicates"], "against": {}}
    done = terminal.run("validate", "slim")
    assert (done.returncode, "0 errors" in done.stdout) == (0, True), done.stdout
    assert inspected(terminal, "slim")["slim"] == ["docs.1", "dev.1", "pyc.1", "duplicates.1"]
    text = terminal.run("inspect", "slim").stdout
    assert "left out:   docs.1 dev.1 pyc.1 duplicates.1" in text


def test_nothing_is_left_out_unless_it_is_asked_for(terminal: Terminal) -> None:
    without, none = build(terminal, "-o", "a"), build(terminal, "--slim", "none", "-o", "b")
    assert without["digest"] == none["digest"]
    assert without["slim"] is none["slim"] is None
    assert inspected(terminal, "a")["slim"] == []


def test_the_file_of_settings_asks_and_a_flag_asks_instead(terminal: Terminal) -> None:
    settings = terminal.directory / "nix2oci.yaml"
    settings.write_text("slim: [docs, dev]\n")
    of_file = build(terminal, "--config", "nix2oci.yaml", "-o", "a")
    assert of_file["slim"]["rules"] == ["docs", "dev"]
    of_flag = build(terminal, "--config", "nix2oci.yaml", "--slim", "dev,docs", "-o", "b")
    assert of_flag["digest"] == of_file["digest"]
    assert build(terminal, "--config", "nix2oci.yaml", "--slim=none", "-o", "c")["slim"] is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("3", "expected none, 1, 2 or names of rules, got 3"),
        ("manuals", "unknown rule 'manuals'"),
        ("docs,docs", "'docs' is there twice"),
        ("docs,", "unknown rule ''"),
        ("", "unknown rule ''"),
    ],
)
def test_what_is_no_rule_is_refused(terminal: Terminal, value: str, words: str) -> None:
    done = terminal.run("build", ".#app", f"--slim={value}", "-o", "x")
    assert done.returncode == 2
    assert words in done.stderr
    assert terminal.left() == []


def test_the_name_of_a_rule_that_was_probably_meant_is_told(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "--slim", "doc", "-o", "x")
    assert "hint: did you mean 'docs'?" in done.stderr


def test_a_plan_tells_what_each_rule_would_save(terminal: Terminal) -> None:
    done = terminal.run("plan", ".#app", "--slim", "1")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert rows["docs"][:4] == ["yes", "1", "792", "B"]
    assert rows["dev"][:4] == ["yes", "1", "9", "B"]
    assert rows["duplicates"][:4] == ["yes", "1", "14", "B"]
    assert rows["gconv"][:2] == ["no", "0"]
    document = json.loads(terminal.run("plan", ".#app", "--slim", "docs", "--json").stdout)
    assert document["slim"]["rules"] == ["docs"]
    assert list(document["slim"]["savings"]) == list(RULES)
    saved = document["slim"]["savings"]["docs"]
    assert (saved["files"], saved["size"]) == (1, 792)
    assert 0 < saved["compressed"] < 792


def test_a_plan_that_is_not_slim_tells_nothing_of_it(terminal: Terminal) -> None:
    done = terminal.run("plan", ".#app", "--json")
    assert json.loads(done.stdout)["slim"] is None
    assert "duplicates" not in terminal.run("plan", ".#app").stdout


def test_what_speaks_against_a_rule_is_said_and_the_rule_does_not_hold(tmp_path: Path) -> None:
    uses: Node = {**APP, b"lib": {b"help": f"see {OUT}/share/doc/app/README".encode()}}
    assert isinstance(uses, dict)
    terminal = Terminal.make(tmp_path, uses)
    done = terminal.run("build", ".#app", "--slim", "1", "-o", "a")
    assert "nix2oci: docs stays: " in done.stderr
    assert "app-1.0/lib/help names one" in done.stderr
    assert any("README" in name for name in listed(terminal, "a"))
    done = terminal.run("build", ".#app", "--slim", "docs", "-o", "b")
    assert "nix2oci: docs is left out as asked: " in done.stderr
    assert not any("README" in name for name in listed(terminal, "b"))


def test_a_file_that_would_lead_nowhere_is_refused(terminal: Terminal) -> None:
    (terminal.directory / "nix2oci.yaml").write_text(
        'files:\n  /srv/www: {source: ".#app", path: share/doc/app}\n'
    )
    done = terminal.run("build", ".#app", "--config", "nix2oci.yaml", "--slim", "1", "-o", "x")
    assert done.returncode == 2, done.stderr
    assert "cannot leave out docs: /srv/www is a link to" in done.stderr
    assert "hint: name rules without it: --slim dev,pyc,duplicates" in done.stderr


def test_a_changed_file_is_found_though_it_is_left_out(terminal: Terminal) -> None:
    file = Path(f"{terminal.fake.root}{OUT}/include/app.h")
    os.chmod(file.parent, 0o755)
    os.chmod(file, 0o644)
    file.write_text("int App;\n")
    done = terminal.run("build", ".#app", "--slim", "dev", "-o", "x", "--no-cache")
    assert done.returncode == 4
    assert "do not match the hash that Nix recorded" in done.stderr


def test_a_slim_layer_is_kept_apart_from_the_whole_one(terminal: Terminal) -> None:
    whole = build(terminal, "-o", "a")
    slim = build(terminal, "--slim", "dev", "-o", "b")
    again = build(terminal, "--slim", "dev", "-o", "c")
    assert slim["layers"][0]["digest"] != whole["layers"][0]["digest"]
    assert again["digest"] == slim["digest"]
    assert again["read"]["files"] == 0
    assert terminal.run("validate", "c").returncode == 0


def test_an_image_of_one_layer_is_slim_without_hard_links(terminal: Terminal) -> None:
    slim = build(terminal, "--slim", "1", "--max-layers", "1", "-o", "a")
    assert slim["slim"]["rules"] == ["docs", "dev", "pyc"]
    assert terminal.run("validate", "a").returncode == 0
    assert inspected(terminal, "a")["slim"] == ["docs.1", "dev.1", "pyc.1"]


def test_a_registry_has_slim_layers_for_slim_images_alone(shop: Shop) -> None:
    first = shop.push("--slim", "docs")
    annotations = shop.manifest()["layers"][0]["annotations"]
    assert annotations[LAYER_FORM].endswith(" slim docs.1")
    assert SLIMMED in annotations
    shop.edit("the second one")
    second = shop.push("--slim", "docs")
    assert sum(reused(second)) == 1
    assert shop.manifest()["layers"][0]["annotations"] == annotations
    assert second["digest"] != first["digest"]
    assert not any(reused(shop.push()))
    assert not any(reused(shop.push("--slim", "dev")))


@pytest.mark.parametrize("value", ["", "sha256:12", None])
def test_a_record_that_is_none_is_not_believed(shop: Shop, value: str | None) -> None:
    shop.push("--slim", "docs")
    document = shop.manifest()
    for layer in document["layers"]:
        if SLIMMED in layer.get("annotations", {}):
            layer["annotations"][SLIMMED] = value
    shop.replace_manifest(document)
    shop.edit("the second one")
    assert not any(reused(shop.push("--slim", "docs")))

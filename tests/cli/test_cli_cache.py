"""`nix2oci cache`, and what build says and does with its options."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT
from support.paths import DOCS
from support.terminal import Terminal

JSON_PAGE = (DOCS / "json.md").read_text()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def build(terminal: Terminal, *options: str, **env: str) -> str:
    """What build says on stderr."""
    done = terminal.run("build", ".#app", "-o", "x", *options, **env)
    assert done.returncode == 0, done.stderr
    return done.stderr


def cache_of(terminal: Terminal) -> Path:
    return terminal.fake.directory / ".cache/nix2oci"


def show(terminal: Terminal, *args: str, **env: str) -> Any:
    done = terminal.run("cache", *(args or ("show",)), "--json", **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def documented(table: int) -> set[str]:
    found = re.search(r"^## cache\n(.*?)(?=^## |\Z)", JSON_PAGE, re.DOTALL | re.MULTILINE)
    assert found
    rows = found[1].split("|---|---|\n")[1:][table]
    cells = re.findall(r"^\| (.*?) \|", rows, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def test_a_second_build_finds_the_layers_of_the_first(terminal: Terminal) -> None:
    assert "are in the cache" not in build(terminal)
    first = (terminal.directory / "x/index.json").read_bytes()
    assert "\nnix2oci: 1 of 2 layers are in the cache\n" in build(terminal)
    assert (terminal.directory / "x/index.json").read_bytes() == first


def test_the_cache_is_where_xdg_says(terminal: Terminal, tmp_path: Path) -> None:
    build(terminal, XDG_CACHE_HOME=str(tmp_path / "elsewhere"))
    assert "nix2oci" in os.listdir(tmp_path / "elsewhere")
    build(terminal, XDG_CACHE_HOME="relative")
    assert cache_of(terminal).is_dir(), "a relative path counts for nothing"


def test_show_names_what_is_kept(terminal: Terminal) -> None:
    build(terminal)
    document = show(terminal)
    (layer,) = document["layers"]
    assert layer["paths"] == [OUT]
    assert (document["directory"], document["limit"]) == (str(cache_of(terminal)), 10**10)
    assert (set(document), set(layer)) == (documented(0), documented(1))
    head, row, summary = terminal.run("cache", "show").stdout.splitlines()
    assert head.split() == ["used", "size", "paths", "names"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d +\d+ B +1 +app-1\.0", row)
    assert re.fullmatch(
        rf"[\d.]+ k?B of 10\.0 GB in {cache_of(terminal)}: 1 layer, facts of \d store paths?"
        ", 1 answer of Nix",
        summary,
    )


def test_quiet_shows_the_table_alone(terminal: Terminal) -> None:
    build(terminal)
    assert len(terminal.run("cache", "show", "-q").stdout.splitlines()) == 2
    assert terminal.run("cache", "clear", "-q").stdout == ""


def test_clear_removes_all(terminal: Terminal) -> None:
    build(terminal)
    size = show(terminal)["size"]
    document = show(terminal, "clear")
    assert (document["removed"], document["size"], document["layers"]) == (size, 0, [])
    assert not cache_of(terminal).exists()
    done = terminal.run("cache", "show")
    assert done.stdout == (
        f"0 B of 10.0 GB in {cache_of(terminal)}: 0 layers, facts of 0 store paths\n"
    )


def test_prune_removes_down_to_the_size(terminal: Terminal) -> None:
    build(terminal)
    assert show(terminal, "prune")["removed"] == 0
    assert show(terminal, "prune", "--cache-size", "10")["size"] == 0
    assert terminal.run("cache", "prune").stdout.startswith("removed 0 B; 0 B of 10.0 GB in ")


def test_a_build_prunes_to_the_size(terminal: Terminal) -> None:
    build(terminal, "--cache-size", "10")
    assert show(terminal)["size"] == 0


def test_a_store_path_that_is_kept_is_not_read_again(terminal: Terminal) -> None:
    """So damage that came to it later does no harm; without the cache it is an error."""
    build(terminal)
    first = (terminal.directory / "x/index.json").read_bytes()
    program = Path(f"{terminal.fake.root}{OUT}/bin/app")
    program.chmod(0o755)
    program.write_bytes(b"a changed program")
    build(terminal)
    assert (terminal.directory / "x/index.json").read_bytes() == first
    assert terminal.run("validate", "x").returncode == 0
    done = terminal.run("build", ".#app", "-o", "y", "--no-cache")
    assert done.returncode == 4
    assert "its contents do not match the hash that Nix recorded" in done.stderr


NOTHING = [
    pytest.param(("--no-cache",), {}, id="--no-cache"),
    pytest.param(("--cache-size", "0"), {}, id="a size of nothing"),
    pytest.param((), {"NIX2OCI_CACHE_SIZE": "0"}, id="a size of nothing in the environment"),
]


@pytest.mark.parametrize(("options", "env"), NOTHING)
def test_neither_reads_nor_writes(
    options: tuple[str, ...], env: dict[str, str], terminal: Terminal
) -> None:
    build(terminal, *options, **env)
    assert not cache_of(terminal).exists()
    build(terminal)
    used = show(terminal)["layers"][0]["used"]
    for path in cache_of(terminal).glob("layers/*"):
        os.utime(path, (used - 100, used - 100))
    assert "are in the cache" not in build(terminal, *options, **env)
    assert show(terminal)["layers"][0]["used"] == used - 100


SIZES = [
    pytest.param("500M", 500_000_000, id="millions"),
    pytest.param("2g", 2_000_000_000, id="a small letter"),
    pytest.param("3KB", 3000, id="with the letter of bytes"),
    pytest.param("1T", 10**12, id="a terabyte"),
    pytest.param("77", 77, id="bytes"),
]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_a_size_may_be_written_as(text: str, size: int, terminal: Terminal) -> None:
    assert show(terminal, "show", "--cache-size", text)["limit"] == size
    assert show(terminal, NIX2OCI_CACHE_SIZE=text)["limit"] == size
    assert show(terminal, "show", "--cache-size", "1", NIX2OCI_CACHE_SIZE=text)["limit"] == 1


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5G", "10%", "1P"])
def test_what_is_no_size_is_an_error(text: str, terminal: Terminal) -> None:
    for argv in (("build", ".#app"), ("cache", "show")):
        done = terminal.run(*argv, f"--cache-size={text}")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"error: --cache-size: '{text}' is not a size\nhint: write it as 500M or 20G\n"
        )
    if text:
        done = terminal.run("cache", "show", NIX2OCI_CACHE_SIZE=text)
        assert done.stderr.startswith(f"error: NIX2OCI_CACHE_SIZE: '{text}' is not a size\n")


def test_a_damaged_layer_is_told_unless_quiet(terminal: Terminal) -> None:
    build(terminal)
    for quiet in (False, True):
        (blob,) = cache_of(terminal).glob("blobs/sha256/*")
        blob.unlink()
        blob.write_bytes(b"damaged")
        said = build(terminal, *(["-q"] if quiet else []))
        assert (f"nix2oci: {blob} is damaged: its layer is made again\n" in said) is not quiet
    assert terminal.run("validate", "x").returncode == 0


def test_a_directory_that_cannot_be_used_is_told_at_v_and_only_once(terminal: Terminal) -> None:
    (terminal.fake.directory / ".cache").mkdir()
    cache_of(terminal).touch()
    assert str(cache_of(terminal)) not in build(terminal)
    said = build(terminal, "-v")
    assert said.count(str(cache_of(terminal))) == 1
    assert "Not a directory" in said


def test_without_a_home_nothing_is_kept(terminal: Terminal) -> None:
    message = "nothing is kept in a cache: neither HOME nor XDG_CACHE_HOME names a place"
    assert message not in build(terminal, HOME="")
    assert f"nix2oci: {message}\n" in build(terminal, "-v", HOME="")
    done = terminal.run("cache", "show", HOME="")
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot find the cache: neither HOME nor XDG_CACHE_HOME names a place\n"
        "hint: set XDG_CACHE_HOME to the directory that it is in\n"
    )


def test_the_directories_are_for_their_owner_alone(terminal: Terminal) -> None:
    os.umask(0)
    build(terminal)
    kept = cache_of(terminal)
    directories = [kept, *(path for path in kept.rglob("*") if path.is_dir())]
    modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in directories}
    assert modes == dict.fromkeys(modes, 0o700)
    assert {path.name for path in directories} >= {"layers", "facts", "sha256"}


@pytest.mark.parametrize(
    ("mode", "owner", "why"),
    [
        pytest.param(
            *(0o770, None, "others can write it (chmod go-w {0})"), id="its group can write it"
        ),
        pytest.param(
            *(0o1777, None, "others can write it (chmod go-w {0})"), id="as others can in /tmp"
        ),
        pytest.param(
            *(0o700, 65534, "it belongs to another user (chown -R 0 {0})"),
            id="somebody else made it first",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
        ),
    ],
)
def test_a_cache_that_others_can_change_is_not_used(
    terminal: Terminal, mode: int, owner: int | None, why: str
) -> None:
    kept = cache_of(terminal)
    kept.mkdir(parents=True)
    kept.chmod(mode)
    if owner is not None:
        os.chown(kept, owner, owner)
    said = build(terminal)
    assert f"nix2oci: the cache at {kept} is not used: {why.format(kept)}\n" in said
    assert os.listdir(kept) == []
    assert "are in the cache" not in build(terminal)


def test_a_cache_that_others_can_only_read_is_used(terminal: Terminal) -> None:
    kept = cache_of(terminal)
    kept.mkdir(parents=True)
    kept.chmod(0o755)
    assert "is not used" not in build(terminal)
    assert "1 of 2 layers are in the cache" in build(terminal)

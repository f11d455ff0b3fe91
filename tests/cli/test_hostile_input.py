"""Small inputs that ask for much time or memory, or that a program could be broken with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from tarfile import LNKTYPE
from typing import Any

import pytest
from support.records import record
from support.smallimage import (
    STORE_LAYER,
    STORE_PATH,
    Layer,
    SmallImage,
    digest_of,
    directory,
    entry,
    tar,
)
from support.terminal import Terminal

INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def in_indexes(root: Path, width: int, depth: int, note: str = "") -> None:
    """Put the image of a layout into an index that lists it so often, and that into another."""
    (entry,) = json.loads((root / "index.json").read_text())["manifests"]
    for _ in range(depth):
        listed = [{**entry, "annotations": {"n": f"{n}{note}"}} for n in range(width)]
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        (root / "blobs/sha256" / digest_of(data)[7:]).write_bytes(data)
        entry = {"mediaType": INDEX, "digest": digest_of(data), "size": len(data)}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def long_name(root: Path) -> None:
    """A file so deep that its directories' names together are gigabytes."""
    name = "/".join(["a"] * 100_000)
    SmallImage((STORE_LAYER, Layer(tar(entry(name))))).write(root)


def wide(root: Path) -> None:
    in_indexes(SmallImage().write(root), 10, 7)


def large(root: Path) -> None:
    in_indexes(SmallImage().write(root), 2, 1, "x" * (9 << 20))


MUCH = Layer(tar(entry("zeros", bytes(64 << 20))), suffix="+gzip")
"""A layer that is read in half a second, and stored in 65 kB."""


def listed(times: int) -> Callable[[Path], None]:
    """One layer so often in one image."""

    def more(manifest: dict[str, Any]) -> None:
        manifest["layers"] *= times

    def agree(config: dict[str, Any]) -> None:
        del config["history"], config["config"]
        config["rootfs"]["diff_ids"] *= times

    def write(root: Path) -> None:
        SmallImage((MUCH,), config=agree, manifest=more).write(root)

    return write


def shared(root: Path) -> None:
    """A thousand images that differ in a variable, of one layer."""
    listed(1)(root)
    (found,) = json.loads((root / "index.json").read_text())["manifests"]
    blobs = root / "blobs/sha256"
    manifest = json.loads((blobs / found["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())

    def put(document: object) -> dict[str, Any]:
        data = json.dumps(document).encode()
        (blobs / digest_of(data)[7:]).write_bytes(data)
        return {"digest": digest_of(data), "size": len(data)}

    entries = []
    for number in range(1000):
        made = put({**config, "config": {"Env": [f"N={number}"]}})
        entries.append({**found, **put({**manifest, "config": {**manifest["config"], **made}})})
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def for_all(root: Path) -> None:
    """An image that is listed for a hundred platforms."""
    listed(1)(root)
    index = json.loads((root / "index.json").read_text())
    platforms = [{"os": "linux", "architecture": f"a{number}"} for number in range(100)]
    index["manifests"] = [{**index["manifests"][0], "platform": each} for each in platforms]
    (root / "index.json").write_text(json.dumps(index))


def replaced(root: Path) -> None:
    """Twenty thousand directories, and then as many files in their places."""
    kinds = (directory, entry)
    entries = [make(f"d{number}") for make in kinds for number in range(20_000)]
    SmallImage((Layer(tar(*entries)),)).write(root)


def chained(root: Path) -> None:
    """Twenty thousand hard links, each to the one before."""
    links = [entry(f"f{n}", type=LNKTYPE, linkname=f"f{n - 1}") for n in range(1, 20_000)]
    SmallImage((Layer(tar(entry("f0"), *links)),)).write(root)


@pytest.mark.parametrize(
    ("write", "command", "code", "said"),
    [
        pytest.param(replaced, "ls", 0, "/d19999", id="files in the places of directories"),
        pytest.param(chained, "inspect", 0, "layer", id="hard links to hard links"),
        pytest.param(shared, "validate", 0, "is valid", id="a thousand images of one layer"),
        pytest.param(for_all, "validate", 1, "more than 64", id="an image for all platforms"),
        pytest.param(listed(900), "validate", 1, "layer-count", id="a layer, 900 times, checked"),
        pytest.param(listed(900), "inspect", 0, "as in layer 1", id="900 times, shown"),
        pytest.param(listed(900), "diff", 0, "no difference", id="900 times, compared"),
        pytest.param(listed(900), "why", 2, "no store path", id="900 times, searched"),
        pytest.param(listed(900), "ls", 0, "/zeros", id="900 times, looked into"),
        pytest.param(listed(1001), "inspect", 8, "more than 1000", id="1001 times, shown"),
        pytest.param(listed(1001), "ls", 8, "more than 1000", id="1001 times, looked into"),
        pytest.param(listed(1001), "validate", 1, "they are not read", id="1001 times, checked"),
        pytest.param(wide, "inspect", 0, "layer", id="ten million ways to an image, read"),
        pytest.param(wide, "validate", 0, "", id="ten million ways to an image, each checked once"),
        pytest.param(large, "validate", 1, "too many to be read [index]", id="an index of 18 MB"),
        pytest.param(long_name, "inspect", 8, "more than 4096 bytes", id="a name that is no path"),
        pytest.param(
            long_name, "validate", 1, "more than 4096 bytes", id="and one that is checked"
        ),
    ],
)
def test_an_image_is_read_in_proportion(
    write: Callable[[Path], None], command: str, code: int, said: str, terminal: Terminal
) -> None:
    write(terminal.directory / "web")
    more = {"diff": ["web"], "why": ["app"]}.get(command, [])
    done = terminal.run(command, "web", *more)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


def odd_store(root: Path) -> None:
    """A store path below a directory whose name is no text."""
    name = os.fsencode("x\udcff/") + STORE_PATH[5:].encode()
    SmallImage((STORE_LAYER, Layer(tar(entry(os.fsdecode(name)))))).write(root)


@pytest.mark.parametrize("command", ["inspect", "validate", "diff", "why", "sbom"])
def test_a_store_whose_name_is_no_text(command: str, terminal: Terminal) -> None:
    odd_store(terminal.directory / "web")
    more = {"diff": ["web"], "why": ["app"]}.get(command, [])
    assert terminal.run(command, "web", *more).returncode in (0, 1)


def test_sizes_that_no_picture_shows(terminal: Terminal) -> None:
    closure = json.loads(record("shop-1.4"))
    for each, size in zip(closure.values(), (1, 2**62, 1, 2**62, 1), strict=True):
        each["narSize"] = size
    (terminal.directory / "closure.json").write_text(json.dumps(closure))
    done = terminal.run("plan", "--closure", "closure.json", "--html", "plan.html")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("labels:\n" + "  a: b\n" * 300_000, "more than 50000 words", id="many labels"),
        pytest.param("cmd: " + "[" * 5000, "nested too deeply", id="many brackets"),
        pytest.param("env: " + "{" * 5000, "nested too deeply", id="many braces"),
        pytest.param("? " * 5000, "nested too deeply", id="many keys in keys"),
    ],
)
def test_settings_are_read_in_proportion(text: str, said: str, terminal: Terminal) -> None:
    (terminal.directory / "closure.json").write_text(record("shop-1.4"))
    (terminal.directory / "nix2oci.yaml").write_text(text)
    done = terminal.run("plan", "--closure", "closure.json", "--config", "nix2oci.yaml")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "path",
    [
        pytest.param([], id="a list"),
        pytest.param({}, id="an object"),
        pytest.param(None, id="null"),
    ],
)
def test_a_recorded_path_that_is_no_text(path: object, terminal: Terminal) -> None:
    (terminal.directory / "closure.json").write_text(json.dumps([{"path": path}]))
    done = terminal.run("plan", "--closure", "closure.json")
    assert done.returncode == 3
    assert "cannot read `nix path-info` output" in done.stderr


def test_a_layout_whose_blobs_lie_elsewhere_is_not_written_to(terminal: Terminal) -> None:
    here = terminal.directory
    assert terminal.run("build", ".#app", "-o", "web").returncode == 0
    (here / "web/blobs").rename(here / "elsewhere")
    (here / "web/blobs").symlink_to("../elsewhere")
    before = sorted((here / "elsewhere/sha256").iterdir())
    done = terminal.run("build", ".#app", "-o", "web", "--labels", "a=b")
    assert done.returncode == 2
    assert "its 'blobs' is a link to another place" in done.stderr
    assert sorted((here / "elsewhere/sha256").iterdir()) == before


# --- the cache ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "layers", "blobs/sha256"], ids=["all", "a part", "deep"])
@pytest.mark.parametrize("action", ["show", "prune", "clear"])
def test_a_cache_that_others_can_change_is_left_alone(
    action: str, name: str, terminal: Terminal
) -> None:
    assert terminal.run("build", ".#app", "-o", "web").returncode == 0
    cache = terminal.fake.directory / ".cache/nix2oci"
    (cache / name).chmod(0o777)
    done = terminal.run("cache", action)
    assert done.returncode == 8
    assert "is not used: others can write it (chmod go-w" in done.stderr
    build = terminal.run("build", ".#app", "-o", "web")
    assert build.returncode == 0
    assert "is not used: others can write it (chmod go-w" in build.stderr


def seal(path: Path, body: str) -> None:
    """Write what is kept under a seal that is right."""
    sealed = hashlib.sha256(f"{path.name}\n{body}".encode()).hexdigest()
    path.write_text(f"{sealed}\n{body}")


def with_field(**changes: Any) -> Callable[[str], str]:
    return lambda body: json.dumps({**json.loads(body), **changes})


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param("layers", lambda _: "[]", id="a layer that is a list"),
        pytest.param("layers", lambda _: "{", id="a layer that is no JSON"),
        pytest.param("layers", with_field(size="x"), id="a size that is text"),
        pytest.param("layers", with_field(digest=None), id="no digest"),
        pytest.param("layers", with_field(media_type="\ud800"), id="text that is no text"),
        pytest.param("layers", with_field(paths=5), id="paths that are a number"),
        pytest.param("facts", lambda _: "null", id="facts that are null"),
        pytest.param(
            "facts",
            lambda body: json.dumps(dict.fromkeys(json.loads(body), 5)),
            id="every fact is a number",
        ),
        pytest.param(
            "facts",
            lambda body: json.dumps(dict.fromkeys(json.loads(body), "\u1234")),
            id="every fact is text that no bytes are",
        ),
    ],
)
def test_what_is_kept_may_be_forged(
    kind: str, change: Callable[[str], str], terminal: Terminal
) -> None:
    assert terminal.run("build", ".#app", "-o", "one").returncode == 0
    for path in (terminal.fake.directory / ".cache/nix2oci" / kind).iterdir():
        seal(path, change(path.read_text().partition("\n")[2]))
    assert terminal.run("cache", "show").returncode == 0
    done = terminal.run("build", ".#app", "-o", "two")
    assert done.returncode == 0, done.stderr
    same = [os.path.join(name, "index.json") for name in ("one", "two")]
    first, second = ((terminal.directory / name).read_bytes() for name in same)
    assert first == second

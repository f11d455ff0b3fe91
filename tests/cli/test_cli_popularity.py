"""`nix2oci popularity` from outside, and builds by the index that it makes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.json_page import documented
from support.paths import DOCS
from support.records import write_fleet
from support.smallimage import Layer, SmallImage, directory, entry, tar
from support.terminal import Terminal

PAGE = (DOCS / "popularity.md").read_text()
STORE = (directory("nix"), directory("nix/store"))
APP, LIB = (
    f"/nix/store/{digit * 32}-{name}" for digit, name in zip("01", ("app-1", "lib-2"), strict=True)
)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal.make(tmp_path)
    write_fleet(terminal.directory)
    return terminal


def records(*names: str) -> list[str]:
    return [word for name in names for word in ("--closure", f"{name}.json")]


ALL = records("shop", "worker", "admin")


def layer(path: str, content: str) -> Layer:
    return Layer(
        tar(*STORE, directory(path[1:], 0o555), entry(f"{path[1:]}/file", content.encode()))
    )


def test_the_summary_is_as_the_page_has_it(terminal: Terminal) -> None:
    (block,) = re.findall(r"\$ nix2oci popularity (--closure .*?)\n(.*?)\n…\n```", PAGE, re.DOTALL)
    done = terminal.run("popularity", "-q", *block[0].split())
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.sub("sha256:([0-9a-f]{4})[0-9a-f]{60}", r"sha256:\1…", done.stdout)
    assert shown.startswith(block[1] + "\n")
    assert (terminal.directory / "popularity.json").exists()


def test_the_index_is_on_stdout_unless_there_is_a_file(terminal: Terminal) -> None:
    one = terminal.run("popularity", *ALL)
    other = terminal.run("popularity", *ALL, "-o", "-")
    summary = terminal.run("popularity", *ALL, "-o", "index.json")
    assert one.stdout == other.stdout == (terminal.directory / "index.json").read_text()
    assert one.stderr == summary.stderr == "nix2oci: planning the layers of 3 images\n"
    digest = "sha256:" + hashlib.sha256(one.stdout.encode()).hexdigest()
    assert summary.stdout.splitlines()[1] == digest
    assert json.loads(one.stdout)["images"] == ["admin", "shop", "worker"]


def test_the_order_of_the_images_does_not_show(terminal: Terminal) -> None:
    one = terminal.run("popularity", *ALL).stdout
    assert terminal.run("popularity", *records("admin", "shop", "worker")).stdout == one


def test_json_has_the_keys_that_are_documented(terminal: Terminal) -> None:
    done = terminal.run("popularity", "--json", *ALL, "-o", "index.json")
    document = json.loads(done.stdout)
    assert set(document) == documented("popularity", 0)
    assert set(document["most"][0]) == documented("popularity", 1)
    assert document["most"][:2] == [
        {"package": "glibc", "nar_size": 30_000_000, "images": 3, "saved": 60_000_000},
        {"package": "python3", "nar_size": 60_000_000, "images": 2, "saved": 60_000_000},
    ]
    assert "worker" not in [each["package"] for each in document["most"]]
    on_stdout = terminal.run("popularity", "-q", "--json", *ALL)
    assert json.loads(on_stdout.stderr) == document
    assert json.loads(on_stdout.stdout)["format"] == 2


def test_an_installable_is_an_image_of_the_fleet(terminal: Terminal) -> None:
    done = terminal.run("popularity", ".#app", "-q")
    assert done.returncode == 0, done.stderr
    (group,) = json.loads(done.stdout)["groups"]
    assert group["images"] == [0]
    assert list(group["packages"]) == ["app"]


def test_an_image_is_counted_by_what_its_files_refer_to(terminal: Terminal) -> None:
    SmallImage([layer(LIB, "x" * 4000), layer(APP, LIB)]).write(terminal.directory / "app.oci")
    done = terminal.run("popularity", "-q", "--image", "app.oci")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["images"] == ["app"]
    ((group),) = document["groups"]
    assert group == {"images": [0], "packages": {"app": 368, "lib": 4312}}


def test_an_image_that_was_built_counts_as_its_installable(terminal: Terminal) -> None:
    assert terminal.run("build", "-q", ".#app").returncode == 0
    of_image = terminal.run("popularity", "-q", "--image", "app.oci")
    assert of_image.stdout == terminal.run("popularity", "-q", ".#app").stdout != ""


@pytest.mark.parametrize(
    ("layers", "cause"),
    [
        pytest.param([Layer(tar(directory("bin")))], "there is no path in it", id="no store path"),
        pytest.param(
            [layer(LIB, APP), layer(APP, LIB)],
            f"{APP} refers to {LIB} refers to {APP}",
            id="two that refer to each other",
        ),
    ],
)
def test_an_image_that_is_no_closure_is_refused(
    terminal: Terminal, layers: list[Layer], cause: str
) -> None:
    SmallImage(layers).write(terminal.directory / "odd.oci")
    done = terminal.run("popularity", "-q", "--image", "odd.oci", "-o", "index.json")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"error: cannot count image odd.oci: {cause}\n"
    assert not (terminal.directory / "index.json").exists()


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        pytest.param("", 3, "cannot count closure bad.json: it printed nothing", id="nothing"),
        pytest.param(
            json.dumps({LIB: {"narHash": "sha256:" + "0" * 64, "narSize": 1, "references": [APP]}}),
            4,
            f"cannot count closure bad.json: {LIB} refers to {APP}, which is not in it",
            id="not closed",
        ),
        pytest.param(None, 8, "cannot read bad.json: No such file or directory", id="no file"),
    ],
)
def test_a_bad_record_among_many_is_named(
    terminal: Terminal, text: str | None, code: int, error: str
) -> None:
    if text is not None:
        (terminal.directory / "bad.json").write_text(text)
    done = terminal.run("popularity", *ALL, *records("bad"), "-o", "index.json")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[0] == f"error: {error}"
    assert "index.json" not in terminal.left()


def test_an_image_in_a_registry_is_looked_for_there(terminal: Terminal) -> None:
    with running(FakeRegistry()) as registry:
        done = terminal.run("popularity", "-q", "--image", f"{registry.registry}/no/such:1")
    assert done.returncode == 6
    assert "error: cannot " in done.stderr


def test_max_layers_is_that_of_the_images(terminal: Terminal) -> None:
    def shared(*options: str) -> Any:
        return json.loads(terminal.run("popularity", "-q", *ALL, *options).stdout)["layers"]

    assert shared() == []
    assert shared("--max-layers", "3") != []


def test_what_layers_says_has_no_part_in_an_index(terminal: Terminal) -> None:
    """The file that it names is the one that is to be made."""
    config = terminal.directory / "config.yaml"
    config.write_text("layers: {popularity: not-there.json, plan-from: nor-this.json}\n")
    done = terminal.run("popularity", "-q", ".#app", "--config", "config.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def test_images_are_planned_and_built_by_the_index(terminal: Terminal) -> None:
    store = ("--store", str(terminal.fake.root))
    done = terminal.run("popularity", ".#app", *ALL, *store, "-o", "index.json")
    assert done.returncode == 0, done.stderr
    digest = (
        "sha256:" + hashlib.sha256((terminal.directory / "index.json").read_bytes()).hexdigest()
    )
    plan = json.loads(terminal.run("plan", "--json", ".#app", "--popularity", "index.json").stdout)
    assert plan["popularity"] == {"closures": 4, "digest": digest}
    assert [each["shared_by"] for each in plan["layers"]] == [1]
    assert plan["layers"][0]["paths"] == [OUT]
    assert terminal.run("build", "-q", ".#app", "--popularity", "index.json").returncode == 0
    image = json.loads(terminal.run("inspect", "--json", "app.oci").stdout)
    assert image["annotations"]["nix2oci.popularity"] == digest
    assert f"\npopularity: {digest}\n" in terminal.run("inspect", "app.oci").stdout


def test_an_image_without_an_index_says_nothing_of_one(terminal: Terminal) -> None:
    terminal.run("build", "-q", ".#app")
    image = json.loads(terminal.run("inspect", "--json", "app.oci").stdout)
    assert "nix2oci.popularity" not in image["annotations"]
    assert "popularity" not in terminal.run("inspect", "app.oci").stdout


def test_images_of_a_fleet_are_planned_to_share(terminal: Terminal) -> None:
    terminal.run("popularity", *ALL, "--max-layers", "3", "-o", "index.json")
    options = ("--max-layers", "3", "--popularity", "index.json", "-q")
    shop, worker = (
        json.loads(terminal.run("plan", "--json", *records(name), *options).stdout)["layers"]
        for name in ("shop", "worker")
    )
    assert shop[0]["paths"] == worker[0]["paths"]
    assert shop[0]["shared_by"] == worker[0]["shared_by"] == 2
    text = terminal.run("plan", *records("shop"), *options).stdout
    assert text.splitlines()[0].split("  ")[0] == "layer"
    assert "  used by  shared by  paths  names" in text


def test_the_page_tells_of_the_index(terminal: Terminal) -> None:
    terminal.run("popularity", *ALL, "-o", "index.json")
    options = ("--popularity", "index.json", "--html", "plan.html")
    assert terminal.run("plan", *records("shop"), *options).returncode == 0
    page = (terminal.directory / "plan.html").read_text()
    assert "Used by says how many of the 3 images of the index sha256:" in page
    assert "shared by, how many of these have the very same layer, or its package" in page

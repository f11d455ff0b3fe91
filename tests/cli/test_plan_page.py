"""`nix2oci plan --html`: the page beside what plan prints anyway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakenix import OUT
from support.fakestore import Node
from support.fleetnix import FleetNix
from support.plans import read
from support.terminal import APP, INFO, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["as text", "as JSON"])
def test_the_page_is_written_beside_what_is_printed(
    terminal: Terminal, form: tuple[str, ...]
) -> None:
    alone = terminal.run("plan", ".#app", *form)
    done = terminal.run("plan", ".#app", *form, "--html", "page.html")
    assert (done.returncode, done.stdout) == (0, alone.stdout)
    assert done.stderr == alone.stderr + "nix2oci: wrote page.html\n"
    assert terminal.left() == ["page.html"]
    page = (terminal.directory / "page.html").read_text(encoding="utf-8")
    assert OUT.rpartition("/")[2] in page
    assert next(read(page).nodes("h1")).text == OUT.rpartition("/")[2].partition("-")[2]


def test_the_page_says_what_starts_and_about_how_large_the_image_will_be(tmp_path: Path) -> None:
    """The estimate is within a tenth of what build makes."""
    text = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(400_000))
    files: dict[bytes, Node] = {b"%d.txt" % n: text[n * 1000 :] for n in range(3)}
    terminal = Terminal.make(tmp_path, {**APP, b"share": files})
    done = terminal.run("plan", ".#app", "--html", "page.html", "--cmd", "--beer")
    assert done.returncode == 0, done.stderr
    page = read((terminal.directory / "page.html").read_text(encoding="utf-8"))
    (starts,) = page.nodes("p", "starts")
    assert starts.text == f"Starts {OUT}/bin/app --beer"
    packed = json.loads(terminal.run("build", ".#app", "--json").stdout)["layers"][0]["size"]
    (edit,) = (row for row in page.named("changes").nodes("tr") if "edit" in row.text)
    said, unit = next(edit.nodes("td")).text.split()
    assert float(said) * {"kB": 1e3, "MB": 1e6}[unit] == pytest.approx(packed, rel=0.1)


def test_a_recorded_closure_has_its_page_without_nix(terminal: Terminal) -> None:
    (terminal.directory / "closure.json").write_text(json.dumps(INFO))
    done = terminal.run("plan", "--closure", "closure.json", "--html", "page.html", PATH="/nowhere")
    assert (done.returncode, done.stderr) == (0, "nix2oci: wrote page.html\n")
    page = read((terminal.directory / "page.html").read_text(encoding="utf-8"))
    assert "Planned from a recorded closure" in page.named("wrappers").text


def test_the_same_plan_is_the_same_page(terminal: Terminal) -> None:
    for seed in ("1", "2"):
        done = terminal.run("plan", ".#app", "-q", "--html", f"{seed}.html", PYTHONHASHSEED=seed)
        assert (done.returncode, done.stderr) == (0, "")
    one, two = (terminal.directory / f"{seed}.html" for seed in ("1", "2"))
    assert one.read_bytes() == two.read_bytes()


def test_stdout_has_the_plan_and_no_page(terminal: Terminal) -> None:
    done = terminal.run("plan", ".#app", "--html", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: cannot write the page to stdout: the plan is there\nhint: name a file\n"
    )


def test_a_page_that_cannot_be_written_is_an_error(terminal: Terminal) -> None:
    done = terminal.run("plan", ".#app", "-q", "--html", "none/page.html")
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr == "error: cannot write none/page.html: No such file or directory\n"


# --- several images ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["as text", "as JSON"])
def test_the_page_of_several_images_is_written_beside_what_is_printed(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    fleet = FleetNix.make(tmp_path)
    fleet.file("images: {worker: {}, web: {}, tool: {}}")
    alone = fleet.run("plan", "--all", *form)
    done = fleet.run("plan", "--all", *form, "--html", "page.html")
    assert (done.returncode, done.stdout) == (0, alone.stdout)
    assert done.stderr == alone.stderr + "nix2oci: wrote page.html\n"
    page = read((fleet.terminal.directory / "page.html").read_text(encoding="utf-8"))
    assert next(page.nodes("h1")).text == "worker, web, tool"
    (shared,) = page.named("matrix").nodes("tr", "shared")
    assert "libshared-1.0" in shared.text
    assert [cell.attributes["title"] for cell in shared.nodes("td", "has")] == ["worker", "web"]


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        pytest.param(("--html", "-"), 2, "cannot write the page to stdout", id="to stdout"),
        pytest.param(("--html", "none/page.html"), 8, "No such file", id="to no directory"),
        pytest.param(
            ("--closure", "closure.json", "--html", "page.html"),
            *(2, "cannot use --closure with several images"),
            id="of a recorded closure",
        ),
    ],
)
def test_a_page_of_several_images_that_cannot_be(
    tmp_path: Path, flags: tuple[str, ...], code: int, said: str
) -> None:
    fleet = FleetNix.make(tmp_path)
    done = fleet.run("plan", "--all", *flags)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert fleet.questions() == []

"""The page of a plan in a browser: it is there, it asks for nothing, its script does its work."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from real.browser import Browser, Seen
from real.images import nix2oci
from support.fakestore import store_path
from support.plans import Node, fleet, read
from support.tools import require

from nix2oci.report.plan_page import plan_page_of_several

DRIVER = """\
<!DOCTYPE html><meta charset="utf-8"><title>a page that clicks in another</title>
<iframe width="1000" height="800" src="page.html"></iframe><pre id="answer"></pre>
<script>
document.querySelector("iframe").onload = (event) => {
  const page = event.target.contentDocument, input = page.querySelector("#filter");
  const alone = () => [...page.querySelectorAll(".alone")];
  const seen = () => ({
    alone: alone().map((layer) => layer.getAttribute("href")),
    hash: page.location.hash,
    status: page.querySelector("#status").textContent,
    shown: [...page.querySelectorAll("#layers tbody tr")].filter((row) => !row.hidden).length,
  });
  const answer = [seen()];
  page.querySelector(".deep").click(); answer.push(seen());
  input.value = "libssl"; input.dispatchEvent(new Event("input")); answer.push(seen());
  page.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" })); answer.push(seen());
  document.querySelector("#answer").textContent = JSON.stringify(answer);
};
</script>
"""

NARROW = """\
<!DOCTYPE html><meta charset="utf-8"><title>a page that measures another</title>
<iframe width="WIDTH" height="800" style="border: 0" src="FILE"></iframe><pre id="answer"></pre>
<script>
document.querySelector("iframe").onload = (event) => {
  const page = event.target.contentDocument, table = page.querySelector("TABLE");
  const right = Math.ceil(table.getBoundingClientRect().right);
  document.querySelector("#answer").textContent =
    `${Math.max(right, page.documentElement.scrollWidth)} of ${page.defaultView.innerWidth}`;
};
</script>
"""


@pytest.fixture(scope="module")
def page(distro: Path, scratch: Path) -> Path:
    """The page of a real plan, in which some layers have several paths."""
    require("chromium")
    directory = scratch / "page"
    directory.mkdir()
    file = directory / "page.html"
    nix2oci("plan", "-q", f"path:{distro}#git", "--max-layers", "12", "--html", file)
    return file


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    require("chromium")
    return Browser(tmp_path)


def tiles(seen: Seen) -> list[Node]:
    """The boxes of store paths."""
    found = read(seen.dom).nodes("span", "tile")
    return [tile for tile in found if "data-names" in tile.attributes]


def classes(node: Node) -> list[str]:
    return (node.attributes.get("class") or "").split()


def test_a_browser_shows_every_store_path_and_complains_of_nothing(
    page: Path, browser: Browser, distro: Path
) -> None:
    seen = browser.see(page)
    plan = json.loads(nix2oci("plan", "-q", "--json", f"path:{distro}#git", "--max-layers", "12"))
    names = [tile.attributes["data-names"] for tile in tiles(seen)]
    assert sorted(map(str, names)) == sorted(path.rpartition("/")[2] for path in plan["sizes"])
    assert seen.console == ()
    assert len([*read(seen.dom).nodes("a", "layer")]) == len(plan["layers"]) == 11
    (form,) = read(seen.dom).nodes("form")
    assert "hidden" not in form.attributes


def test_the_page_asks_for_nothing(page: Path, browser: Browser) -> None:
    assert browser.see(page).requests == set()


def test_what_a_page_asks_for_is_noticed(page: Path, browser: Browser) -> None:
    """That the test above says something."""
    open_ = page.with_name("open.html")
    image = '<img src="http://127.0.0.1:9/x.png">'
    open_.write_text(re.sub(r"<meta http-equiv=[^>]*>", image, page.read_text()))
    assert browser.see(open_).requests == {"http://127.0.0.1:9/x.png"}


def test_the_address_filters(page: Path, browser: Browser, distro: Path) -> None:
    seen = browser.see(page, "#filter=LibSSL")
    bright = [tile for tile in tiles(seen) if "off" not in classes(tile)]
    assert [re.sub(r"^\w+-", "", str(t.attributes["data-names"]))[:6] for t in bright] == ["libssl"]
    table = read(seen.dom).named("layers")
    rows = [row for row in table.nodes("tr") if "hidden" not in row.attributes]
    assert len(rows) == 2
    assert "libssl" in rows[1].text
    sizes = json.loads(nix2oci("plan", "-q", "--json", f"path:{distro}#git"))["sizes"]
    (libssl,) = (size for path, size in sizes.items() if "-libssl-" in path)
    status = f"1 of {len(sizes)} store paths, {libssl / 1e6:.1f} MB"
    assert read(seen.dom).named("status").text == status


@pytest.mark.parametrize("fragment", ["#filter=%", "#zoom=layer-999", "#x", "#filter=<b>"])
def test_a_strange_address_is_no_error(page: Path, browser: Browser, fragment: str) -> None:
    seen = browser.see(page, fragment)
    assert seen.console == ()
    assert not any("alone" in classes(layer) for layer in read(seen.dom).nodes("a", "layer"))


def test_clicks_and_keys_look_into_a_layer_and_out_again(page: Path, browser: Browser) -> None:
    driver = page.with_name("driver.html")
    driver.write_text(DRIVER)
    seen = browser.see(driver)
    answers: list[dict[str, Any]] = json.loads(read(seen.dom).named("answer").text)
    before, clicked, filtered, after = answers
    assert (before["alone"], before["hash"], before["shown"]) == ([], "", 11)
    (layer,) = clicked["alone"]
    assert clicked["hash"] == "#zoom=" + layer[1:]
    assert (filtered["alone"], filtered["shown"]) == ([layer], 1)
    assert filtered["hash"] == f"#filter=libssl&zoom={layer[1:]}"
    assert filtered["status"].startswith("1 of ")
    assert (after["alone"], after["hash"]) == ([], "#filter=libssl")


def test_a_script_that_got_into_the_page_would_not_run(page: Path, browser: Browser) -> None:
    """Also shows that what goes wrong is seen on the console."""
    broken = page.with_name("broken.html")
    bad = '<script>document.title = "bad"</script><img src="http://127.0.0.1:9/" onerror="bad()">'
    broken.write_text(page.read_text().replace("<main>", f"<main>{bad}"))
    seen = browser.see(broken)
    assert next(read(seen.dom.replace("<img", "<input")).nodes("title")).text.startswith("git-")
    assert len(seen.console) >= 2
    assert all("Content Security Policy" in line for line in seen.console)


@pytest.mark.parametrize("script", [True, False], ids=["with its script", "without a script"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_picture_is_in_colour(
    page: Path, browser: Browser, *, dark: bool, script: bool
) -> None:
    file = page if script else page.with_name("still.html")
    if not script:
        file.write_text(re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.DOTALL))
    picture = browser.picture(file, (800, 1300), dark=dark)
    assert (picture.width, picture.height) == (800, 1300)
    common = Counter(picture.pixels).most_common(5)
    assert all(count > 5000 for _, count in common), "no areas of several colours"
    assert (picture.brightness < 128) == dark


def test_many_images_and_layers_are_no_wider_than_a_narrow_window(
    browser: Browser, tmp_path: Path
) -> None:
    images = [f"an-image-of-a-long-name-{number}" for number in range(20)]
    path = str(store_path(f"a-{'very-' * 30}long-name"))
    shared = [(images[: 20 - n], {path: 1, str(store_path(f"p{n}")): 10**9}) for n in range(20)]
    own = [([images[n % 20]], {str(store_path(f"q{n}")): n}) for n in range(80)]
    (tmp_path / "fleet.html").write_bytes(plan_page_of_several(fleet(*shared, *own)))
    assert right_edge(browser, tmp_path / "fleet.html", "#matrix", 500) == "500 of 500"


def test_what_a_change_pushes_fits_a_telephone(
    browser: Browser, distro: Path, tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    nix2oci("plan", "-q", f"path:{distro}#python3-flask", "--html", file)
    assert right_edge(browser, file, "#changes", 400) == "400 of 400"


def right_edge(browser: Browser, file: Path, table: str, width: int) -> str:
    """How far a table of a page reaches in a frame, or the page itself, and how wide that is."""
    answers = {"FILE": file.name, "TABLE": table, "WIDTH": str(width)}
    narrow = re.sub("FILE|TABLE|WIDTH", lambda found: answers[found[0]], NARROW)
    file.with_name("narrow.html").write_text(narrow)
    seen = browser.see(file.with_name("narrow.html"))
    assert seen.console == ()
    return read(seen.dom).named("answer").text

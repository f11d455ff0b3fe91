"""The page of a plan: whole, harmless whatever a script says, the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import (
    APP,
    BASH,
    HOSTILE,
    OPENSSL,
    PYTHON,
    Node,
    change,
    mention,
    outward,
    plan,
    read,
    rows,
    rules,
    shells,
    web,
)

from nix2oci.pipeline.templates import page_template
from nix2oci.report.page.page import page

TEMPLATE = page_template("image")
MANY = plan(*([1000 + n] for n in range(60)), [*range(1, 440)], [50_000_000])
RICH = web(
    shell=shells(),
    popularity={"closures": 47, "digest": "sha256:" + "ab" * 32},
    kept={"from": "app.oci", "excess": 0.042},
)
PLANS = pytest.mark.parametrize(
    "document",
    [web(), RICH, plan([1]), plan([0, 0]), MANY, web(shell=shells(mode="keep"))],
    ids=["recorded", "rich", "one path", "empty paths", "500 paths", "shells kept"],
)


def node(document: dict[str, Any]) -> Node:
    return read(page(document, TEMPLATE))


def place(tile: Node) -> dict[str, float]:
    return {
        side: float(value)
        for side, value in re.findall(r"(\w+):([\d.]+)%", tile.attributes["style"] or "")
    }


def area(tile: Node) -> float:
    """As a share of the box around it."""
    return place(tile)["width"] * place(tile)["height"] / 10_000


def shown(text: str) -> str:
    """A text as `element` shows it."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


# --- whole, and alone ----------------------------------------------------------------------


@PLANS
def test_the_page_is_well_formed(document: dict[str, Any]) -> None:
    root = node(document)
    ids = [each.attributes["id"] for each in root.nodes() if "id" in each.attributes]
    assert len(set(ids)) == len(ids)
    assert [each.tag for each in root.nodes() if each.tag in {"title", "h1", "main"}] == [
        "title",
        "h1",
        "main",
    ]
    assert "{{" not in page(document, TEMPLATE)


@PLANS
def test_nothing_is_loaded_from_elsewhere(document: dict[str, Any]) -> None:
    assert outward(node(document)) == []


def test_a_browser_takes_the_style_and_the_script_and_nothing_else() -> None:
    root = node(RICH)
    assert rules(root)["default-src"] == "'none'"
    for tag in ("style", "script"):
        (own,) = root.nodes(tag)
        digest = base64.b64encode(hashlib.sha256(own.text.encode()).digest()).decode()
        assert rules(root)[f"{tag}-src"] == f"'sha256-{digest}'"


@PLANS
def test_the_same_plan_is_the_same_bytes(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document))
    assert page(again, TEMPLATE) == page(document, TEMPLATE)


# --- harmless ------------------------------------------------------------------------------


def everywhere(text: str) -> dict[str, Any]:
    """A plan in which every text that a file can decide is this one."""
    refusal = {"reason": "x", "path": text, "line": 3, "text": text, "detail": text}
    script = {"file": text, "became": None, "refusal": refusal, "obstacle": None, "was": None}
    said = mention(file=text, text=text, loss=text, kind=text)
    found = shells(
        wrappers=[*shells()["wrappers"], script, script | {"refusal": None, "obstacle": text}],
        staying=[{"path": BASH, "nar_size": 1, "wanted": text, "files": [said]}],
        broken=[said],
        calls={text: [text]},
    )
    found["wrappers"][0]["was"]["operations"][0]["value"] = text
    return web(shell=found, kept={"from": text, "excess": 0.1})


def test_what_a_file_says_is_never_markup() -> None:
    root, harmless = node(everywhere(HOSTILE)), node(everywhere("x"))
    assert [each.tag for each in root.nodes()] == [each.tag for each in harmless.nodes()]
    assert root.text.count(HOSTILE) >= 12


@given(st.text(max_size=100))
def test_what_a_file_says_is_shown_as_it_is(text: str) -> None:
    cells = [cell.text for cell in node(everywhere(text)).nodes("td")]
    assert shown(text.strip()) in cells
    assert shown(text) in cells


def test_a_long_line_is_cut() -> None:
    found = shells(broken=[mention(text="x" * 100_000)])
    assert len(page(web(shell=found), TEMPLATE)) < len(page(web(shell=shells()), TEMPLATE)) + 2000


# --- the picture ---------------------------------------------------------------------------


def test_every_store_path_has_a_box_as_large_as_its_bytes() -> None:
    document = plan([50_000_000], [30_000_000, 10_000_000, 5_000_000], [4_000_000, 1_000_000])
    areas = {}
    for layer in node(document).nodes("a", "layer"):
        for tile in layer.nodes("span", "tile"):
            areas[tile.attributes["data-names"]] = area(layer) * area(tile)
    assert areas == pytest.approx(
        {path.rpartition("/")[2]: size / 100_000_000 for path, size in document["sizes"].items()},
        abs=1e-4,
    )


def test_boxes_of_a_layer_are_in_its_box_and_lead_to_its_row() -> None:
    root = node(web())
    layers = {layer.attributes["href"]: layer for layer in root.nodes("a", "layer")}
    assert set(layers) == {"#layer-1", "#layer-2", "#layer-3"}
    inside = [tile.attributes["data-names"] for tile in layers["#layer-1"].nodes("span", "tile")]
    assert [name and name[33:] for name in inside] == ["bash-5.2", "openssl-3.0"]
    assert "python3-3.12" in root.named("layer-2").text


def test_a_box_tells_name_size_layer_risk_and_users() -> None:
    (tile,) = (
        tile
        for tile in node(RICH).nodes("span", "tile")
        if (tile.attributes["data-names"] or "").endswith("python3-3.12")
    )
    assert (tile.attributes["title"] or "")[33:].split("\n") == [
        "python3-3.12",
        "60.0 MB",
        "layer 2 of 3, with 28.0% of the risk",
        "used by 3 of 47 images",
    ]


def test_what_is_too_small_to_see_is_put_together() -> None:
    root = node(MANY)
    hrefs = [each.attributes["href"] for each in root.named("map").nodes("a")]
    assert hrefs == ["#layer-61", "#layer-62", "#layers"]
    paths, layers = root.nodes("span", "more")
    assert paths.text.startswith("61 439 paths96.6 kB, risk 1.6%")
    assert layers.text.startswith("60 more layers61.8 kB")
    assert len([*layers.nodes("span", "tile")]) == 61
    leaves = [each for each in root.nodes("span", "tile") if "data-names" in each.attributes]
    names = " ".join(leaf.attributes["data-names"] or "" for leaf in leaves).split(" ")
    assert sorted(names) == sorted(path.rpartition("/")[2] for path in MANY["sizes"])


def test_small_paths_of_a_layer_are_counted_in_one_box() -> None:
    root = node(plan([1_000_000, 100_000, 10, 10, 10], [2_000_000]))
    (more,) = root.nodes("span", "more")
    assert more.text.startswith("and 3 more30 B")


@pytest.mark.parametrize(
    ("risk", "colour"),
    [(0, "r0"), (0.0049, "r0"), (0.005, "r1"), (0.05, "r3"), (0.2499, "r4"), (1, "r5")],
)
def test_the_colour_is_the_risk(risk: float, colour: str) -> None:
    document = plan([1])
    document["layers"][0]["risk"] = risk
    (layer,) = node(document).nodes("a", "layer")
    assert (layer.attributes["class"] or "").split() == ["layer", colour]


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    full = colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])
    parts = (int(full[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_can_be_read_on_every_colour() -> None:
    pairs = re.findall(r"--fill: (#\w+); --ink: (#\w+)", TEMPLATE)
    for theme in re.findall(r"--paper: (#\w+); --text: (#\w+); --pale: (#\w+);.*", TEMPLATE):
        pairs += [(theme[0], theme[1]), (theme[0], theme[2])]
    assert len(pairs) == 2 * 6 + 2 * 2
    for ground, ink in pairs:
        dark, light = sorted((luminance(ground), luminance(ink)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, ink)


# --- the words -----------------------------------------------------------------------------


def test_the_head_says_what_it_is() -> None:
    root = node(RICH)
    (heading,), (title,) = root.nodes("h1"), root.nodes("title")
    (facts,) = root.nodes("ul", "facts")
    assert (heading.text, title.text) == ("app-1", "app-1 – layers of an image")  # noqa: RUF001
    assert [part.text for part in facts.nodes("li")] == [
        "73.0 MB in the store, uncompressed",
        "4 store paths",
        "3 store layers",
        "1 wrapper replaced",
    ]
    notes = [note.text for note in root.nodes("p", "note")]
    kept = "The plan of app.oci is kept, so that its layers stay as they are."
    assert notes == [
        f"{kept} It costs 4.2% more than the best plan of this closure alone.",
        "bash-5.2 stays in the image: named in 1 place. See which.",
    ]


def test_development_files_are_a_note() -> None:
    found = [{"path": PYTHON, "nar_size": 60_000_000}, {"path": BASH, "nar_size": 7_000_000}]
    notes = [note.text for note in node(web(development=found)).nodes("p", "note")]
    assert notes == ["Development files in the image, 67.0 MB: python3-3.12, bash-5.2."]
    assert list(node(web()).nodes("p", "note")) == []


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        pytest.param(["/bin/web", "--port", "80"], ["Starts /bin/web --port 80"], id="a program"),
        pytest.param(["/bin/web", "a b", ""], ['Starts /bin/web "a b" ""'], id="in quotes"),
        pytest.param([], ["Starts nothing: it is an image of data."], id="data"),
        pytest.param(None, [], id="a closure, of which that is not known"),
    ],
)
def test_the_head_says_what_the_image_starts(starts: list[str] | None, said: list[str]) -> None:
    assert [line.text for line in node(web(starts=starts)).nodes("p", "starts")] == said


COMPRESSED = {APP: 1_000, PYTHON: 20_000_000, BASH: 3_000_000, OPENSSL: 2_000_000}


@pytest.mark.parametrize(
    ("document", "first"),
    [
        pytest.param(web(compressed=COMPRESSED), "≈ 25.0 MB to pull, compressed", id="an estimate"),
        pytest.param(
            web(compressed=COMPRESSED, base_size=5_000_000),
            "≈ 30.0 MB to pull, compressed, base image included",
            id="on a base image",
        ),
        pytest.param(web(), "73.0 MB in the store, uncompressed", id="nothing is known"),
    ],
)
def test_the_head_says_how_large_it_is(document: dict[str, Any], first: str) -> None:
    (facts,) = node(document).nodes("ul", "facts")
    assert next(facts.nodes("li")).text == first


@pytest.mark.parametrize(
    ("compressed", "pushed", "kind"),
    [
        pytest.param(COMPRESSED, ("1.0 kB", "20.0 MB"), "estimates", id="compressed"),
        pytest.param(None, ("2.0 kB", "60.0 MB"), "uncompressed", id="as far as it is known"),
    ],
)
def test_what_an_edit_and_a_bump_push(
    compressed: dict[str, int] | None, pushed: tuple[str, str], kind: str
) -> None:
    root = node(web(compressed=compressed))
    assert rows(root.named("changes")) == [
        ["To push", "Changed", "Layers", "Paths"],
        [pushed[0], "an edit of the application app-1", "3", "1"],
        [pushed[1], "python3-3.12 60.0 MB", "2, 3", "2"],
    ]
    assert kind in root.text


def test_a_change_of_many_layers_says_how_many() -> None:
    document = plan(*([1] for _ in range(9)))
    document["bumps"] = [change(document["layers"][0]["paths"][0], 9, *range(1, 10))]
    assert "9 of 9" in node(document).named("changes").text


@pytest.mark.parametrize("document", [web(), MANY, plan([5_000_000, 10], [1])])
def test_the_application_is_pinned_where_it_is_however_small(document: dict[str, Any]) -> None:
    root = node(document)
    (pin,) = root.nodes("span", "pin")
    at = {side: value for side, value in place(pin).items() if side in ("left", "top")}
    app = document["app"][0].rpartition("/")[2]
    corners = []
    for layer in root.nodes("a", "layer"):
        around = place(layer)
        for tile in layer.nodes("span", "tile"):
            names = [str(each.attributes.get("data-names")) for each in tile.nodes("span", "tile")]
            if app in " ".join(names).split():
                inner = place(tile)
                corners.append(
                    {
                        "left": around["left"]
                        + around["width"] * (inner["left"] + inner["width"]) / 100,
                        "top": around["top"]
                        + around["height"] * (inner["top"] + inner["height"]) / 100,
                    }
                )
    assert at == pytest.approx(corners[0], abs=0.01)
    assert pin.text == "application"


def test_the_table_has_what_the_picture_shows() -> None:
    heading, *found = rows(node(RICH).named("layers"))
    assert heading == ["Layer", "Risk", "Size", "Used by", "Shared by", "Store paths"]
    assert [row[:5] for row in found] == [
        ["1", "2.0%", "13.0 MB", "40", "unknown"],
        ["2", "28.0%", "60.0 MB", "3", "unknown"],
        ["3", "70.0%", "2.0 kB", "1", "unknown"],
    ]
    assert found[0][5].startswith("bash-5.2, openssl-3.0")


def test_without_an_index_nobody_is_said_to_share() -> None:
    table = node(web()).named("layers")
    assert [head.text for head in next(table.nodes("thead")).nodes("th")] == [
        *("Layer", "Risk", "Size", "Used by", "Store paths")
    ]


def test_findings_name_file_and_line() -> None:
    section = node(RICH).named("wrappers").text
    assert "python3-3.12/lib/python3.12/subprocess.py:1764" in section
    assert "set LANG C" in section
    assert "subprocess with shell=True" in section
    assert "system, popen" in section


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        pytest.param(None, "Planned from a recorded closure", id="no file was read"),
        pytest.param(shells(mode="keep"), "Nothing was looked at", id="--shell keep"),
        pytest.param(
            shells(wrappers=[], staying=[], droppable=[], calls={}),
            "There is no wrapper script and no shell.",
            id="there was nothing",
        ),
        pytest.param(
            shells(dropped=[{"path": BASH, "nar_size": 7_000_000}], saved=7_000_000, staying=[]),
            "1 store path, 7.0 MB, which nothing needs any more.",
            id="a shell was dropped",
        ),
        pytest.param(
            shells(staying=[{"path": BASH, "nar_size": 7, "wanted": "--view sh", "files": []}]),
            "7 B; --view sh.",
            id="a shell is wanted",
        ),
    ],
)
def test_what_was_decided_about_shells(shell: dict[str, Any] | None, said: str) -> None:
    assert said in node(web(shell=shell)).named("wrappers").text

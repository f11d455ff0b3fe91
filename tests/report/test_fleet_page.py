"""The page of several images: every layer once, harmless whatever names say, the same each time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path
from support.plans import HOSTILE, Node, fleet, outward, read, rows, rules

from nix2oci.pipeline.templates import page_template
from nix2oci.report.page.fleet import fleet_page

TEMPLATE = page_template("fleet")
MB = 1_000_000
LIBC, PYTHON, ZLIB, MODEL, WEB, WORKER, TOOL = (
    str(store_path(f"{name}-1"))
    for name in ("libc", "python", "zlib", "model", "web", "worker", "tool")
)
SHOP = fleet(
    (["web"], {MODEL: 5 * MB, ZLIB: MB}),
    (["web", "worker"], {PYTHON: 60 * MB}),
    (["web", "worker", "tool"], {LIBC: 30 * MB}),
    (["tool"], {ZLIB: MB}),
    (["web"], {WEB: 2 * MB}),
    (["worker"], {WORKER: 3 * MB}),
    (["tool"], {TOOL: MB}),
)
ALONE = fleet((["web"], {LIBC: 30 * MB}), (["web"], {WEB: MB}))
NOTHING: dict[str, Any] = {
    "nar_size": 0,
    "stored": 0,
    "layers": [],
    "stored_again": [],
    "images": [{"image": "on-its-base", "roots": [], "sizes": {}}],
}
EMPTY = fleet((["a", "b"], {LIBC: 0}), (["a"], {WEB: 0}), (["b"], {TOOL: 0}))
MANY = fleet(
    *(([f"image{n}" for n in range(20) if n % of == 0], {LIBC: of}) for of in range(1, 20)),
    *(([f"image{n % 20}"], {str(store_path(f"p{n}")): n}) for n in range(80)),
)
FLEETS = pytest.mark.parametrize(
    "document",
    [SHOP, ALONE, NOTHING, EMPTY, MANY],
    ids=["three images", "one image", "no layer", "empty paths", "20 images, 99 layers"],
)


def node(document: dict[str, Any]) -> Node:
    return read(fleet_page(document, TEMPLATE))


def layer_rows(page: Node) -> list[Node]:
    return [
        row
        for row in page.named("matrix").nodes("tr")
        if (row.attributes.get("id") or "").startswith("layer-")
    ]


def paths_of(row: Node) -> list[str]:
    return [code.text for code in row.nodes("code")]


def images_of(row: Node) -> list[str | None]:
    """The images whose columns are filled in a row."""
    return [cell.attributes["title"] for cell in row.nodes("td", "has")]


def names(table: Node) -> list[str]:
    """The names in the first column of groups, and of the largest path in that of layers."""
    return [
        row[0].partition(" layer")[0] if len(row) == 1 else row[1].partition("-")[0]
        for row in rows(table)[1:]
    ]


# --- whole, alone and harmless -------------------------------------------------------------


@FLEETS
def test_the_page_is_well_formed_and_loads_nothing(document: dict[str, Any]) -> None:
    root = node(document)
    ids = [each.attributes["id"] for each in root.nodes() if "id" in each.attributes]
    assert len(set(ids)) == len(ids)
    assert outward(root) == []
    assert "{{" not in fleet_page(document, TEMPLATE)
    assert [*root.nodes("script")] == []
    assert (rules(root)["default-src"], rules(root).get("script-src")) == ("'none'", None)


@FLEETS
def test_the_same_plan_is_the_same_bytes(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document))
    assert fleet_page(again, TEMPLATE) == fleet_page(document, TEMPLATE)


def named(text: str) -> dict[str, Any]:
    """A fleet in which every text that a file can decide is this one."""
    path, other = f"/nix/store/{'0' * 32}-{text}", f"/nix/store/{'1' * 32}-{text}"
    return fleet(
        ([text, "other"], {path: MB}), ([text], {path: MB, other: MB}), (["other"], {WEB: 1})
    )


def test_what_a_name_says_is_never_markup() -> None:
    root, harmless = node(named(HOSTILE)), node(named("x"))
    assert [each.tag for each in root.nodes()] == [each.tag for each in harmless.nodes()]
    assert root.text.count(HOSTILE) == 8


@given(st.text(max_size=60).filter(lambda text: text != "other"))
def test_a_name_is_shown_as_it_is(text: str) -> None:
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    (row, _, _) = layer_rows(node(named(text)))
    assert images_of(row) == [shown, "other"]
    assert shown in {cell.text for cell in node(named(text)).named("images").nodes("th")}


# --- the picture ---------------------------------------------------------------------------

IMAGES = ("a", "b", "c", "d")


@st.composite
def fleets(draw: st.DrawFn) -> dict[str, Any]:
    """Fleets in which layers have paths of their own, and some that others have too."""
    shared = st.sets(st.integers(0, 5), max_size=3)
    layers = []
    for number in range(draw(st.integers(1, 12))):
        images = draw(st.lists(st.sampled_from(IMAGES), min_size=1, unique=True))
        own = {str(store_path(f"own{number}")): draw(st.integers(0, 10**9))}
        more = {str(store_path(f"shared{each}")): 10**each for each in draw(shared)}
        layers.append((images, own | more))
    return fleet(*layers)


@given(fleets())
def test_every_layer_is_there_once_with_its_paths_and_its_images(document: dict[str, Any]) -> None:
    found = [
        (sorted(paths_of(row)), sorted(map(str, images_of(row))))
        for row in layer_rows(node(document))
    ]
    wanted = [(sorted(each["paths"]), sorted(each["images"])) for each in document["layers"]]
    assert sorted(found) == sorted(wanted)


@given(fleets())
def test_filled_cells_are_below_the_name_of_their_image(document: dict[str, Any]) -> None:
    root = node(document)
    columns = [link.text for link in next(root.named("matrix").nodes("thead")).nodes("a")]
    assert columns == [each["image"] for each in document["images"]]
    for row in layer_rows(root):
        cells = [cell for cell in row.parts if isinstance(cell, Node)][-len(columns) :]
        filled = [name for name, cell in zip(columns, cells, strict=True) if cell.text]
        assert filled == images_of(row)


def test_what_most_images_have_comes_first_and_applications_last() -> None:
    assert names(node(SHOP).named("matrix")) == [
        *("In several images 2", "libc", "python"),
        *("In one image 2", "model", "zlib"),
        *("The applications 3", "web", "worker", "tool"),
    ]


def test_an_application_of_two_images_is_theirs_and_no_library() -> None:
    same = fleet((["web", "worker"], {LIBC: MB}), (["web", "worker"], {WEB: MB}))
    assert names(node(same).named("matrix")) == [
        *("In several images 1", "libc", "The applications 1", "web")
    ]


def test_what_one_image_starts_is_a_library_where_another_only_uses_it() -> None:
    both = fleet((["python", "web"], {PYTHON: MB}), (["web"], {WEB: MB}))
    assert names(node(both).named("matrix")) == [
        *("In several images 1", "python", "The applications 1", "web")
    ]


def test_a_group_says_what_it_would_be_without_sharing() -> None:
    groups = [cell.text for cell in node(SHOP).named("matrix").nodes("th", "group")]
    assert groups == [
        "In several images 2 layers, 90.0 MB instead of 210.0 MB",
        "In one image 2 layers, 7.0 MB",
        "The applications 3 layers, 6.0 MB",
    ]


def test_a_bar_is_as_long_as_its_bytes_those_that_are_elsewhere_too_apart() -> None:
    bars = {
        paths_of(row)[0]: [
            (bar.attributes["class"], bar.attributes["style"]) for bar in row.nodes("span", "bar")
        ]
        for row in layer_rows(node(SHOP))
    }
    assert bars[LIBC] == [("bar shared", "width:50.0%"), ("bar again", "width:0.0%")]
    assert bars[MODEL] == [("bar own", "width:8.3%"), ("bar again", "width:1.7%")]


# --- the words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "title", "facts"),
    [
        pytest.param(
            SHOP,
            "web, worker, tool",
            [
                "3 images",
                "7 layers, 2 of them in several images",
                "103.0 MB stored, uncompressed",
                "223.0 MB together, if nothing were shared",
                "1.0 MB stored again, in other layers",
            ],
            id="three images",
        ),
        pytest.param(
            ALONE,
            "web",
            [
                "1 image",
                "2 layers, 0 of them in several images",
                "31.0 MB stored, uncompressed",
                "31.0 MB together, if nothing were shared",
                "0 B stored again, in other layers",
            ],
            id="one image",
        ),
    ],
)
def test_the_head_says_what_people_ask_first(
    document: dict[str, Any], title: str, facts: list[str]
) -> None:
    root = node(document)
    (tab,), (heading,) = root.nodes("title"), root.nodes("h1")
    assert (tab.text, heading.text) == (f"{title} – layers of several images", title)  # noqa: RUF001
    (found,) = root.nodes("ul", "facts")
    assert [part.text for part in found.nodes("li")] == facts


def test_of_many_images_the_head_names_some() -> None:
    (heading,) = node(MANY).nodes("h1")
    assert heading.text == "image0, image1, image2, image3 and 16 more"


def test_each_image_has_its_size_and_what_of_it_others_have_too() -> None:
    assert rows(node(SHOP).named("images")) == [
        ["Image", "", "Size", "Shared", "Own", "Layers"],
        ["web", "", "98.0 MB", "90.0 MB", "8.0 MB", "4"],
        ["worker", "", "93.0 MB", "90.0 MB", "3.0 MB", "3"],
        ["tool", "", "32.0 MB", "30.0 MB", "2.0 MB", "3"],
    ]


def test_what_is_stored_again_names_the_layers_that_have_it() -> None:
    root = node(SHOP)
    assert rows(root.named("again")) == [
        ["Stored again", "Size", "Layers", "Store path"],
        ["1.0 MB", "1.0 MB", "3, 4", ZLIB],
    ]
    links = [link.attributes["href"] for link in root.named("again").nodes("a")]
    assert links == ["#layer-3", "#layer-4"]
    assert all(ZLIB in paths_of(root.named(str(link)[1:])) for link in links)


def test_what_costs_most_is_first_of_what_is_stored_again() -> None:
    document = fleet(
        (["a"], {ZLIB: 3, LIBC: 2}), (["b"], {ZLIB: 3, LIBC: 2}), (["c"], {LIBC: 2}),
    )  # fmt: skip
    found = [(row[0], row[3]) for row in rows(node(document).named("again"))[1:]]
    assert found == [("4 B", LIBC), ("3 B", ZLIB)]


def test_where_nothing_is_stored_again_that_is_said() -> None:
    assert "Every store path is stored once." in node(ALONE).text

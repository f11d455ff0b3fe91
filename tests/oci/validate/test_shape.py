"""Our own rules for documents against the JSON schemas of the image specification."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4
from support.paths import DATA
from support.smallimage import SmallImage
from support.writes import write

from nix2oci.oci.documents import (
    Document,
    problems,
    read_config,
    read_index,
    read_layout_mark,
    read_manifest,
)

SCHEMAS = DATA / "image-spec"
BASES = (
    "",
    *(f"https://opencontainers.org/schema/{at}" for at in ("", "image/", "image/descriptor/")),
)
FORMS: dict[str, Callable[[object], Document]] = {
    "image-layout-schema.json": read_layout_mark,
    "image-index-schema.json": read_index,
    "image-manifest-schema.json": read_manifest,
    "config-schema.json": read_config,
}


def validator(name: str) -> Draft4Validator:
    """The validator of one schema file; all of them are known by every name they use."""
    registry: Registry[Any] = Registry()
    for path in SCHEMAS.glob("*.json"):
        resource = Resource.from_contents(
            json.loads(path.read_text()), default_specification=DRAFT4
        )
        for base in BASES:
            registry = registry.with_resource(base + path.name, resource)
    schema = json.loads((SCHEMAS / name).read_text())
    return Draft4Validator(schema, registry=registry, format_checker=FormatChecker())


def documents(layout: Path) -> dict[str, Any]:
    """The documents of a layout of one image, by the schema that each must follow."""

    def blob(descriptor: Any) -> Any:
        return json.loads((layout / "blobs/sha256" / descriptor["digest"][7:]).read_text())

    index = json.loads((layout / "index.json").read_text())
    manifest = blob(index["manifests"][0])
    found = (json.loads((layout / "oci-layout").read_text()), index, manifest)
    return dict(zip(FORMS, (*found, blob(manifest["config"])), strict=True))


@pytest.mark.parametrize("name", FORMS)
def test_what_we_write_follows_the_schemas(tmp_path: Path, name: str) -> None:
    write(tmp_path / "image", name="example.com/app:1.0")
    document = documents(tmp_path / "image")[name]
    assert [str(error) for error in validator(name).iter_errors(document)] == []
    assert problems(FORMS[name](document)) == ()


def spoiled(document: Any) -> Iterator[tuple[str, Any]]:
    """The document with one value replaced or removed, for every value in it."""
    for path in _paths(document):
        for value in (None, 7, -1, True, "", "x y", [], [None], {}, {"x": None}):
            changed = copy.deepcopy(document)
            _parent(changed, path)[path[-1]] = value
            yield f"{path} = {value!r}", changed
        changed = copy.deepcopy(document)
        del _parent(changed, path)[path[-1]]
        yield f"{path} removed", changed


def _paths(value: Any) -> Iterator[list[Any]]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in items:
        yield [key]
        yield from ([key, *rest] for rest in _paths(child))


def _parent(document: Any, path: list[Any]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


@pytest.mark.parametrize("name", FORMS)
def test_what_a_schema_refuses_our_rules_refuse(tmp_path: Path, name: str) -> None:
    """Every value of every document is spoiled in every way; the schema must not be stricter."""
    document = documents(full_image().write(tmp_path / "image"))[name]
    schema = validator(name)
    cases = [("nothing", document), *((what, changed) for what, changed in spoiled(document))]
    missed = [
        what
        for what, changed in cases
        if not schema.is_valid(changed) and not problems(FORMS[name](changed))
    ]
    assert missed == []
    refused = [what for what, changed in cases if not schema.is_valid(changed)]
    assert len(refused) > 8
    assert problems(FORMS[name](document)) == ()


def full_image() -> SmallImage:
    """An image whose documents have every field that the schemas know."""

    def config(document: Any) -> None:
        document.update(author="me", variant="v8", **{"os.version": "1", "os.features": ["x"]})
        document["config"].update(
            User="1",
            ExposedPorts={"80/tcp": {}},
            Cmd=["x"],
            Volumes={"/v": {}},
            WorkingDir="/",
            Labels={"a": "b"},
            StopSignal="SIGTERM",
            ArgsEscaped=False,
        )
        document["history"][0].update(author="me", comment="c", empty_layer=True)

    def manifest(document: Any) -> None:
        document["annotations"] = {"a": "b"}
        document["layers"][0]["urls"] = ["https://example.com/"]

    def index(document: Any) -> None:
        document["annotations"] = {"a": "b"}
        document["mediaType"] = "application/vnd.oci.image.index.v1+json"
        entry = document["manifests"][0]
        entry["platform"].update(variant="v8", **{"os.version": "1", "os.features": ["x"]})
        entry["urls"] = ["https://example.com/"]

    return SmallImage(config=config, manifest=manifest, index=index)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param([], [("the document", "expected an object, got []")], id="a list"),
        pytest.param(
            {"imageLayoutVersion": "1" * 100},
            [("imageLayoutVersion", "expected 1.0.0, got '" + "1" * 56 + "…")],
            id="a long value is cut",
        ),
        pytest.param({}, [("the document", "'imageLayoutVersion' is missing")], id="nothing"),
    ],
)
def test_a_problem_says_where_and_what(document: Any, expected: list[tuple[str, str]]) -> None:
    assert [(one.place, one.message) for one in problems(read_layout_mark(document))] == expected


@pytest.mark.parametrize(
    ("moment", "valid"),
    [
        ("1980-01-01T00:00:01Z", True),
        ("1980-01-01T00:00:01.123456789+05:30", True),
        ("1980-01-01t00:00:01z", True),
        ("1980-13-01T00:00:01Z", False),
        ("1980-01-01T25:00:01Z", False),
        ("1980-01-01T00:00:01", False),
        ("1980-01-01", False),
        ("now", False),
        (1, False),
    ],
)
def test_times_are_those_of_rfc_3339(moment: object, *, valid: bool) -> None:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": moment,
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    assert (problems(read_config(config)) == ()) is valid

"""Documents that others wrote are read, whatever they hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.smallimage import SmallImage, digest_of

from nix2oci.cli.commands.inspect import inspect
from nix2oci.compare.inputs import image_closure, image_contents
from nix2oci.errors import LayoutError, Nix2OCIError
from nix2oci.oci.documents import (
    Document,
    problems,
    read_config,
    read_docker_manifest,
    read_index,
    read_layout_mark,
    read_manifest,
)
from nix2oci.oci.fields import MAX_DEPTH, parse_json
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.validate.check_image import validate_layout

READERS: tuple[Callable[[object], Document], ...] = (
    read_layout_mark,
    read_index,
    read_manifest,
    read_config,
)
KEYS = (
    *("schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size"),
    *("annotations", "platform", "os", "rootfs", "diff_ids", "history", "Env", "Labels"),
    *("Config", "RepoTags", "Layers", "Entrypoint", "ExposedPorts", "created"),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_any_json_is_read(document: object) -> None:
    for read in READERS:
        found = read(document)
        assert problems(found) or isinstance(document, dict)
    read_docker_manifest(json.dumps(document).encode(), "x")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        pytest.param(b"", "it is not JSON", id="nothing"),
        pytest.param(b"\xff{}", "it is not JSON", id="bytes that are not UTF-8"),
        pytest.param('{"a":1}'.encode("utf-16"), "it is not JSON", id="another encoding"),
        pytest.param(b'{"a": NaN}', "it is not JSON", id="a word that only Python knows"),
        pytest.param(b'["\\ud800"]', "it is not JSON", id="half a character"),
        pytest.param(b"[" * 100_000, "it is not JSON", id="lists without end"),
        pytest.param(b"1" * 5000, "it is not JSON", id="a number that nobody needs"),
        pytest.param(
            b"[" * 65 + b"]" * 65,
            f"its JSON is nested more than {MAX_DEPTH} deep",
            id="lists in lists",
        ),
    ],
)
def test_what_no_tool_reads_is_an_error(data: bytes, cause: str) -> None:
    with pytest.raises(LayoutError) as caught:
        parse_json(data, "x")
    assert str(caught.value) == f"cannot read x: {cause}"


def test_what_is_nested_as_deep_as_may_be_is_read() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "x")


@pytest.mark.parametrize(
    ("config", "place"),
    [
        pytest.param({"Env": None}, "config.Env", id="no variables, as docker import writes it"),
        pytest.param({"ExposedPorts": None}, "config.ExposedPorts", id="no ports"),
        pytest.param({"User": None}, "config.User", id="no user"),
        pytest.param({"Labels": {"a": None}}, "config.Labels['a']", id="an empty label"),
    ],
)
def test_null_is_absent_and_said(tmp_path: Path, config: Any, place: str) -> None:
    def edit(document: Any) -> None:
        document["config"].update(config)

    image = SmallImage(config=edit).write(tmp_path / "image")
    assert [str(found) for found in validate_layout(str(image), 1)] == [
        f"warning: config: {place}: it is null, where it should be left out [null]"
    ]
    run = open_image(str(image)).config().run
    assert (run.user, run.exposed_ports, dict(run.labels)) == ("", (), {})


def spoiled(document: Any) -> Iterator[Any]:
    """The document with each of its values replaced by others."""
    for path in _paths(document):
        for value in (None, 7, "x", [5], {"x": None}, {"x": [5]}):
            changed = copy.deepcopy(document)
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
            yield changed


def _paths(value: Any) -> Iterator[list[Any]]:
    inner = value if isinstance(value, dict) else {}
    for key, child in enumerate(value) if isinstance(value, list) else inner.items():
        yield [key]
        yield from ([key, *rest] for rest in _paths(child))


def full(document: Any) -> None:
    """A configuration with every field that is read."""
    document.update(author="me", variant="v8")
    document["config"].update(User="1", ExposedPorts={"80/tcp": {}}, Cmd=["x"], Volumes={"/v": {}})
    document["config"].update(WorkingDir="/", Labels={"a": "b"}, StopSignal="SIGTERM")


def reads(path: str) -> Iterator[Callable[[], object]]:
    """What reads an image."""
    yield lambda: validate_layout(path, 1)
    yield lambda: image_contents(open_image(path), 1)
    yield lambda: image_closure(open_image(path), 1)
    for more in ([], ["--json"], ["-v"]):
        yield lambda more=more: CliRunner().invoke(  # type: ignore[misc]
            inspect, [path, *more], standalone_mode=False, catch_exceptions=False
        )


@pytest.mark.parametrize("part", ["index", "manifest", "config"])
def test_no_field_of_another_type_is_a_bug(tmp_path: Path, part: str) -> None:
    """Every field of every document, one after the other, for all that reads images."""
    image = SmallImage(config=full).write(tmp_path / "image")
    blobs = image / "blobs/sha256"
    index = json.loads((image / "index.json").read_text())
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())

    def blob(document: Any, described: Any) -> Any:
        data = json.dumps(document).encode()
        (blobs / digest_of(data)[7:]).write_bytes(data)
        return described | {"digest": digest_of(data), "size": len(data)}

    documents = {"index": index, "manifest": manifest, "config": config}
    for changed in spoiled(documents[part]):
        new = copy.deepcopy(documents) | {part: changed}
        if part == "config":
            new["manifest"]["config"] = blob(changed, manifest["config"])
        if part != "index":
            new["index"]["manifests"][0] = blob(new["manifest"], index["manifests"][0])
        (image / "index.json").write_text(json.dumps(new["index"]))
        for read in reads(str(image)):
            with suppress(Nix2OCIError):  # what it says is for other tests
                read()


def lists_itself(image: Path) -> None:
    """An index whose blob lists its own digest: no blob can, and no hash is asked first."""
    kind, digest = "application/vnd.oci.image.index.v1+json", "sha256:" + "0" * 64
    data = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [{"mediaType": kind, "digest": digest, "size": 200}],
        }
    )
    (image / "blobs/sha256" / digest[7:]).write_text(data)
    (image / "index.json").write_text(data)


def test_an_index_that_lists_itself_ends(tmp_path: Path) -> None:
    image = SmallImage(files=lists_itself).write(tmp_path / "image")
    with pytest.raises(LayoutError) as caught:
        open_image(str(image))
    digest = "sha256:" + "0" * 64
    assert str(caught.value) == f"cannot read {image}: blob {digest} has other bytes"
    found = [str(one) for one in validate_layout(str(image), 1)]
    assert found[-1].endswith("[blob-digest]")


def nested(depth: int) -> Callable[[Path], None]:
    """An index of an index of an index."""

    def files(image: Path) -> None:
        kind = "application/vnd.oci.image.index.v1+json"
        data = (image / "index.json").read_bytes()
        for _ in range(depth):
            (image / "blobs/sha256" / digest_of(data)[7:]).write_bytes(data)
            listed = {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
            data = json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode()
        (image / "index.json").write_bytes(data)

    return files


def test_indexes_may_be_nested_but_not_without_end(tmp_path: Path) -> None:
    good = SmallImage(files=nested(8)).write(tmp_path / "good")
    assert validate_layout(str(good), 1) == ()
    assert len(open_image(str(good)).layers()) == 2
    deep = SmallImage(files=nested(9)).write(tmp_path / "deep")
    with pytest.raises(LayoutError) as caught:
        open_image(str(deep))
    cause = "its indexes are nested more than 8 deep"
    assert str(caught.value) == f"cannot read image at {deep}: {cause}"


@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
def test_an_image_of_other_bytes_is_not_shown(tmp_path: Path, part: str) -> None:
    image = SmallImage().write(tmp_path / "image")
    source = open_image(str(image))
    manifest = source.manifest()
    assert manifest.config is not None
    digests = {
        "manifest": source.descriptor.digest,
        "config": manifest.config.digest,
        "layer": manifest.layers[1].digest,
    }
    path = image / "blobs/sha256" / digests[part].hex
    data = bytearray(path.read_bytes())
    data[8] ^= 2 if part == "layer" else 0
    path.write_bytes(data if part == "layer" else data.replace(b"sha256", b"sha257"))
    with pytest.raises(LayoutError, match=f"blob {digests[part]} has"):
        CliRunner().invoke(inspect, [str(image)], standalone_mode=False, catch_exceptions=False)
    with pytest.raises(LayoutError, match=f"blob {digests[part]} has"):
        image_contents(open_image(str(image)), 1)

"""The documents of the image specification: exact bytes out, and nothing taken on trust in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.errors import RepresentationError
from nix2oci.oci.spec import (
    CONFIG,
    INDEX,
    LAYER_GZIP,
    MANIFEST,
    Descriptor,
    Digest,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    canonical_json,
    rfc3339,
    store_paths_digest,
)

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


CREATED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("document", "data"),
    [
        pytest.param({}, b"{}", id="nothing"),
        pytest.param({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}', id="sorted keys"),
        pytest.param({"é": "ü\n"}, '{"é":"ü\\n"}'.encode(), id="UTF-8, not escaped"),
        pytest.param({"B": 1, "a": 2, "A": 3}, b'{"A":3,"B":1,"a":2}', id="bytewise order"),
        pytest.param({"a": {"c": 1, "b": 2}}, b'{"a":{"b":2,"c":1}}', id="sorted at every depth"),
    ],
)
def test_a_document_has_one_form_in_bytes(document: dict[str, object], data: bytes) -> None:
    assert canonical_json(document) == data


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_TEXT, _JSON, max_size=4))
def test_any_document_is_read_back_and_its_order_does_not_show(document: dict[str, object]) -> None:
    data = canonical_json(document)
    assert json.loads(data) == document
    assert canonical_json(dict(reversed(document.items()))) == data


def config() -> ImageConfig:
    return ImageConfig(
        Platform("arm", variant="v7"),
        CREATED,
        (Digest.of(b""), Digest.of(b"x")),
        (History("nix2oci", "first"), History("nix2oci")),
        entrypoint=("/nix/store/app/bin/app", "--flag"),
        cmd=("serve",),
        env=("A=1", "B="),
        user="65532:65532",
        working_dir="/data",
        exposed_ports=("8080/tcp",),
        volumes=("/data",),
        labels={"b": "2", "a": ""},
        stop_signal="SIGINT",
    )


def test_a_full_image_configuration() -> None:
    assert config().to_json() == {
        "architecture": "arm",
        "os": "linux",
        "variant": "v7",
        "created": "2024-05-06T07:08:09Z",
        "config": {
            "User": "65532:65532",
            "Env": ["A=1", "B="],
            "Entrypoint": ["/nix/store/app/bin/app", "--flag"],
            "Cmd": ["serve"],
            "WorkingDir": "/data",
            "ExposedPorts": {"8080/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": {"b": "2", "a": ""},
            "StopSignal": "SIGINT",
        },
        "rootfs": {"type": "layers", "diff_ids": [EMPTY, str(Digest.of(b"x"))]},
        "history": [
            {"created": "2024-05-06T07:08:09Z", "created_by": "nix2oci", "comment": "first"},
            {"created": "2024-05-06T07:08:09Z", "created_by": "nix2oci"},
        ],
    }


def test_what_a_configuration_does_not_say_is_absent() -> None:
    bare = ImageConfig(Platform("amd64"), CREATED, (), ())
    assert bare.to_json() == {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-05-06T07:08:09Z",
        "config": {"WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    }


def test_the_order_of_labels_does_not_show_in_the_bytes() -> None:
    one = ImageConfig(Platform("amd64"), CREATED, (), (), labels={"a": "1", "b": "2"})
    other = ImageConfig(Platform("amd64"), CREATED, (), (), labels={"b": "2", "a": "1"})
    assert canonical_json(one.to_json()) == canonical_json(other.to_json())


def test_the_bytes_of_a_configuration_are_pinned() -> None:
    """A change of this digest changes the ID of every image: announce it as such."""
    assert str(Digest.of(canonical_json(config().to_json()))) == (
        "sha256:b5f93c7e2f8218aefdc33a459d18444fefafa361b7e2e15d0464fc9d08dbc750"
    )


def test_a_manifest() -> None:
    manifest = Manifest(Descriptor.of(CONFIG, b"{}"), (Descriptor.of(LAYER_GZIP, b""),), {"a": "b"})
    assert manifest.to_json() == {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor.of(CONFIG, b"{}").to_json(),
        "layers": [{"mediaType": LAYER_GZIP, "digest": EMPTY, "size": 0}],
        "annotations": {"a": "b"},
    }


def test_an_index() -> None:
    entry = Descriptor.of(MANIFEST, b"{}", platform=Platform("arm64"))
    assert Index((entry,)).to_json() == {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [entry.to_json()],
    }
    assert Index((), {"a": "b"}).to_json() == {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [],
        "annotations": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        pytest.param(datetime(1980, 1, 1, 0, 0, 1, tzinfo=UTC), "1980-01-01T00:00:01Z", id="UTC"),
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00Z", id="the epoch"),
        pytest.param(
            datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            "2023-12-31T23:00:00Z",
            id="another time zone",
        ),
        pytest.param(
            datetime(2024, 1, 1, microsecond=999_999, tzinfo=UTC),
            "2024-01-01T00:00:00Z",
            id="fractions are dropped",
        ),
    ],
)
def test_a_moment_is_written_in_utc_and_whole_seconds(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text


def test_the_digest_of_store_paths_is_that_of_sorted_lines() -> None:
    lines = b"/nix/store/a " + b"01" * 32 + b"\n/nix/store/b " + b"ff" * 32 + b"\n"
    hashes = {"/nix/store/b": b"\xff" * 32, "/nix/store/a": b"\x01" * 32}
    assert store_paths_digest(hashes) == Digest.of(lines)
    assert store_paths_digest({}) == Digest.parse(EMPTY)


def test_text_that_is_not_utf8_cannot_be_in_a_document() -> None:
    with pytest.raises(RepresentationError) as caught:
        canonical_json({"label": "caf\udce9"})
    assert str(caught.value) == (
        """cannot put b'{"label":"caf\\xe9"}' into an image's documents: it is not UTF-8"""
    )

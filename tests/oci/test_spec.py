"""The documents of the image specification: exact bytes out, and nothing taken on trust in."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.errors import ConfigError, LayoutError, RepresentationError
from nix2oci.oci.fields import Fields
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


def test_a_digest_is_the_sha_256_of_the_bytes() -> None:
    assert str(Digest.of(b"")) == EMPTY
    assert Digest.of(b"x").hex == hashlib.sha256(b"x").hexdigest()


@given(st.binary(max_size=20))
def test_any_digest_is_read_as_it_is_printed(data: bytes) -> None:
    assert Digest.parse(str(Digest.of(data))) == Digest.of(data)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("", "''", id="nothing"),
        pytest.param(EMPTY[:-1], f"'{EMPTY[:-1]}'", id="too short"),
        pytest.param(EMPTY + "0", f"'{EMPTY}0'", id="too long"),
        pytest.param(EMPTY.upper(), f"'{EMPTY.upper()}'", id="upper case"),
        pytest.param(EMPTY[7:], f"'{EMPTY[7:]}'", id="no algorithm"),
        pytest.param("sha512:" + "0" * 128, f"'sha512:{'0' * 93}'", id="SHA-512, cut when shown"),
        pytest.param(EMPTY + "\n", f"'{EMPTY}\\n'", id="a newline"),
        pytest.param("sha256:" + "../" * 21 + "x", f"'sha256:{'../' * 21}x'", id="a way out"),
        pytest.param(None, "'None'", id="null"),
        pytest.param(7, "'7'", id="a number"),
    ],
)
def test_what_is_no_digest_is_refused(text: object, shown: str) -> None:
    with pytest.raises(LayoutError) as caught:
        Digest.parse(text)
    assert str(caught.value) == f"cannot read digest {shown}: expected sha256:<64 hex>"
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(
    ("system", "text", "document"),
    [
        pytest.param(
            "x86_64-linux", "linux/amd64", {"architecture": "amd64", "os": "linux"}, id="x86_64"
        ),
        pytest.param(
            "aarch64-linux", "linux/arm64", {"architecture": "arm64", "os": "linux"}, id="aarch64"
        ),
        pytest.param("i686-linux", "linux/386", {"architecture": "386", "os": "linux"}, id="i686"),
        pytest.param(
            "armv7l-linux",
            "linux/arm/v7",
            {"architecture": "arm", "os": "linux", "variant": "v7"},
            id="armv7l",
        ),
        pytest.param(
            "armv6l-linux",
            "linux/arm/v6",
            {"architecture": "arm", "os": "linux", "variant": "v6"},
            id="armv6l",
        ),
        pytest.param(
            "riscv64-linux",
            "linux/riscv64",
            {"architecture": "riscv64", "os": "linux"},
            id="riscv64",
        ),
        pytest.param(
            "powerpc64le-linux",
            "linux/ppc64le",
            {"architecture": "ppc64le", "os": "linux"},
            id="powerpc64le",
        ),
    ],
)
def test_a_nix_system_is_a_platform(system: str, text: str, document: dict[str, object]) -> None:
    platform = Platform.of_system(system)
    assert str(platform) == text
    assert platform.to_json() == document
    assert (Platform.parse(text), platform.system) == (platform, system)


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        pytest.param(Platform("arm64"), True, id="the same"),
        pytest.param(Platform("arm64", variant="v8"), True, id="a variant that one names"),
        pytest.param(Platform("amd64"), False, id="another architecture"),
        pytest.param(Platform("arm64", "windows"), False, id="another system"),
    ],
)
def test_platforms_fit(other: Platform, *, fits: bool) -> None:
    assert Platform("arm64").fits(other) is fits
    assert other.fits(Platform("arm64")) is fits
    assert not Platform("arm", variant="v6").fits(Platform("arm", variant="v7"))


@pytest.mark.parametrize("system", ["x86_64-darwin", "aarch64-darwin", "linux", "", "X86_64-LINUX"])
def test_a_system_that_no_container_runs_is_refused(system: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Platform.of_system(system)
    assert str(caught.value) == (
        f"cannot make an image for system '{system}': no OCI platform is known for it"
    )
    assert caught.value.hint == "name a Linux system with --system, such as x86_64-linux"
    assert caught.value.exit_code == 2


def test_a_descriptor_of_data() -> None:
    descriptor = Descriptor.of(CONFIG, b"{}", annotations={"a": "b"}, platform=Platform("amd64"))
    assert descriptor.to_json() == {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size": 2,
        "annotations": {"a": "b"},
        "platform": {"architecture": "amd64", "os": "linux"},
    }


def test_what_a_descriptor_does_not_say_is_absent_but_a_size_of_zero_is_said() -> None:
    assert Descriptor.of(LAYER_GZIP, b"").to_json() == {
        "mediaType": LAYER_GZIP,
        "digest": EMPTY,
        "size": 0,
    }


_DESCRIPTORS = st.builds(
    Descriptor,
    st.sampled_from([LAYER_GZIP, CONFIG, "application/x"]),
    st.binary(max_size=4).map(Digest.of),
    st.integers(0, 2**63 - 1),
    st.dictionaries(_TEXT, _TEXT, max_size=2),
    st.none()
    | st.builds(Platform, st.just("arm"), st.just("linux"), st.sampled_from([None, "v7"])),
)


def read_descriptor(document: object) -> Descriptor:
    """A document that is a descriptor alone; raises what `Fields.check` does."""
    fields = Fields.of(document)
    found = Descriptor.read(fields)
    fields.check("cannot read descriptor")
    assert found is not None
    return found


@given(_DESCRIPTORS)
def test_any_descriptor_is_read_as_it_is_written(descriptor: Descriptor) -> None:
    document = json.loads(canonical_json(descriptor.to_json()))
    assert read_descriptor(document) == descriptor


NO_ANNOTATIONS: list[tuple[object, str, str, object]] = [
    ([1], "", "an object", [1]),
    ("ab", "", "an object", "'ab'"),
    (7, "", "an object", 7),
    ({"a": 1}, "['a']", "text", 1),
    ({"a": {}}, "['a']", "text", {}),
]
PLATFORMS: list[dict[str, object]] = [{"architecture": 1}, {"os": 7}, {"variant": ["v7"]}]
SIZE = "size: expected a whole number from 0, got "
GOOD: dict[str, object] = {"mediaType": LAYER_GZIP, "digest": EMPTY, "size": 0}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        pytest.param(None, "the document: expected an object, got None", id="null"),
        pytest.param([7], "the document: expected an object, got [7]", id="a list"),
        pytest.param("x", "the document: expected an object, got 'x'", id="text"),
        pytest.param({}, "the document: 'mediaType' is missing", id="nothing in it"),
        pytest.param(
            GOOD | {"mediaType": 1}, "mediaType: expected a media type, got 1", id="type a number"
        ),
        pytest.param(GOOD | {"size": -1}, SIZE + "-1", id="a negative size"),
        pytest.param(GOOD | {"size": "1"}, SIZE + "'1'", id="a size in quotes"),
        pytest.param(GOOD | {"size": 1.5}, SIZE + "1.5", id="half a byte"),
        pytest.param(GOOD | {"size": True}, SIZE + "True", id="a boolean size"),
        pytest.param(GOOD | {"size": None}, "the document: 'size' is missing", id="no size"),
        pytest.param(
            GOOD | {"digest": "md5:0"},
            "digest: expected sha256:<64 hex digits>, got 'md5:0'",
            id="another algorithm",
        ),
        pytest.param(
            {"mediaType": "x", "size": 1},
            "the document: 'digest' is missing",
            id="no digest",
        ),
        *(
            pytest.param(
                GOOD | {"annotations": annotations},
                f"annotations{place}: expected {wanted}, got {got}",
                id=f"annotations are {annotations}",
            )
            for annotations, place, wanted, got in NO_ANNOTATIONS
        ),
        *(
            pytest.param(
                GOOD | {"platform": platform},
                f"platform.{key}: expected text, got {value}",
                id=f"platform is {platform}",
            )
            for platform in PLATFORMS
            for key, value in platform.items()
        ),
    ],
)
def test_what_is_no_descriptor_is_refused(document: object, problem: str) -> None:
    with pytest.raises(LayoutError) as caught:
        read_descriptor(document)
    assert str(caught.value) == f"cannot read descriptor: {problem}"


def test_unknown_fields_of_a_descriptor_are_ignored() -> None:
    document = GOOD | {"urls": ["https://example.com"], "annotations": None, "x": 1}
    assert read_descriptor(document).to_json() == GOOD


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"urls": None}, id="urls"),
        pytest.param({"annotations": {"a": None}}, id="an annotation"),
        pytest.param({"artifactType": None}, id="its artifact type"),
        pytest.param({"platform": None}, id="the platform"),
    ],
)
def test_null_is_absent_in_a_descriptor(more: dict[str, object]) -> None:
    assert read_descriptor(GOOD | more).to_json() == GOOD


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

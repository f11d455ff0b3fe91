"""Digests, platforms and descriptors: what is none is refused, and said."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.errors import ConfigError, LayoutError
from nix2oci.oci.fields import Fields
from nix2oci.oci.spec import (
    CONFIG,
    LAYER_GZIP,
    Descriptor,
    Digest,
    Platform,
    canonical_json,
)

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


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


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
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

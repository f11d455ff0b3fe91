"""Where a path of nix2oci.yaml leads that names an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from nix2oci.config.relative_paths import image_beside


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("./base.oci:1.0", "TOP/./base.oci:1.0", id="a path that says so"),
        pytest.param("../base.oci", "TOP/../base.oci", id="a path upwards"),
        pytest.param("oci:base:1.0", "oci:TOP/base:1.0", id="a path by its prefix"),
        pytest.param("oci-archive:/a.tar:1", "oci-archive:/a.tar:1", id="an absolute path"),
        pytest.param("/a.oci:1", "/a.oci:1", id="an absolute path without a prefix"),
        pytest.param("there.oci", "TOP/there.oci", id="a name that is there"),
        pytest.param("there.oci:1", "TOP/there.oci:1", id="a name that is there, and a tag"),
        pytest.param("debian:12", "debian:12", id="a name that is not there"),
        pytest.param("h.io/a@sha256:1", "h.io/a@sha256:1", id="a reference"),
    ],
)
def test_paths_are_taken_from_where_the_file_is(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "there.oci").mkdir()
    found = image_beside(text, str(tmp_path))
    assert found == expected.replace("TOP", str(tmp_path))

"""What Syft and Trivy list of twelve programs, with and without bills of materials: ./dev scanners.

It starts Nix, and is not marked so: the tests that are take turns with every Nix.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from real.images import Images, nix2oci
from real.scanned import LANGUAGES, added, by_syft, by_trivy
from support.tools import require


@pytest.mark.scanners
@pytest.mark.parametrize(
    "program",
    ["python3-flask", "git", "nginx", "postgresql", "redis", "curl", *sorted(LANGUAGES)],
)
def test_syft_and_trivy_list_no_less_with_the_document(
    program: str, images: Images, tmp_path: Path
) -> None:
    require("syft", "trivy")
    is_added = program in LANGUAGES
    (named,) = (added(program, tmp_path),) if is_added else images.installables(program)
    start = ("--entrypoint", "none") if is_added else ()
    tar = tmp_path / "image.tar"
    nix2oci("build", named, *start, "--name", "image", "-o", tar, "--sbom-dir", tmp_path)
    before, seen = (
        by_syft("scan", f"oci-archive:{tar}"),
        by_trivy(tmp_path, "image", "--input", tar),
    )
    assert before
    for document in (tmp_path / "image.cdx.json", tmp_path / "image.spdx.json"):
        after = by_syft("convert", document)
        assert {*before} <= {*after}, {*before} - {*after}
        found = {each[:3] for each in by_trivy(tmp_path, "sbom", document)}
        assert {each[:3] for each in seen} <= found

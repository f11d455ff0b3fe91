"""Bills of materials of real images: others' judges, and what scanners list with and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real.engines import output
from real.images import Images, nix2oci
from real.scanned import LANGUAGES, Listed, added, by_trivy
from support.judges import cyclonedx_findings, properties, spdx_findings
from support.tools import require

pytestmark = pytest.mark.nix


@pytest.fixture(scope="module")
def made(images: Images, scratch: Path) -> Path:
    """A directory with `flask.tar`, which has a program of each language, and its documents."""
    require("nix", "nix-store")
    directory = scratch / "sbom"
    directory.mkdir()
    paths = [added(language, directory) for language in LANGUAGES]
    flask = images.installables("python3-flask")
    nix2oci(
        "build", *flask, *paths, "--name", "flask",
        "-o", directory / "flask.tar", "--sbom-dir", directory,
    )  # fmt: skip
    return directory


def test_the_judges_find_nothing(made: Path, tmp_path: Path) -> None:
    assert cyclonedx_findings((made / "flask.cdx.json").read_bytes()) == []
    assert spdx_findings((made / "flask.spdx.json").read_bytes(), tmp_path) == []


def test_its_store_paths_are_those_of_the_layers_and_its_edges_what_nix_recorded(
    made: Path,
) -> None:
    document = json.loads((made / "flask.cdx.json").read_bytes())
    image = json.loads(nix2oci("inspect", made / "flask.tar", "--json"))
    inside = {path for layer in image["layers"] for path in layer["paths"]}
    edges = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    paths = {each["bom-ref"] for each in document["components"] if each["bom-ref"].startswith("/")}
    assert paths == inside
    for path in paths:
        recorded = set(output("nix-store", "--query", "--references", path).split()) - {path}
        assert {each for each in edges[path] if each.startswith("/")} == recorded & inside


def test_the_image_alone_gives_the_same_components(made: Path) -> None:
    planned = by_reference((made / "flask.cdx.json").read_bytes())
    found = by_reference(nix2oci("sbom", made / "flask.tar").encode())
    assert found.keys() == planned.keys()
    for ref, known in found.items():
        assert known.items() <= planned[ref].items()


def by_reference(document: bytes) -> dict[str, dict[str, str]]:
    """The properties of each component."""
    return {each["bom-ref"]: properties(each) for each in json.loads(document)["components"]}


def test_a_plan_gives_the_same_bytes_twice(images: Images, made: Path) -> None:
    command = ("sbom", *images.installables("python3-flask"))
    kept = {"XDG_CACHE_HOME": str(made / "cache"), "NIX2OCI_CACHE_SIZE": "1G"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kept.items():
            patch.setenv(name, value)
        first = nix2oci(*command)
        assert nix2oci(*command) == first
    assert cyclonedx_findings(first.encode()) == []


def test_trivy_sees_no_less_with_the_document(made: Path) -> None:
    require("trivy")
    before = by_trivy(made, "image", "--input", made / "flask.tar")
    assert {each.kind for each in before} >= {"python-pkg", "node-pkg", "gemspec", "gobinary"}
    after = by_trivy(made, "sbom", made / "flask.cdx.json")
    # The file of a program is in a heading; archives of Java it leaves out without a database.
    assert {*map(_without_program, before)} <= {*map(_without_program, after)}
    assert {each.kind for each in after} - {each.kind for each in before} <= {"jar"}
    python = [each for each in before if each.kind == "python-pkg"]
    assert python == [each for each in after if each.kind == "python-pkg"]


def _without_program(package: Listed) -> Listed:
    program = package.kind in ("gobinary", "rustbinary")
    return package._replace(file="") if program else package


def test_trivy_reads_spdx_as_well(made: Path) -> None:
    require("trivy")
    before = by_trivy(made, "image", "--input", made / "flask.tar")
    after = by_trivy(made, "sbom", made / "flask.spdx.json")
    assert {each[:3] for each in before} <= {each[:3] for each in after}

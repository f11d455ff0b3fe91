"""A bill of materials in both formats: what stands in it, and that others' judges find it right."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.fakestore import store_path
from support.judges import (
    components,
    cyclonedx_findings,
    notes,
    properties,
    spdx_findings,
    spdx_packages,
)

from nix2oci.oci.spec import Digest, Platform
from nix2oci.trust.components import (
    BaseComponent,
    Bill,
    LanguagePackage,
    PackageFacts,
    StoreComponent,
    Subject,
)
from nix2oci.trust.cyclonedx import cyclonedx
from nix2oci.trust.spdx import spdx

APP, LIB, GONE = (store_path(name) for name in ("app-1.0", "libx++-2-dev", "bash-5.2"))
DIGEST = Digest.of(b"manifest")
SUBJECT = Subject(
    "app", DIGEST, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), Platform("amd64"),
    (("org.opencontainers.image.revision", "abc"),),
)  # fmt: skip
FLASK = LanguagePackage(f"{APP}/lib/flask-2.dist-info/METADATA", "pypi", "Flask", "2.0", "BSD")
FACTS = PackageFacts(
    "app", "1.0.1", "MIT AND Apache-2.0", "https://example.org/", "An app",
    "cpe:2.3:a:maker:app:1.0.1:*:*:*:*:*:*:*", ("pkg:github/maker/app@1.0.1", "no purl"),
    ("CVE-2024-1234.patch", "fix.patch"),
)  # fmt: skip
BILL = Bill(
    SUBJECT,
    (APP,),
    (
        StoreComponent(
            APP, (LIB,), "sha256-abc=", "sha256:1", "/nix/store/x.drv", FACTS,
            (f"{APP}/bin/app",), (FLASK,),
        ),
        StoreComponent(LIB, ()),
    ),
    (LanguagePackage("/opt/package.json", "npm", "@s/p", "1"),),
    BaseComponent("registry.example/debian:12", str(Digest.of(b"base"))),
    (GONE,),
    ("what nobody knows",),
)  # fmt: skip
APP_PURL = f"pkg:nix/app@1.0.1?outputhash={APP.hash_part}"
LIB_PURL = f"pkg:nix/libx%2B%2B@2?output=dev&outputhash={LIB.hash_part}"
APP_ID = f"SPDXRef-{APP.hash_part}-app-1.0"

SMALL = Bill(SUBJECT, (), ())
PLANNED = replace(BILL, subject=replace(SUBJECT, is_written=False), base=None)
ODD = replace(
    BILL,
    components=(
        StoreComponent(
            APP, (), facts=PackageFacts(license="no (licence", homepage="not a page", cpe="cpe:no")
        ),
        StoreComponent(store_path("source"), ()),
    ),
    base=BaseComponent("", str(Digest.of(b"base"))),
)


@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize(
    "bill",
    [
        pytest.param(BILL, id="with all that there is"),
        pytest.param(SMALL, id="of nothing"),
        pytest.param(PLANNED, id="of an image that is not written"),
        pytest.param(ODD, id="with what evaluation should not have said"),
    ],
)
def test_the_judges_find_nothing(bill: Bill, guess: bool, tmp_path: Path) -> None:  # noqa: FBT001
    assert cyclonedx_findings(cyclonedx(bill, guess_cpes=guess)) == []
    assert spdx_findings(spdx(bill, guess_cpes=guess), tmp_path) == []


def test_the_judges_find_what_is_wrong(tmp_path: Path) -> None:
    assert cyclonedx_findings(cyclonedx(BILL).replace(b'"library"', b'"nothing"')) != []
    assert spdx_findings(spdx(BILL).replace(b"SPDXRef-image", b"image"), tmp_path) != []


def test_a_store_path_is_a_component_with_all_that_is_known() -> None:
    found = components(cyclonedx(BILL))[APP_PURL]
    assert (found["name"], found["version"], found["bom-ref"]) == ("app", "1.0.1", str(APP))
    assert found["licenses"] == [{"expression": "MIT AND Apache-2.0"}]
    assert found["cpe"] == FACTS.cpe
    assert properties(found) == {
        "nix:output_path": str(APP),
        "nix:drv_path": "/nix/store/x.drv",
        "nix:nar_hash": "sha256-abc=",
        "nix:layer": "sha256:1",
        "nix:purl": "pkg:github/maker/app@1.0.1",
        "nix:replaced": f"{APP}/bin/app",
    }
    resolved = [each["id"] for p in found["pedigree"]["patches"] for each in p["resolves"]]
    assert resolved == ["CVE-2024-1234"]


def test_what_is_unknown_is_left_out() -> None:
    found = components(cyclonedx(BILL))[LIB_PURL]
    assert {"cpe", "licenses", "pedigree", "description"}.isdisjoint(found)
    assert properties(found) == {"nix:output_path": str(LIB)}


def test_a_guessed_cpe_is_marked() -> None:
    found = components(cyclonedx(BILL, guess_cpes=True))
    assert found[LIB_PURL]["cpe"].startswith(r"cpe:2.3:a:libx\+\+:libx\+\+:2:")
    assert properties(found[LIB_PURL])["nix:cpe_source"] == "guess"
    assert "nix:cpe_source" not in properties(found[APP_PURL])


def test_a_package_of_a_language_is_tied_to_its_file_and_its_store_path() -> None:
    document = json.loads(cyclonedx(BILL))
    found = components(cyclonedx(BILL))["pkg:pypi/flask@2.0"]
    assert found["name"] == "Flask"
    assert properties(found) == {"aquasecurity:trivy:FilePath": FLASK.file[1:]}
    edges = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    assert edges[str(APP)] == sorted([str(LIB), found["bom-ref"]])
    assert edges[str(LIB)] == []


def test_crates_are_those_of_their_program() -> None:
    file = f"{APP}/bin/app"
    crates = tuple(LanguagePackage(file, "cargo", name, "1") for name in ("serde", "tokio"))
    bill = replace(BILL, components=(StoreComponent(APP, (), packages=crates),))
    document = json.loads(cyclonedx(bill))
    (program,) = [each for each in document["components"] if each["type"] == "application"]
    assert program["name"] == file[1:]
    edges = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    assert edges[str(APP)] == [program["bom-ref"]]
    assert edges[program["bom-ref"]] == [each.ref for each in crates]


def test_the_image_is_named_by_its_digest_and_leads_to_its_parts() -> None:
    document = json.loads(cyclonedx(BILL))
    root = document["metadata"]["component"]
    assert root["purl"] == f"pkg:oci/app@sha256%3A{DIGEST.hex}?arch=amd64"
    assert ("nix:dropped", str(GONE)) in [tuple(each.values()) for each in root["properties"]]
    edges = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    base = f"base:{Digest.of(b'base')}"
    assert edges[root["bom-ref"]] == sorted([str(APP), base, "pkg:npm/%40s/p@1#/opt/package.json"])
    assert document["compositions"] == [{"aggregate": "incomplete", "assemblies": [base]}]
    assert str(GONE) not in [each["bom-ref"] for each in document["components"]]


def test_what_cannot_be_known_is_said() -> None:
    metadata = json.loads(cyclonedx(BILL))["metadata"]
    assert properties(metadata) == {"nix2oci:unknown": "what nobody knows"}
    assert "unknown: what nobody knows" in notes(spdx_packages(spdx(BILL))["SPDXRef-image"])


def test_spdx_says_the_same() -> None:
    packages = spdx_packages(spdx(BILL))
    image, app = packages["SPDXRef-image"], packages[APP_ID]
    assert image["name"] == str(DIGEST)
    assert f"dropped: {GONE}" in notes(image)
    assert [each["referenceLocator"] for each in app["externalRefs"]] == [
        APP_PURL,
        "pkg:github/maker/app@1.0.1",
        FACTS.cpe,
    ]
    assert app["licenseDeclared"] == "MIT AND Apache-2.0"
    assert "nix:patch: CVE-2024-1234.patch" in notes(app)
    related = {tuple(each.values()) for each in json.loads(spdx(BILL))["relationships"]}
    lib = f"SPDXRef-{LIB.hash_part}-libx---2-dev"
    by = [(a, kind, b) for b, kind, a in related]
    assert {
        ("SPDXRef-image", "CONTAINS", APP_ID),
        (APP_ID, "DEPENDS_ON", lib),
        ("SPDXRef-image", "DESCENDANT_OF", "SPDXRef-base"),
    } <= {*by}


def test_an_image_that_is_not_written_has_no_digest() -> None:
    root = json.loads(cyclonedx(PLANNED))["metadata"]["component"]
    assert "purl" not in root
    assert "version" not in root
    assert properties(root)["nix:store_paths_digest"] == str(DIGEST)


def test_documents_of_one_image_that_differ_have_different_numbers() -> None:
    one, other = (json.loads(cyclonedx(BILL, guess_cpes=guess)) for guess in (False, True))
    assert one["serialNumber"] != other["serialNumber"]
    one, other = (json.loads(spdx(BILL, guess_cpes=guess)) for guess in (False, True))
    assert one["documentNamespace"] != other["documentNamespace"]
    assert one["documentNamespace"].endswith(str(DIGEST))


def test_a_name_that_has_what_looks_like_a_version_is_split_where_nix_knows_it() -> None:
    path = store_path("gcc-12-base-12.2.0-lib")
    known = StoreComponent(path, (), facts=PackageFacts("gcc-12-base")).named
    assert (known.package, known.version, known.output) == ("gcc-12-base", "12.2.0", "lib")
    guessed = StoreComponent(path, ()).named
    assert (guessed.package, guessed.version) == ("gcc", "12-base-12.2.0")

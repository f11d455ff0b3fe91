"""`nix2oci sbom` and `build --sbom-dir` from outside: a plan, what it became, any image."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import DRV, OUT, info, value
from support.fakestore import Node, Program, nar, sri
from support.judges import components, cyclonedx_findings, properties, spdx_findings
from support.sections import build_information, elf_with_sections
from support.terminal import Terminal
from support.tools_terminal import TOOLS, ToolsTerminal
from support.two_systems import BOTH, place
from support.wrapped_app import BASH, LIB, SHELL, WRAPPED, give

from nix2oci.oci.layout.source import open_image

GO = elf_with_sections({b".go.buildinfo": build_information("go1.22.1", "")})
NODE: Node = {
    b"bin": {b"app": Program(GO)},
    b"lib": {b"flask-2.dist-info": {b"METADATA": b"Name: flask\nVersion: 2.0\n"}},
}
SOURCE = "/nix/store/9xsbazwb84960nz7saz7z551zi6vri7k-source"
ENV = {
    "pname": "app",
    "version": "1.0",
    "src": SOURCE,
    "patches": "/x/CVE-2024-1000.patch",
}
DERIVATION = 'Derive([("out","{}","","")],[("{}.drv",["out"])],[],"s","b",[],[{}])'.format(
    OUT, SOURCE, ",".join(f'("{name}","{text}")' for name, text in ENV.items())
)
FETCHED = (
    f'Derive([("out","{SOURCE}","r:sha256","00")],[],[],"s","b",[],'
    '[("urls","https://github.com/a/app/archive/v1.0.tar.gz")])'
)


@pytest.fixture
def here(tmp_path: Path) -> Terminal:
    terminal = Terminal.make(tmp_path, NODE)
    terminal.fake.place(DRV).write_text(DERIVATION)
    terminal.fake.place(f"{SOURCE}.drv").write_text(FETCHED)
    known = {**info()[OUT], "deriver": DRV, "narHash": sri(NODE), "narSize": len(nar(NODE))}
    terminal.fake.rules.clear()
    terminal.fake.answer("path-info", json.dumps({OUT: known}))
    terminal.fake.answer(
        "flakes eval --json", value(licenses=["MIT"], homepages=["https://example.org"])
    )
    terminal.fake.nix()
    return terminal


def document(terminal: Terminal, *args: str) -> bytes:
    done = terminal.run("sbom", *args, "-o", "made.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return (terminal.directory / "made.json").read_bytes()


APP = f"pkg:nix/app@1.0?outputhash={OUT[11:43]}"


def test_of_a_plan_it_says_what_nix_knows(here: Terminal) -> None:
    data = document(here, ".#app")
    assert cyclonedx_findings(data) == []
    found = components(data)
    assert {*found} == {APP, "pkg:golang/stdlib@v1.22.1", "pkg:pypi/flask@2.0"}
    app = found[APP]
    assert app["licenses"] == [{"expression": "MIT"}]
    assert app["externalReferences"] == [{"type": "website", "url": "https://example.org"}]
    assert properties(app) == {
        "nix:output_path": OUT,
        "nix:drv_path": DRV,
        "nix:nar_hash": sri(NODE),
        "nix:purl": "pkg:github/a/app@v1.0",
    }
    assert app["pedigree"]["patches"][0]["resolves"][0]["id"] == "CVE-2024-1000"


def test_of_other_store_paths_it_says_what_nixpkgs_does_and_asks_once(here: Terminal) -> None:
    give(here, WRAPPED)
    here.fake.rules.clear()
    said = {"pname": "readline", "version": "8.2", "licenses": ["GPL-3.0-or-later"]}
    cpe = "cpe:2.3:a:gnu:readline:8.2:*:*:*:*:*:*:*"
    known = {**said, "cpe": cpe, "purls": ["pkg:generic/readline@8.2"]}
    answer = {os.path.basename(LIB): known, os.path.basename(BASH): None}
    here.fake.answer("legacyPackages", json.dumps(answer))
    locks = {"nodes": {"root": {}}, "root": "root"}
    metadata = {"url": "path:/f?narHash=sha256-x", "lastModified": 1, "locks": locks}
    here.fake.answer("flake metadata", json.dumps(metadata))
    infos = {LIB: ([], SHELL[LIB][0]), BASH: ([LIB], SHELL[BASH][0]), OUT: ([BASH], WRAPPED)}
    here.fake.answer("path-info", json.dumps({p: recorded(*each) for p, each in infos.items()}))
    here.fake.answer("flakes eval --json", value())
    here.fake.nix()
    kept = {"XDG_CACHE_HOME": str(here.directory / "cache")}
    first = here.run("sbom", "--shell", "keep", **kept)
    found = components(first.stdout.encode())
    (readline,) = [each for each in found.values() if each["bom-ref"] == LIB]
    assert (readline["name"], readline["version"], readline["cpe"]) == ("readline", "8.2", cpe)
    assert readline["licenses"] == [{"expression": "GPL-3.0-or-later"}]
    assert properties(readline)["nix:purl"] == "pkg:generic/readline@8.2"
    asked = [each for each in here.fake.calls if "legacyPackages" in " ".join(each)]
    assert len(asked) == 1
    assert here.run("sbom", "--shell", "keep", **kept).stdout == first.stdout
    assert [e for e in here.fake.calls if "legacyPackages" in " ".join(e)] == asked


def test_where_nixpkgs_cannot_be_asked_that_is_said(here: Terminal) -> None:
    here.fake.answer("legacyPackages", stderr="error: infinite recursion", code=1)
    here.fake.rules.insert(0, here.fake.rules.pop())
    here.fake.nix()
    done = here.run("sbom")
    assert done.returncode == 0
    assert "warning: licences and CPEs of most packages are not known" in done.stderr
    assert components(done.stdout.encode())[APP]["licenses"] == [{"expression": "MIT"}]


def recorded(references: list[str], node: Node) -> dict[str, Any]:
    return {"narHash": sri(node), "narSize": len(nar(node)), "references": references}


def test_spdx_is_the_other_format(here: Terminal, tmp_path: Path) -> None:
    data = document(here, ".#app", "--format", "spdx")
    assert spdx_findings(data, tmp_path) == []
    assert here.run("sbom", "--format", "spdx").stdout.encode() == data


def test_twice_the_same_in_other_time_zones_with_and_without_what_was_kept(here: Terminal) -> None:
    kept = {"XDG_CACHE_HOME": str(here.directory / "cache")}
    first = here.run("sbom", TZ="UTC", **kept).stdout
    assert here.run("sbom", TZ="Asia/Tokyo", **kept).stdout == first
    assert here.run("sbom", "--no-cache", PYTHONHASHSEED="7").stdout == first


def test_what_was_found_is_kept_and_not_looked_for_again(here: Terminal) -> None:
    kept = {"XDG_CACHE_HOME": str(here.directory / "cache")}
    first = here.run("sbom", **kept)
    assert "checking store paths" in first.stderr
    again = here.run("sbom", **kept)
    assert "checking store paths" not in again.stderr
    assert again.stdout == first.stdout


def test_what_is_found_in_a_store_path_that_was_changed_is_not_kept(here: Terminal) -> None:
    file = here.fake.root / OUT[1:] / "lib/flask-2.dist-info/METADATA"
    right = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(right.replace(b"2.0", b"9.9"))
    kept = {"XDG_CACHE_HOME": str(here.directory / "cache")}
    assert "pkg:pypi/flask@9.9" in here.run("sbom", **kept).stdout
    file.write_bytes(right)
    assert "pkg:pypi/flask@2.0" in here.run("sbom", **kept).stdout


def test_a_build_writes_both_documents_beside_the_image(here: Terminal, tmp_path: Path) -> None:
    here.run("build", "-o", "plain", "--image-refs", "plain.refs")
    done = here.run("build", "-o", "x", "--sbom-dir", "made/boms", "--image-refs", "refs")
    assert done.returncode == 0, done.stderr
    refs = (here.directory / "refs").read_text()
    assert refs == (here.directory / "plain.refs").read_text(), "an image of other bytes"
    boms = here.directory / "made/boms"
    assert sorted(os.listdir(boms)) == ["app.cdx.json", "app.spdx.json"]
    assert spdx_findings((boms / "app.spdx.json").read_bytes(), tmp_path) == []
    data = (boms / "app.cdx.json").read_bytes()
    assert cyclonedx_findings(data) == []
    root = json.loads(data)["metadata"]["component"]
    assert root["version"] == refs.strip().partition("@")[2]
    diff_ids = open_image(str(here.directory / "x")).config().diff_ids
    assert properties(components(data)[APP])["nix:layer"] == str(diff_ids[0])


def test_a_directory_that_cannot_be_made_is_said_before_anything_is_built(here: Terminal) -> None:
    (here.directory / "file").write_text("")
    done = here.run("build", "-o", "x", "--sbom-dir", "file/boms")
    assert (done.returncode, done.stderr) == (8, "error: cannot write file/boms: Not a directory\n")
    assert here.left() == ["file"]


def parts(data: bytes) -> Any:
    """What a plan and the image that it became both know."""
    made = json.loads(data)
    known = ("nix:output_path", "nix:nar_hash", "nix:layer", "nix:replaced")
    return (
        {
            each["bom-ref"]: {k: v for k, v in properties(each).items() if k in known}
            for each in made["components"]
        },
        made["dependencies"],
        made["metadata"]["component"],
        made["metadata"]["timestamp"],
    )


@pytest.mark.parametrize("place", ["x", "x.tar"])
def test_the_image_alone_says_the_same_of_its_parts(here: Terminal, place: str) -> None:
    here.run("build", "-o", place, "--sbom-dir", ".")
    planned = (here.directory / "app.cdx.json").read_bytes()
    found = document(here, place)
    assert cyclonedx_findings(found) == []
    assert parts(found) == parts(planned)
    unknown = [each["value"] for each in json.loads(found)["metadata"]["properties"]]
    assert unknown[0].startswith("derivers, licences")


def test_what_was_dropped_and_replaced_is_on_record(here: Terminal) -> None:
    give(here, WRAPPED)
    assert here.run("build", "-o", "x", "--sbom-dir", ".").returncode == 0
    for data in ((here.directory / "app.cdx.json").read_bytes(), document(here, "x")):
        made = json.loads(data)
        root = made["metadata"]["component"]["properties"]
        dropped = [each["value"] for each in root if each["name"] == "nix:dropped"]
        assert sorted(dropped) == sorted([BASH, LIB])
        assert [each["bom-ref"] for each in made["components"]] == [OUT]
        assert properties(made["components"][0])["nix:replaced"] == f"{OUT}/bin/app"


def test_a_base_image_is_what_it_is(here: Terminal) -> None:
    here.run("build", "-o", "base", "--tag", "ours/base:1")
    done = here.run("build", "--base", "base", "-o", "x", "--sbom-dir", ".", "--shell", "keep")
    assert done.returncode == 0, done.stderr
    for data in ((here.directory / "app.cdx.json").read_bytes(), document(here, "x")):
        assert cyclonedx_findings(data) == []
        (base,) = [each for each in json.loads(data)["components"] if each["type"] == "container"]
        assert base["version"].startswith("sha256:")
        assert "base@sha256" in base["purl"]


@pytest.mark.parametrize(
    ("args", "said", "code"),
    [
        (("x.json",), "cannot describe x.json: a recorded closure has no files", 2),
        (("nowhere.oci",), "cannot read image at nowhere.oci", 8),
        (("x.oci", ".#app"), "cannot describe an image and something else at once", 2),
        ((".#app", "-o", "no/such/file"), "cannot write no/such/file", 8),
    ],
)
def test_what_cannot_be_described_is_said_in_a_line(
    here: Terminal, args: tuple[str, ...], said: str, code: int
) -> None:
    done = here.run("sbom", *args)
    assert said in done.stderr
    assert (done.returncode, done.stdout) == (code, "")


def test_a_debug_twin_has_documents_of_its_own_with_its_tools(tmp_path: Path) -> None:
    terminal = ToolsTerminal(tmp_path).terminal
    done = terminal.run("build", ".#app", "--debug", "-o", "x", "--sbom-dir", "boms", "--json")
    assert done.returncode == 0, done.stderr
    boms = terminal.directory / "boms"
    names = [f"app{twin}.{kind}.json" for twin in ("-debug", "") for kind in ("cdx", "spdx")]
    assert sorted(os.listdir(boms)) == sorted(names)
    document = json.loads(done.stdout)
    twin = json.loads((boms / "app-debug.cdx.json").read_bytes())
    assert cyclonedx_findings((boms / "app-debug.cdx.json").read_bytes()) == []
    assert twin["metadata"]["component"]["version"] == document["debug"]["digest"]
    plain = json.loads((boms / "app.cdx.json").read_bytes())
    more = {c["bom-ref"] for c in twin["components"]} - {c["bom-ref"] for c in plain["components"]}
    assert more == {TOOLS}


def test_each_platform_has_documents_of_its_own(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    done = terminal.run("build", ".#app", *BOTH, "-o", "x", "--sbom-dir", "boms")
    assert done.returncode == 0, done.stderr
    boms = terminal.directory / "boms"
    names = [f"app-{arch}.{kind}.json" for arch in ("amd64", "arm64") for kind in ("cdx", "spdx")]
    assert sorted(os.listdir(boms)) == sorted(names)
    document = json.loads((boms / "app-arm64.cdx.json").read_bytes())
    assert document["metadata"]["component"]["purl"].endswith("arch=arm64")


def test_what_is_laid_beside_the_store_is_the_images_own(here: Terminal) -> None:
    (here.directory / "package.json").write_text('{"name": "site", "version": "3.0.0"}')
    (here.directory / "nix2oci.yaml").write_text(
        "files: {/srv/package.json: {source: package.json}}\n"
    )
    flags = ("--config", "nix2oci.yaml", "-o", "x", "--sbom-dir", ".")
    done = here.run("build", ".#app", *flags)
    assert done.returncode == 0, done.stderr
    for data in ((here.directory / "app.cdx.json").read_bytes(), document(here, "x")):
        found = components(data)["pkg:npm/site@3.0.0"]
        assert properties(found) == {"aquasecurity:trivy:FilePath": "srv/package.json"}
        made = json.loads(data)
        edges = {each["ref"]: each["dependsOn"] for each in made["dependencies"]}
        assert found["bom-ref"] in edges[made["metadata"]["component"]["bom-ref"]]

"""What layers say of store paths and packages: a file counts as the last layer has it."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from support.fakestore import Program
from support.sections import build_information, elf_with_sections
from support.smallimage import (
    STORE_ENTRIES,
    STORE_OBJECT,
    STORE_PATH,
    Entry,
    Layer,
    SmallImage,
    directory,
    entry,
    nar_hash,
    tar,
)

from nix2oci.model.closure import format_nar_hash
from nix2oci.oci.layout.source import open_image
from nix2oci.publish.image_sbom import image_bill
from nix2oci.trust.components import Bill, LanguagePackage

GO = Program(elf_with_sections({b".go.buildinfo": build_information("go1.22.1", "")})).content
SITE = b'{"name": "site", "version": "1.0.0"}'


def bill(scratch: Path, *layers: Sequence[Entry]) -> Bill:
    path = SmallImage([Layer(tar(*entries)) for entries in layers]).write(scratch / "image")
    return image_bill(open_image(str(path)), 2)


def test_a_store_path_has_the_hash_and_the_layer_that_it_came_with(tmp_path: Path) -> None:
    launcher = entry(STORE_PATH[1:] + "/bin/app", b"\x7fELF another")
    found = bill(tmp_path, STORE_ENTRIES, [*STORE_ENTRIES[:4], launcher])
    (app,) = found.components
    assert str(app.path) == STORE_PATH
    assert app.nar_hash == format_nar_hash(nar_hash(STORE_OBJECT))
    config = open_image(str(tmp_path / "image")).config()
    assert app.layer == str(config.diff_ids[0])
    assert found.roots == (app.path,)


def test_what_no_nar_has_leaves_the_hash_unknown(tmp_path: Path) -> None:
    name = STORE_PATH[1:] + "/lib/c.txt"
    linked = entry(name, type=tarfile.LNKTYPE, linkname=STORE_PATH[1:] + "/lib/a.txt")
    (app,) = bill(tmp_path, [*STORE_ENTRIES, linked]).components
    assert app.nar_hash == ""


def test_a_file_that_is_deleted_or_replaced_counts_no_more(tmp_path: Path) -> None:
    lower = [directory("srv"), entry("srv/package.json", SITE), entry("srv/go", GO)]
    upper = [directory("srv"), entry("srv/.wh.package.json"), entry("srv/go", b"\x7fELF not Go")]
    assert bill(tmp_path, lower, upper).outside == ()


def test_packages_outside_of_store_paths_are_the_images(tmp_path: Path) -> None:
    found = bill(tmp_path, [directory("srv"), entry("srv/package.json", SITE), entry("srv/go", GO)])
    assert found.outside == (
        LanguagePackage("/srv/go", "golang", "stdlib", "go1.22.1"),
        LanguagePackage("/srv/package.json", "npm", "site", "1.0.0"),
    )
    assert found.components == ()


def test_a_package_belongs_to_the_store_path_that_it_is_in(tmp_path: Path) -> None:
    more = entry(STORE_PATH[1:] + "/package.json", SITE, mode=0o444)
    found = bill(tmp_path, [*STORE_ENTRIES, more])
    (app,) = found.components
    (package,) = app.packages
    assert package.file == f"{STORE_PATH}/package.json"
    assert found.outside == ()


def test_references_are_what_files_name(tmp_path: Path) -> None:
    other = STORE_PATH.replace("app-1.0", "lib-2").replace("0123", "3210")
    lib = entry(other[1:], b"uses " + STORE_PATH.encode(), mode=0o444)
    found = bill(tmp_path, STORE_ENTRIES, [*STORE_ENTRIES[:2], lib])
    assert {str(each.path): [str(r) for r in each.references] for each in found.components} == {
        STORE_PATH: [],
        other: [STORE_PATH],
    }
    assert [str(root) for root in found.roots] == [other]

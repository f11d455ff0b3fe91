"""What nixpkgs says of store paths, asked of every Nix, by a flake with its odd corners."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from real.distro import nix
from support.tools import require

from nix2oci.model.closure import StorePath
from nix2oci.nix.client import NixClient
from nix2oci.nix.package_meta import package_meta

pytestmark = pytest.mark.nix

FLAKE = """
{
  outputs = { self }: let
    make = pname: version: meta: (derivation {
      name = "${pname}-${version}";
      builder = "/bin/sh";
      system = "x86_64-linux";
      outputs = [ "out" "lib" ];
    }) // { inherit pname version meta; };
    zlib = make "zlib" "1.3" {
      description = "A  library";
      homepage = [ "https://zlib.net" "https://other" ];
      license = { spdxId = "Zlib"; };
      identifiers = {
        cpe = "cpe:2.3:a:zlib:zlib:1.3:*:*:*:*:*:*:*";
        purls = [ "pkg:github/madler/zlib@v1.3" ];
      };
    };
  in {
    legacyPackages.x86_64-linux = {
      inherit zlib;
      gcc-12-base = make "gcc-12-base" "12.2" { license = throw "no licence"; };
      gcc-12 = throw "gcc-12 was renamed";
      gcc = make "gcc-wrapper" "12.2" { };
      python311Packages.requests = make "python3.11-requests" "2.28" { license = [ ]; };
      stdenv.cc.libc = make "glibc" "2.36" { license = [ { spdxId = "LGPL-2.1-or-later"; } ]; };
      other = make "other" "2" { };
    };
  };
}
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is said of the outputs by their names; three thousand others are asked about too."""
    require("nix")
    flake = tmp_path_factory.mktemp("nixpkgs")
    (flake / "flake.nix").write_text(FLAKE)
    client = NixClient(dict(os.environ))  # noqa: TID251
    packages = f"path:{flake}#legacyPackages.x86_64-linux"
    wanted = [
        *("zlib.out", "zlib.lib", "gcc-12-base.out", "python311Packages.requests.out"),
        *("stdenv.cc.libc.out", "other.out"),
    ]
    apply = "p: map (d: d.outPath) [ " + " ".join(f"p.{name}" for name in wanted) + " ]"
    paths = json.loads(nix("eval", "--json", packages, "--apply", apply))
    renamed = paths[-1].replace("other-2", "zlib-9")
    many = [f"{STORE}{number:032d}-no-such-package-as-this-{number}" for number in range(3000)]
    asked = [StorePath.parse(text) for text in (*paths[:-1], renamed, *many)]
    installable = client.installable(f"path:{flake}")
    found = package_meta(client, installable, "x86_64-linux", asked)
    assert {path for path in asked if found[path]} <= set(asked[:5])
    return dict(zip([*wanted[:-1], "renamed"], map(found.get, asked), strict=False))


STORE = "/nix/store/"


def test_all_that_meta_has_is_known(answers: dict[str, Any]) -> None:
    assert answers["zlib.out"] == {
        "name": "zlib",
        "version": "1.3",
        "license": "Zlib",
        "homepage": "https://zlib.net",
        "description": "A library",
        "cpe": "cpe:2.3:a:zlib:zlib:1.3:*:*:*:*:*:*:*",
        "purls": ["pkg:github/madler/zlib@v1.3"],
    }
    assert answers["zlib.lib"] == answers["zlib.out"]


def test_what_throws_is_not_known_and_no_error(answers: dict[str, Any]) -> None:
    assert answers["gcc-12-base.out"]["name"] == "gcc-12-base"
    assert answers["gcc-12-base.out"]["license"] == ""


def test_packages_of_python_and_the_c_library_are_found(answers: dict[str, Any]) -> None:
    assert answers["python311Packages.requests.out"]["version"] == "2.28"
    assert answers["stdenv.cc.libc.out"]["license"] == "LGPL-2.1-or-later"


def test_a_name_alone_says_nothing(answers: dict[str, Any]) -> None:
    assert answers["renamed"] == {}

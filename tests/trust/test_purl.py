"""Package URLs and CPEs: the forms that scanners read."""

from __future__ import annotations

import pytest

from nix2oci.model.closure import StorePath
from nix2oci.model.package_name import PackageName
from nix2oci.trust.purl import (
    guessed_cpe,
    is_cpe,
    is_purl,
    language_purl,
    nix_purl,
    purl,
    source_purl,
)

HASH = "k6sbazwb84960nz7saz7z551zi6vri7k"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bash-5.2", f"pkg:nix/bash@5.2?outputhash={HASH}"),
        ("openssl-3.0.14-dev", f"pkg:nix/openssl@3.0.14?output=dev&outputhash={HASH}"),
        ("source", f"pkg:nix/source?outputhash={HASH}"),
        (
            "libstdc++-12.2.0-14+deb12u1",
            f"pkg:nix/libstdc%2B%2B@12.2.0-14%2Bdeb12u1?outputhash={HASH}",
        ),
    ],
)
def test_a_store_path_has_the_name_that_syft_gives_it(name: str, expected: str) -> None:
    path = StorePath("/nix/store", HASH, name)
    assert nix_purl(path, PackageName.parse(name)) == expected


@pytest.mark.parametrize(
    ("kind", "name", "version", "expected"),
    [
        ("pypi", "Foo_Bar.baz", "1.0", "pkg:pypi/foo-bar-baz@1.0"),
        ("npm", "@s/p", "1", "pkg:npm/%40s/p@1"),
        ("maven", "org.a:b", "1", "pkg:maven/org.a/b@1"),
        ("golang", "github.com/a/b", "v1+i", "pkg:golang/github.com/a/b@v1%2Bi"),
        ("golang", "stdlib", "go1.22.1", "pkg:golang/stdlib@v1.22.1"),
        ("golang", "example.com/app", "", "pkg:golang/example.com/app"),
    ],
)
def test_a_package_of_a_language_has_the_name_of_its_ecosystem(
    kind: str, name: str, version: str, expected: str
) -> None:
    assert language_purl(kind, name, version) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/NixOS/Nix/archive/refs/tags/2.3.tar.gz", "pkg:github/nixos/nix@2.3"),
        ("https://github.com/a/b/archive/abc123.tar.gz", "pkg:github/a/b@abc123"),
        ("https://github.com/a/b/releases/download/v1/b-1.tar.xz", "pkg:github/a/b@v1"),
        ("mirror://pypi/r/requests/requests-2.tar.gz", "pkg:pypi/requests@1.0"),
        (
            "mirror://gnu/hello/hello-1.0.tar.gz",
            "pkg:generic/hello@1.0?download_url=mirror%3A%2F%2Fgnu%2Fhello%2Fhello-1.0.tar.gz",
        ),
        ("https://user:canary@example.org/a.tar.gz", ""),
        ("https://example.org/a.tar.gz?token=canary", ""),
        ("file:///home/me/a.tar.gz", ""),
        ("", ""),
    ],
)
def test_a_source_has_the_name_of_its_place_unless_that_may_be_secret(
    url: str, expected: str
) -> None:
    assert source_purl(url, "hello", "1.0") == expected


def test_qualifiers_are_in_order_and_say_something() -> None:
    assert purl("oci", "a", "", {"tag": "1", "arch": "", "b": "x/y"}) == "pkg:oci/a?b=x%2Fy&tag=1"


def test_a_guessed_cpe_is_one() -> None:
    found = guessed_cpe("Libstdc++", "12.2.0-14+deb12u1")
    assert found == r"cpe:2.3:a:libstdc\+\+:libstdc\+\+:12.2.0-14\+deb12u1" + ":*" * 7
    assert is_cpe(found)


@pytest.mark.parametrize(
    "text", ["", "cpe:2.3:a:b", "cpe:/a:b:c", "cpe:2.3:a:b:c:1 2:*:*:*:*:*:*:*"]
)
def test_what_is_no_cpe_is_not_passed_on(text: str) -> None:
    assert not is_cpe(text)


@pytest.mark.parametrize(
    ("text", "is_one"), [("pkg:github/a/b@1", True), ("pkg:", False), ("", False)]
)
def test_what_is_no_package_url_is_not_passed_on(text: str, is_one: bool) -> None:  # noqa: FBT001
    assert is_purl(text) is is_one

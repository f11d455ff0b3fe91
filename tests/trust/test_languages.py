"""What files say of packages of languages: each form as its own tools write it, and odd ones."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sections import build_information, crates, elf_with_sections

from nix2oci.trust.languages.described_by import reader_of
from nix2oci.trust.languages.found import Found

MODULES = """path\texample.com/cmd/app
mod\texample.com/app\t(devel)\t
dep\tgithub.com/a/b\tv1.2.3\th1:x=
dep\tgithub.com/c/d\tv0.0.1
=>\tgithub.com/fork/d\tv0.0.2\th1:y=
build\t-ldflags=-s -X main.commit=f00 -X main.version=v2.0.1
"""
AUDITED = json.dumps(
    {
        "packages": [
            {"name": "app", "version": "0.1.0", "source": "local", "root": True},
            {"name": "serde", "version": "1.0.2", "source": "crates.io"},
            {"name": "cc", "version": "1.0.9", "source": "crates.io", "kind": "build"},
        ]
    }
).encode()
GEMSPEC = """Gem::Specification.new do |s|
  s.name = "rake".freeze
  s.version = "13.0.6"
  s.licenses = ["MIT".freeze]
end
"""


def packages(path: str, data: bytes, *, executable: bool = False) -> list[Found]:
    reader = reader_of(path.encode(), executable=executable)
    return reader(io.BytesIO(data), path.rpartition("/")[2]) if reader else []


def jar(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def pom(group: str, artifact: str, version: str) -> dict[str, bytes]:
    lines = f"#Created by Maven\nversion={version}\ngroupId={group}\nartifactId={artifact}\n"
    return {f"META-INF/maven/{group}/{artifact}/pom.properties": lines.encode()}


INNER = jar(pom("org.inner", "inner", "1"))
GO = elf_with_sections({b".go.buildinfo": build_information("go1.22.1 X:a", MODULES)})
RUST = elf_with_sections({b".text": b"x", b".dep-v0": crates(AUDITED)})


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        pytest.param(
            "/lib/Foo_Bar-1.0.dist-info/METADATA",
            b"Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\nLicense: MIT\n\nVersion: 9\n",
            [Found("pypi", "Foo_Bar", "1.0", "MIT")],
            id="a wheel that was installed",
        ),
        pytest.param(
            "/lib/six.egg-info",
            b"Metadata-Version: 1.0\r\nName: six\r\nVersion: 1.16.0\r\n",
            [Found("pypi", "six", "1.16.0")],
            id="an egg that is one file",
        ),
        pytest.param(
            "/x/a.egg-info/PKG-INFO",
            b"Name: a\nVersion: 1\nLicense-Expression: MIT OR Apache-2.0\nLicense: see file\n",
            [Found("pypi", "a", "1", "MIT OR Apache-2.0")],
            id="a licence as an expression",
        ),
        pytest.param(
            "/lib/node_modules/@s/p/package.json",
            b'{"name": "@s/p", "version": "2.0.0", "license": "ISC"}',
            [Found("npm", "@s/p", "2.0.0", "ISC")],
            id="a package of npm with a scope",
        ),
        pytest.param(
            "/x/package.json",
            b'{"name": "old", "version": "1.0.0", "license": {"type": "BSD", "url": "u"}}',
            [Found("npm", "old", "1.0.0", "BSD")],
            id="a licence as old packages of npm have it",
        ),
        pytest.param("/x/package.json", b'{"type": "module"}', [], id="one that names nothing"),
        pytest.param("/x/package.json", b'{"name": ', [], id="one that is no JSON"),
        pytest.param(
            "/gems/specifications/rake-13.0.6.gemspec",
            GEMSPEC.encode(),
            [Found("gem", "rake", "13.0.6", "MIT")],
            id="a gem",
        ),
        pytest.param("/gems/rake/rake.gemspec", GEMSPEC.encode(), [], id="a gem's source"),
        pytest.param(
            "/share/java/a-1.jar",
            jar(pom("org.a", "a", "1")),
            [Found("maven", "org.a:a", "1")],
            id="an archive of Maven",
        ),
        pytest.param(
            "/share/app.war",
            jar({**pom("org.a", "app", "1"), "WEB-INF/lib/inner-1.jar": INNER}),
            [Found("maven", "org.a:app", "1"), Found("maven", "org.inner:inner", "1")],
            id="an archive within one",
        ),
        pytest.param(
            "/share/java/trace-1.4.jar",
            jar(pom("org.other", "shaded", "3")),
            [Found("maven", "org.other:shaded", "3"), Found("maven", "trace", "1.4")],
            id="an archive that has another one's classes in it",
        ),
        pytest.param(
            "/share/java/zstd-jni-1.5.7-9.jar",
            jar({"META-INF/MANIFEST.MF": b"Bundle-SymbolicName: com.luben.zstd-\r\n jni;x=y\r\n"}),
            [Found("maven", "com.luben:zstd-jni", "1.5.7-9")],
            id="an archive without Maven's files, by its name",
        ),
        pytest.param(
            "/share/java/plain.jar",
            jar({"META-INF/MANIFEST.MF": b"Implementation-Title: P\nImplementation-Version: 3\n"}),
            [Found("maven", "P", "3")],
            id="an archive by its manifest",
        ),
        pytest.param("/share/java/broken.jar", b"PK\3\4 and no more", [], id="no archive"),
    ],
)
def test_a_file_says_which_packages_there_are(
    path: str, data: bytes, expected: list[Found]
) -> None:
    assert packages(path, data) == expected


def test_a_program_of_go_has_its_modules_as_they_were_replaced() -> None:
    assert packages("/bin/app", GO, executable=True) == [
        Found("golang", "stdlib", "go1.22.1"),
        Found("golang", "example.com/app", "2.0.1"),
        Found("golang", "github.com/a/b", "v1.2.3"),
        Found("golang", "github.com/fork/d", "v0.0.2"),
    ]


def test_a_program_of_rust_has_its_crates_without_those_of_its_build() -> None:
    found = packages("/bin/app", RUST, executable=True)
    assert found == [Found("cargo", "app", "0.1.0"), Found("cargo", "serde", "1.0.2")]


@pytest.mark.parametrize(("bits", "order"), [(32, "<"), (64, ">"), (32, ">")])
def test_programs_for_other_machines_are_read_as_well(bits: int, order: str) -> None:
    section = {b".go.buildinfo": build_information("go1.22.1", "")}
    data = elf_with_sections(section, bits=bits, order=order)
    assert packages("/bin/app", data, executable=True) == [Found("golang", "stdlib", "go1.22.1")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x7fELF", id="only a beginning"),
        pytest.param(GO[:200], id="cut off"),
        pytest.param(GO[:40] + b"\xff" * 8 + GO[48:], id="its table is nowhere"),
        pytest.param(
            elf_with_sections({b".go.buildinfo": b"\xff Go buildinf:\x08\0"}), id="old Go"
        ),
        pytest.param(elf_with_sections({b".dep-v0": b"no zlib"}), id="crates that are none"),
        pytest.param(elf_with_sections({b".dep-v0": crates(b"[" * 10_000)}), id="deep JSON"),
        pytest.param(b"#!/bin/sh\n", id="a script"),
    ],
)
def test_a_program_that_says_nothing_is_no_error(data: bytes) -> None:
    assert packages("/bin/app", data, executable=True) == []


def test_only_what_can_be_started_is_taken_for_a_program() -> None:
    assert packages("/lib/app.o", GO) == []


def test_text_that_no_document_can_have_is_made_harmless() -> None:
    (found,) = packages("/x/package.json", b'{"name": "a\\ud800\\nb", "version": "\\u202e1"}')
    assert found == Found("npm", "a\\ud800\\nb", "\\u202e1")


BUILT = [
    ("/bin/go", GO, True),
    ("/bin/rust", RUST, True),
    ("/bin/app.jar", jar({**pom("a", "b", "1"), "c.jar": INNER}), False),
    ("/x/package.json", b'{"name": "a", "version": "1", "license": {"type": 1}}', False),
    ("/a.dist-info/METADATA", b"Name: a\nVersion: 1\n", False),
    ("/specifications/a.gemspec", GEMSPEC.encode(), False),
]


@given(st.sampled_from(BUILT), st.data())
def test_a_file_that_was_spoiled_is_no_error(
    case: tuple[str, bytes, bool], draw: st.DataObject
) -> None:
    path, data, executable = case
    spoiled = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 8))):
        spoiled[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(data)))
    for each in (bytes(spoiled), bytes(spoiled[:cut])):
        for found in packages(path, each, executable=executable):
            assert "\n" not in found.name + found.version
            assert found.name

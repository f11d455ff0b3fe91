"""What is read of derivations' files."""

from __future__ import annotations

import json

import pytest

from nix2oci.nix.derivation import Derivation

OUT = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-app-1.0"
PATCH = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-CVE-2024-1234.patch"


def drv(env: dict[str, str], outputs: str = f'("out","{OUT}","","")') -> bytes:
    pairs = ",".join(
        "({},{})".format(*(json.dumps(text, ensure_ascii=False) for text in pair))
        for pair in env.items()
    )
    return f'Derive([{outputs}],[("/x.drv",["out"])],[],"s","/b",["-e"],[{pairs}])'.encode()


def test_a_derivation_says_what_its_package_is_called() -> None:
    found = Derivation.parse(
        drv({"pname": "gcc-12", "version": "1.0", "patches": f"{PATCH} /nix/store/no"})
    )
    assert found is not None
    assert (found.text("pname"), found.text("version")) == ("gcc-12", "1.0")
    assert found.patches == ("CVE-2024-1234.patch", "no")
    assert found.outputs == (OUT,)


def test_structured_attributes_are_read_as_well() -> None:
    inner = json.dumps({"pname": "a", "version": "2", "patches": [PATCH, 1], "other": {}})
    found = Derivation.parse(drv({"__json": inner}))
    assert found is not None
    assert (found.text("pname"), found.text("version")) == ("a", "2")
    assert found.patches == ("CVE-2024-1234.patch",)


def test_what_looks_like_an_attribute_within_a_text_is_none() -> None:
    found = Derivation.parse(drv({"buildPhase": 'echo ("pname","evil")', "pname": "good\n\\"}))
    assert found is not None
    assert found.text("pname") == "good\n\\"


def test_an_output_that_is_known_when_it_is_built_has_no_path() -> None:
    found = Derivation.parse(drv({}, '("out","","r:sha256","")'))
    assert found is not None
    assert found.outputs == ("",)


def test_a_source_is_found_among_the_inputs_by_its_name() -> None:
    path = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-app.tar.gz"
    data = drv({"src": path}).replace(b"/x.drv", b"/nix/store/abc-app.tar.gz.drv")
    found = Derivation.parse(data)
    assert found is not None
    assert found.inputs == found.source_inputs() == ("/nix/store/abc-app.tar.gz.drv",)
    other = Derivation.parse(drv({"src": path}))
    assert other is not None
    assert other.source_inputs() == ()


def test_a_source_says_where_it_comes_from() -> None:
    found = Derivation.parse(drv({"urls": "mirror://gnu/a.tar.gz https://b", "url": "no"}))
    assert found is not None
    assert found.url == "mirror://gnu/a.tar.gz"


@pytest.mark.parametrize("data", [b"", b"no", b"\x7fELF"])
def test_what_is_no_derivation_says_nothing(data: bytes) -> None:
    assert Derivation.parse(data) is None


def test_broken_structured_attributes_say_nothing() -> None:
    found = Derivation.parse(drv({"__json": "{"}))
    assert found is not None
    assert found.env == {}

"""Signatures of another store: what Nix is given to judge, and what its verdict means."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import NAR_HASH, OUT, FakeNix
from support.fakestore import store_path

from nix2oci.errors import NixCommandError, NixOutputError, StoreError
from nix2oci.model.closure import parse_nar_hash
from nix2oci.nix.options import Origin
from nix2oci.nix.signatures import check_signatures

LIB = store_path("lib-1")
URL = "https://cache.test"
SIGNATURE = "cache.test-1:TU9u7+/A"
HEX = parse_nar_hash(NAR_HASH).hex()


@pytest.fixture
def fake(tmp_path: Path) -> FakeNix:
    return FakeNix(tmp_path)


def said(**more: Any) -> dict[str, Any]:
    return {"narHash": NAR_HASH, "narSize": 120, "references": [str(LIB), OUT], **more}


def answer(**more: Any) -> str:
    """What path-info prints of two paths."""
    lib = {"narHash": NAR_HASH, "narSize": 96, "references": []}
    return json.dumps({OUT: said(**more), str(LIB): lib})


def check(fake: FakeNix, text: str, url: str = URL, *, checked: bool = True) -> None:
    check_signatures(fake.nix(), Origin(url, check_signatures=checked), text)


def records(fake: FakeNix, text: str) -> dict[str, str]:
    """The binary cache that Nix was given, by name of the file."""
    kept = fake.directory / "kept"
    copy = (
        f'for a; do case $a in file:*) cp -r "${{a#file://}}" {shlex.quote(str(kept))};; esac; done'
    )
    fake.answer("store verify", run=copy)
    check(fake, text)
    return {file.name: file.read_text() for file in kept.iterdir()}


LIST = [{"path": OUT, **said(signatures=[SIGNATURE])}, {"path": str(LIB), **said(references=[])}]
FORMAT_3 = {
    "version": 3,
    "storeDir": "/nix/store",
    "info": {
        OUT[11:]: {
            "narHash": NAR_HASH,
            "narSize": 120,
            "references": [LIB.base, OUT[11:]],
            "signatures": [{"keyName": "cache.test-1", "sig": "TU9u7+/A"}],
            "ca": None,
        },
        LIB.base: said(references=[]),
    },
}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(answer(signatures=[SIGNATURE], ca=None), id="a map"),
        pytest.param(json.dumps(LIST), id="a list"),
        pytest.param(json.dumps(FORMAT_3), id="format 3"),
    ],
)
def test_nix_judges_what_the_image_is_made_from(fake: FakeNix, text: str) -> None:
    written = records(fake, text)
    assert sorted(written) == sorted(
        [f"{OUT[11:43]}.narinfo", f"{LIB.hash_part}.narinfo", "nix-cache-info"]
    )
    assert written["nix-cache-info"] == "StoreDir: /nix/store\n"
    assert written[f"{OUT[11:43]}.narinfo"] == (
        f"StorePath: {OUT}\n"
        "URL: nar/none\n"
        "Compression: none\n"
        f"NarHash: sha256:{HEX}\n"
        "NarSize: 120\n"
        f"References: {OUT[11:]} {LIB.base}\n"
        f"Sig: {SIGNATURE}\n"
    )
    (call,) = [call for call in fake.calls if call[:2] == ["store", "verify"]]
    assert call[2:6] == ["--no-contents", "--sigs-needed", "1", "--store"]
    assert call[-3:] == ["--", OUT, str(LIB)]


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("fixed:r:sha256:" + "0" * 52, id="as old versions print it"),
        pytest.param({"method": "nar", "hash": NAR_HASH}, id="as new ones do"),
        pytest.param("text:sha256:" + "0" * 52, id="of another kind"),
    ],
)
def test_a_content_address_is_judged_by_the_nar_hash(fake: FakeNix, address: object) -> None:
    lines = records(fake, answer(ca=address))[f"{OUT[11:43]}.narinfo"].splitlines()
    assert lines[-1] == f"CA: fixed:r:sha256:{HEX}"


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("x:y\nCA: fixed:r:sha256:0", id="a line of its own"),
        pytest.param("nothing", id="no name"),
        pytest.param(7, id="a number"),
    ],
)
def test_text_that_is_no_signature(fake: FakeNix, signature: object) -> None:
    with pytest.raises(NixOutputError) as caught:
        check(fake, answer(signatures=[signature]))
    assert str(caught.value) == (
        f"cannot read `nix path-info` output: {str(signature)!r} is no signature of {OUT}"
    )


# --- the verdict ----------------------------------------------------------------------------------

UNTRUSTED = "".join(f"path '{path}' is untrusted\n" for path in (OUT, LIB))
CONFIGURED = ("config show", "show-config")


def untrusting(fake: FakeNix, text: str = UNTRUSTED, *, required: bool = True) -> None:
    fake.answer("store verify", stderr=f"checking '{OUT}'...\n{text}", code=2)
    for command in CONFIGURED:
        fake.answer(command, json.dumps({"require-sigs": {"value": required}}))


def refusal(fake: FakeNix) -> StoreError:
    with pytest.raises(StoreError) as caught:
        check(fake, answer())
    assert caught.value.hint == (
        "add the key of that store to trusted-public-keys, or use --no-check-sigs"
    )
    assert fake.shown == []
    return caught.value


def test_paths_that_nobody_signed_are_named(fake: FakeNix) -> None:
    untrusting(fake)
    assert str(refusal(fake)) == (
        f"cannot use {URL}: no key that Nix trusts has signed {OUT}, {LIB}"
    )


def test_of_many_paths_three_are_named(fake: FakeNix) -> None:
    paths = [store_path(f"app-{n}") for n in range(9)]
    untrusting(fake, "".join(f"path '{path}' is untrusted\n" for path in paths))
    named = ", ".join(map(str, paths[:3]))
    assert str(refusal(fake)) == (
        f"cannot use {URL}: no key that Nix trusts has signed {named} and 6 more"
    )


def test_a_verdict_in_words_that_are_not_known(fake: FakeNix) -> None:
    untrusting(fake, "nobody vouches for it\n")
    assert str(refusal(fake)) == (
        f"cannot use {URL}: no key that Nix trusts has signed what it has"
    )


@pytest.mark.parametrize(
    ("version", "command"),
    [
        pytest.param("nix (Nix) 2.8.0\n", ["show-config"], id="an old Nix"),
        pytest.param("nix (Nix) 2.34.8\n", ["config", "show"], id="a recent Nix"),
        pytest.param("nix (Lix, like Nix) 2.93.3\n", ["show-config"], id="Lix"),
    ],
)
def test_require_sigs_is_nixs_own_setting(fake: FakeNix, version: str, command: list[str]) -> None:
    fake.answer("--version", version)
    untrusting(fake, required=False)
    check(fake, answer())
    assert fake.calls[-1][: len(command) + 1] == [*command, "--json"]


@pytest.mark.parametrize("url", ["ssh-ng://h?trusted=1", "file:///c?a=b&trusted=true", "no check"])
def test_what_is_trusted_is_not_asked_about(fake: FakeNix, url: str) -> None:
    check(fake, answer(), url, checked=url != "no check")
    assert fake.calls == []


@pytest.mark.parametrize("url", ["ssh-ng://h?trusted=0", "https://h/trusted=1", "auto"])
def test_everything_else_is(fake: FakeNix, url: str) -> None:
    fake.answer("store verify")
    check(fake, answer(), url)
    assert [call[:2] for call in fake.calls] == [["store", "verify"]]


@pytest.mark.parametrize("code", [1, 4, 6])
def test_a_verdict_that_is_none(fake: FakeNix, code: int) -> None:
    fake.answer("store verify", stderr="error: disk full\n", code=code)
    with pytest.raises(NixCommandError) as caught:
        check(fake, answer())
    assert str(caught.value) == f"cannot check the signatures of {URL}: disk full"


def test_a_configuration_that_nix_does_not_tell(fake: FakeNix) -> None:
    untrusting(fake)
    fake.rules = fake.rules[:1]
    fake.answer("config show", stderr="error: no\n", code=1)
    with pytest.raises(NixCommandError) as caught:
        check(fake, answer())
    assert str(caught.value) == "cannot read the configuration of Nix: no"

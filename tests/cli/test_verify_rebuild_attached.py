"""`verify --rebuild` by the provenance that is attached to an image, in a registry or a layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.pushbuild import Shop
from support.signing import KeyPair
from support.tampered import change_byte
from support.terminal import Completed

ATTACHED = "--attach=provenance"
FLAGS = ("--env", "A=b", "--max-layers", "5")


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    return KeyPair.make(tmp_path)


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """One whose registry lists what refers to an image, and knows nobody."""
    shop.registry.lists_referrers, shop.registry.auth = True, ""
    return shop


def verify(shop: Shop, *args: str) -> Completed:
    return shop.terminal.run("verify", *args, "--rebuild", "-q", **shop.env())


def test_flags_are_those_of_the_provenance(shop: Shop) -> None:
    shop.push(ATTACHED, *FLAGS)
    done = verify(shop, shop.name, ".")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"{shop.name} is reproduced for linux/amd64" in done.stdout


def test_without_one_they_are_those_of_the_command(shop: Shop) -> None:
    shop.push(*FLAGS)
    assert verify(shop, shop.name, ".#app").returncode == 1
    assert verify(shop, shop.name, ".#app", *FLAGS).returncode == 0


def test_with_a_key_one_counts_that_it_signed(shop: Shop, key: KeyPair, tmp_path: Path) -> None:
    shop.push(ATTACHED, *FLAGS, f"--sign-key={key.secret}")
    assert verify(shop, shop.name, ".", "--key", str(key.public)).returncode == 0
    other = KeyPair.make(tmp_path, "other", "P-256")
    done = verify(shop, shop.name, ".#app", "--key", str(other.public))
    assert done.returncode == 1
    assert "is not reproduced" in done.stdout


def test_both_are_told_in_one_document(shop: Shop, key: KeyPair) -> None:
    shop.push(ATTACHED, *FLAGS, f"--sign-key={key.secret}")
    done = verify(shop, shop.name, ".", "--key", str(key.public), "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert (document["verified"], document["rebuild"]["reproduced"]) == (True, True)


def test_a_byte_of_an_image_is_found_though_its_provenance_is_there(
    shop: Shop, tmp_path: Path
) -> None:
    layout = tmp_path / "a.oci"
    options = ("-o", str(layout), "--provenance", "p.json")
    assert shop.terminal.run("build", ".#app", *options, **shop.env()).returncode == 0
    changed = shutil.copytree(layout, tmp_path / "changed")
    change_byte(changed, "bin/app")
    pushed = shop.terminal.run("push", str(changed), shop.name, **shop.env())
    assert pushed.returncode == 0, pushed.stderr
    done = verify(shop, shop.name, ".", "--provenance", "p.json", "--json")
    assert done.returncode == 1, done.stderr
    (found,) = json.loads(done.stdout)["platforms"]
    assert found["path"].endswith("/bin/app")


def test_a_byte_changed_in_the_registry_after_signing_is_named(shop: Shop, key: KeyPair) -> None:
    shop.push(ATTACHED, "--compression", "none", f"--sign-key={key.secret}")
    blobs = shop.registry.blobs
    (at,) = (at for at, data in blobs.items() if b"\x7fELF" in data)
    blobs[at] = blobs[at].replace(b"\x7fELF", b"\x7fElF")
    done = verify(shop, shop.name, ".", "--json")
    assert done.returncode == 1, done.stderr
    (found,) = json.loads(done.stdout)["platforms"]
    assert found["path"].endswith("/bin/app")
    assert " was changed where it is kept: its manifest names " in found["reasons"][0]

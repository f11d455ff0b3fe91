"""The lock of developers' tools has what pyproject.toml asks for, with hashes; so has nix/."""

import base64
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parent.parent
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
WANTED = (
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["dev"],
)
# An entry is its first line and those that are indented.
ENTRIES = re.findall(
    r"^(\S+)==(\S+).*\n((?: +.*\n)+)", (TOP / "requirements-dev.txt").read_text(), re.MULTILINE
)
VERSIONS = {canonicalize_name(name): version for name, version, _ in ENTRIES}


@pytest.mark.parametrize("wanted", sorted(set(WANTED)))
def test_the_lock_has_a_version_that_will_do(wanted: str) -> None:
    requirement = Requirement(wanted)
    assert VERSIONS[canonicalize_name(requirement.name)] in requirement.specifier


def test_each_version_in_the_lock_has_hashes() -> None:
    without = [name for name, _, hashes in ENTRIES if "--hash=sha256:" not in hashes]
    assert (len(ENTRIES) > len(WANTED) // 2, without) == (True, [])


@pytest.mark.parametrize(
    ("file", "package", "count"), [("launchers.nix", "ziglang", 4), ("deflate.nix", "deflate", 1)]
)
def test_nix_has_the_locked_version_by_hashes_of_the_lock(
    file: str, package: str, count: int
) -> None:
    text = (TOP / "nix" / file).read_text()
    (version,) = re.findall(r' version = "([0-9.]+)";', text)
    assert version == VERSIONS[canonicalize_name(package)]
    (hashes,) = [hashes for name, _, hashes in ENTRIES if name == package]
    found = [base64.b64decode(one).hex() for one in re.findall(r'hash = "sha256-(.*)"', text)]
    assert len(found) == count
    assert set(found) <= set(re.findall(r"sha256:([0-9a-f]{64})", hashes))

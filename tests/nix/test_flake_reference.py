"""Which references of flakes mean the same for ever, and what Nix's attributes of them are."""

from __future__ import annotations

from typing import Any

import pytest

from nix2oci.nix.flake_reference import locked_attributes, reference

REV = "0123456789abcdef0123456789abcdef01234567"
HASH = "sha256-rcU0Sek2slflcmv68/fyNuOQkC+bd7OGN3LsBFgjyHQ="
QUOTED = HASH.replace("+", "%2B").replace("=", "%3D")
FORGE = {"type": "github", "owner": "o", "repo": "r", "rev": REV}


@pytest.mark.parametrize(
    ("ref", "attributes"),
    [
        pytest.param(f"github:o/r/{REV}", FORGE, id="a commit of a forge"),
        pytest.param(f"github:o/r?rev={REV}", FORGE, id="the same as a parameter"),
        pytest.param(
            f"gitlab:o/r/{REV}?host=git.example.org&dir=a",
            {**FORGE, "type": "gitlab", "host": "git.example.org", "dir": "a"},
            id="a directory of one on a host of its own",
        ),
        pytest.param(
            f"sourcehut:~o/r/{REV}", {**FORGE, "type": "sourcehut", "owner": "~o"}, id="sourcehut"
        ),
        pytest.param(
            f"git+https://h/r?ref=refs%2Fheads%2Fmain&rev={REV}&submodules=1",
            {
                "type": "git",
                "url": "https://h/r",
                "ref": "refs/heads/main",
                "rev": REV,
                "submodules": True,
            },
            id="a commit of git",
        ),
        pytest.param(
            f"git+file:///a%20b?rev={REV}&shallow=0",
            {"type": "git", "url": "file:///a%20b", "rev": REV, "shallow": False},
            id="one of a repository here",
        ),
        pytest.param(
            f"https://h/r.tar.gz?narHash={QUOTED}",
            {"type": "tarball", "url": "https://h/r.tar.gz", "narHash": HASH},
            id="a tarball by its NAR hash",
        ),
        pytest.param(
            f"tarball+https://h/r?narHash={HASH}&dir=a",
            {"type": "tarball", "url": "https://h/r", "narHash": HASH, "dir": "a"},
            id="one without such a name, and a hash that is not encoded",
        ),
    ],
)
def test_what_means_the_same_for_ever(ref: str, attributes: dict[str, Any]) -> None:
    assert locked_attributes(ref) == attributes
    assert locked_attributes(reference(attributes) or "") == attributes


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param("nixpkgs", id="a name"),
        pytest.param(f"nixpkgs/{REV}", id="a name with a commit, which may be any repository's"),
        pytest.param("github:o/r", id="a repository"),
        pytest.param("github:o/r/main", id="a branch"),
        pytest.param(f"github:o/r/{REV[:7]}", id="the beginning of a commit"),
        pytest.param(f"github:o/r/{REV.upper()}", id="one in capitals"),
        pytest.param(f"github:o/r/{REV}?rev={REV[::-1]}", id="two commits"),
        pytest.param(f"github:o/r/{REV}?ref=main", id="a commit and a branch"),
        pytest.param(f"github:o/r/{REV}/x", id="more than a commit"),
        pytest.param(f"gitlab:a%2Fb/r/{REV}", id="an owner that versions read differently"),
        pytest.param("git+https://h/r?ref=main", id="a branch of git"),
        pytest.param(f"git+https://h/r?rev={REV}&lfs=1", id="a parameter of few versions"),
        pytest.param(f"git+https://h/r?rev={REV}&submodules=yes", id="neither on nor off"),
        pytest.param(f"git+https://h/r?rev={REV}&rev={REV}", id="a parameter twice"),
        pytest.param(f"git+file:r?rev={REV}", id="a repository by a relative path"),
        pytest.param(f"hg+https://h/r?rev={REV}", id="another system"),
        pytest.param("https://h/r.tar.gz", id="a tarball"),
        pytest.param(f"https://h/r.tar.gz?rev={REV}", id="one that is said to be of a commit"),
        pytest.param("https://h/r.tar.gz?narHash=sha256-x", id="a hash that is none"),
        pytest.param(f"https://h/r?narHash={HASH}", id="what versions take for a file"),
        pytest.param(f"path:/r?narHash={HASH}", id="a path"),
    ],
)
def test_what_may_be_something_else_tomorrow(ref: str) -> None:
    assert locked_attributes(ref) == {}

"""The nixpkgs that a flake uses, from its lock: whatever fetcher it came by, whatever follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nix2oci.errors import NixOutputError
from nix2oci.nix.flake_inputs import nixpkgs_reference

REV = "a" * 40
HASH = "sha256-3do7rYislvuZFCHi7UF7OLn7FZ99PAYgchcfZ/FewLg="
QUOTED = "sha256-3do7rYislvuZFCHi7UF7OLn7FZ99PAYgchcfZ/FewLg%3D"


def metadata(nodes: dict[str, Any], **inputs: str | list[str]) -> str:
    locks = {"nodes": {"root": {"inputs": inputs}, **nodes}, "root": "root", "version": 7}
    return json.dumps({"lastModified": 1, "locks": locks})


def locked(**attributes: Any) -> dict[str, Any]:
    return {"locked": {"lastModified": 1, "narHash": HASH, **attributes}}


GITHUB = locked(type="github", owner="NixOS", repo="nixpkgs", rev=REV)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param(GITHUB["locked"], f"github:NixOS/nixpkgs/{REV}", id="GitHub"),
        pytest.param(
            {
                "type": "gitlab",
                "owner": "a%2Fb",
                "repo": "n",
                "rev": REV,
                "host": "git.example.com",
            },
            f"gitlab:a%2Fb/n/{REV}?host=git.example.com",
            id="a GitLab of its own, in a group",
        ),
        pytest.param(
            {"type": "git", "url": "ssh://git@h/n", "rev": REV, "ref": "x/y", "shallow": True},
            f"git+ssh://git@h/n?ref=x/y&rev={REV}&shallow=1",
            id="git",
        ),
        pytest.param(
            {"type": "git", "url": "file:///srv/n?x=1", "rev": REV, "dir": "sub"},
            f"git+file:///srv/n?x=1&rev={REV}&dir=sub",
            id="a repository of this machine, in a directory of it",
        ),
        pytest.param(
            {"type": "hg", "url": "https://h/n", "rev": REV},
            f"hg+https://h/n?rev={REV}",
            id="Mercurial",
        ),
        pytest.param(
            {"type": "tarball", "url": "https://h/nixexprs.tar.xz?rev=1", "narHash": HASH},
            f"https://h/nixexprs.tar.xz?rev=1&narHash={QUOTED}",
            id="a tarball by its name",
        ),
        pytest.param(
            {"type": "tarball", "url": "https://h/archive?x=.tar.xz", "narHash": HASH},
            f"tarball+https://h/archive?x=.tar.xz&narHash={QUOTED}",
            id="a tarball with another name",
        ),
        pytest.param(
            {"type": "path", "path": "/srv/a b", "narHash": HASH},
            f"path:/srv/a%20b?narHash={QUOTED}",
            id="a path",
        ),
        pytest.param({"type": "path", "path": "./n", "narHash": HASH}, None, id="a relative path"),
        pytest.param({"type": "future", "url": "x"}, None, id="a fetcher that is not known"),
    ],
)
def test_an_input_by_its_fetcher(attributes: dict[str, Any], expected: str | None) -> None:
    found = nixpkgs_reference(metadata({"n": {"locked": attributes}}, nixpkgs="n"))
    assert found == expected


@pytest.mark.parametrize(
    ("nodes", "inputs"),
    [
        pytest.param({"n": GITHUB}, {"nixpkgs": "n", "nixpkgs-old": "o"}, id="nixpkgs before all"),
        pytest.param({"n": GITHUB}, {"nixpkgs-unstable": "n", "a": "b"}, id="a longer name"),
        pytest.param(
            {"u": {"inputs": {"nixpkgs": "n"}}, "n": GITHUB},
            {"nixpkgs": ["u", "nixpkgs"], "u": "u"},
            id="one that follows another flake's",
        ),
        pytest.param(
            {"u": {"inputs": {"nixpkgs": ["v", "x"]}}, "v": {"inputs": {"x": "n"}}, "n": GITHUB},
            {"nixpkgs": ["u", "nixpkgs"], "u": "u", "v": "v"},
            id="one that follows what follows",
        ),
    ],
)
def test_the_input_that_counts(nodes: dict[str, Any], inputs: dict[str, Any]) -> None:
    assert nixpkgs_reference(metadata(nodes, **inputs)) == f"github:NixOS/nixpkgs/{REV}"


def test_a_flake_without_nixpkgs() -> None:
    assert nixpkgs_reference(metadata({}, utils="u")) is None
    locks = {"nodes": {"root": {}}, "root": "root"}
    assert nixpkgs_reference(json.dumps({"locks": locks})) is None


@pytest.mark.parametrize(
    "stdout",
    [
        pytest.param("[1]", id="a list"),
        pytest.param("{}", id="no locks"),
        pytest.param('{"locks": {"nodes": {}, "root": "root"}}', id="no root"),
        pytest.param(metadata({}, nixpkgs="n"), id="an input that is not there"),
    ],
)
def test_another_shape_is_quoted(stdout: str) -> None:
    with pytest.raises(NixOutputError) as caught:
        nixpkgs_reference(stdout)
    assert (
        str(caught.value) == f"cannot read `nix flake metadata` output: it printed {stdout[:200]!r}"
    )

"""What an input of a flake is locked to: whatever fetcher it came by, whatever it follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nix2oci.errors import NixError, NixOutputError
from nix2oci.nix.flake_inputs import input_reference, inputs, nixpkgs_input

REV = "a" * 40
HASH = "sha256-3do7rYislvuZFCHi7UF7OLn7FZ99PAYgchcfZ/FewLg="
QUOTED = "sha256-3do7rYislvuZFCHi7UF7OLn7FZ99PAYgchcfZ/FewLg%3D"


MAIN = {"type": "git", "url": "file:///srv/r?dir=api", "dir": "api", "rev": REV}
"""The flake itself, as Nix 2.8 has it: the URL, too, has the directory."""


def metadata(nodes: dict[str, Any], **inputs: str | list[str]) -> str:
    locks = {"nodes": {"root": {"inputs": inputs}, **nodes}, "root": "root", "version": 7}
    return json.dumps({"lastModified": 1, "locked": MAIN, "locks": locks})


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
        pytest.param(
            {"type": "path", "path": "./n", "narHash": HASH},
            f"git+file:///srv/r?rev={REV}&dir=api/n",
            id="a path within the flake",
        ),
        pytest.param(
            {"type": "path", "path": "../n", "narHash": HASH},
            f"git+file:///srv/r?rev={REV}&dir=n",
            id="a path within the repository of the flake",
        ),
    ],
)
def test_an_input_by_its_fetcher(attributes: dict[str, Any], expected: str) -> None:
    assert input_reference(metadata({"n": {"locked": attributes}}, a="n"), "a") == expected


def test_an_input_of_another_that_is_a_path_within_it() -> None:
    nodes = {
        "u": {"inputs": {"x": "x"}, **locked(**GITHUB["locked"])},
        "x": {"locked": {"type": "path", "path": "./sub"}, "parent": ["u"]},
    }
    found = input_reference(metadata(nodes, u="u", mine=["u", "x"]), "mine")
    assert found == f"github:NixOS/nixpkgs/{REV}?dir=sub"


def test_a_path_input_of_a_flake_that_is_a_path() -> None:
    locks = {
        "nodes": {"root": {"inputs": {"a": "a"}}, "a": {"locked": {"type": "path", "path": "./s"}}},
        "root": "root",
    }
    main = {"type": "path", "path": "/srv/f", "narHash": HASH}
    assert input_reference(json.dumps({"locked": main, "locks": locks}), "a") == "path:/srv/f/s"


def test_another_directory_of_an_input() -> None:
    found = input_reference(metadata({"n": GITHUB}, a="n"), "a", "dir=lib")
    assert found == f"github:NixOS/nixpkgs/{REV}?dir=lib"


def test_an_input_that_follows_the_flake_itself() -> None:
    assert input_reference(metadata({}, a=[]), "a") is None


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"type": "future", "url": "x"}, id="a fetcher that is not known"),
        pytest.param({"type": "path", "path": "../../n"}, id="a path out of the repository"),
    ],
)
def test_an_input_that_only_the_flake_can_follow(attributes: dict[str, Any]) -> None:
    with pytest.raises(NixError) as caught:
        input_reference(metadata({"n": {"locked": attributes}}, a="n"), "a")
    assert str(caught.value) == (
        "cannot use input 'a': it is locked in a way that only the flake can follow"
    )


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
def test_the_nixpkgs_of_a_flake(nodes: dict[str, Any], inputs: dict[str, Any]) -> None:
    found = metadata(nodes, **inputs)
    name = nixpkgs_input(found)
    assert name is not None
    assert input_reference(found, name) == f"github:NixOS/nixpkgs/{REV}"


def test_a_flake_without_nixpkgs() -> None:
    assert nixpkgs_input(metadata({}, utils="u")) is None
    assert nixpkgs_input(metadata({})) is None


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
    ask = inputs if '"n"' not in stdout else lambda text: input_reference(text, "nixpkgs")
    with pytest.raises(NixOutputError) as caught:
        ask(stdout)
    assert (
        str(caught.value) == f"cannot read `nix flake metadata` output: it printed {stdout[:200]!r}"
    )

"""Where the flake or Nix file lies that is evaluated, for every spelling that Nix takes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import FakeNix, joint, tree, value

from nix2oci.errors import ConfigError
from nix2oci.nix.flake_place import check_outside, inside, place_of
from nix2oci.nix.named_flake import FlakePlace, named_place


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git work tree: flakes in `r` and in `r/api`, a Nix file in `r/nix`; `out` is in no tree."""
    for directory in ("r/.git", "r/api/deep", "r/nix", "out/f/sub"):
        (tmp_path / directory).mkdir(parents=True)
    for directory in ("r", "r/api", "out/f", "out/f/sub"):
        (tmp_path / directory / "flake.nix").write_text("{ }")
    (tmp_path / "r/nix/default.nix").write_text("{ }")
    (tmp_path / "r/link.nix").symlink_to("nix/default.nix")
    (tmp_path / "r/loop.nix").symlink_to("loop.nix")
    (tmp_path / "r/to-deep").symlink_to("api/deep")
    monkeypatch.chdir(tmp_path / "r")
    return tmp_path


@pytest.mark.parametrize(
    ("ref", "directory", "copied"),
    [
        pytest.param(".", ".", "", id="the flake here"),
        pytest.param("./api", "api", "", id="a flake below"),
        pytest.param("TOP/r/api", "TOP/r/api", "", id="an absolute path"),
        pytest.param("./api/deep", "api", "", id="a directory of a flake"),
        pytest.param("./to-deep", "api", "", id="a link to a directory of a flake"),
        pytest.param(".?dir=api", "api", "", id="a directory by its parameter"),
        pytest.param("./nix?dir=api", "api", "", id="the same from a directory beside it"),
        pytest.param("path:.", ".", "TOP/r", id="a path that is copied, in git too"),
        pytest.param("path:.?dir=api", "api", "TOP/r", id="a directory of such a path"),
        pytest.param("path:api", "api", "TOP/r/api", id="a path without a dot"),
        pytest.param("path:TOP/r/%61pi", "TOP/r/api", "TOP/r/api", id="an encoded path"),
        pytest.param("path:./api/deep", "api/deep", "TOP/r/api/deep", id="no search upwards"),
        pytest.param("../out/f/sub", "../out/f/sub", "TOP/out/f/sub", id="a flake outside of git"),
        pytest.param("../out/f?dir=sub", "../out/f/sub", "TOP/out/f", id="its directory, copied"),
        pytest.param("git+file://TOP/r", "TOP/r", "", id="a work tree by its URL"),
        pytest.param("git+file://TOP/r?dir=%61pi", "TOP/r/api", "", id="a directory of that"),
        pytest.param("../out", "", "", id="no flake: Nix says so"),
        pytest.param("./nope", "", "", id="nothing at all"),
    ],
)
def test_a_flake_by_its_path_is_found_without_asking_nix(
    ref: str, directory: str, copied: str, top: Path
) -> None:
    fake = FakeNix(top)
    nix = fake.nix()
    found = place_of(nix, nix.installable(f"{ref.replace('TOP', str(top))}#app"))
    expected = (directory.replace("TOP", str(top)), copied.replace("TOP", str(top)))
    assert (found.directory, found.copied, found.source) == (*expected, "")
    assert fake.calls == []


@pytest.mark.parametrize(
    ("file", "directory"),
    [
        pytest.param("nix", "nix", id="a directory"),
        pytest.param("nix/", "nix/", id="a directory with a slash"),
        pytest.param("nix/default.nix", "nix", id="the file in it"),
        pytest.param("link.nix", "nix", id="a link to a file is followed, as Nix does"),
        pytest.param("loop.nix", "", id="a link to itself"),
        pytest.param("other.nix", "", id="a file here"),
        pytest.param("<nixpkgs>", None, id="a name in the search path"),
        pytest.param("https://example.com/x.tar.gz", None, id="a URL"),
        pytest.param("channel:nixos", None, id="a channel"),
    ],
)
def test_a_nix_file(file: str, directory: str | None, top: Path) -> None:
    nix = FakeNix(top).nix()
    assert place_of(nix, nix.installable("app", file=file)) == FlakePlace(directory)


SOURCE = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-source"


@pytest.mark.parametrize(
    ("resolved", "directory", "source", "copied"),
    [
        pytest.param(
            *({"type": "git", "url": "file://TOP/r?dir=api", "dir": "api"}, "TOP/r/api", "", ""),
            id="a work tree, as Nix 2.8 says it",
        ),
        pytest.param(
            *({"type": "git", "url": "file://TOP/r", "dir": "api"}, "TOP/r/api", "", ""),
            id="a work tree, as later versions say it",
        ),
        pytest.param(
            {"type": "git", "url": "file://TOP/r", "rev": "a" * 40, "dir": "api"},
            *("STORE/api", "STORE", ""),
            id="a revision of it",
        ),
        pytest.param(
            *({"type": "git", "url": "file://TOP/r", "ref": "main"}, "STORE", "STORE", ""),
            id="a branch of it",
        ),
        pytest.param(
            *({"type": "git", "url": "file://TOP/bare.git"}, "STORE", "STORE", ""),
            id="a repository without a work tree",
        ),
        pytest.param(
            *({"type": "git", "url": "https://h/r", "dir": "api"}, "STORE/api", "STORE", ""),
            id="a repository elsewhere",
        ),
        pytest.param(
            *({"type": "tarball", "url": "https://h/r.tar.gz"}, "STORE", "STORE", ""),
            id="a tarball",
        ),
        pytest.param(
            *({"type": "path", "path": "TOP/out/f"}, "TOP/out/f", "", "TOP/out/f"),
            id="a name that the registry says is a path",
        ),
        pytest.param(
            {"type": "path", "path": "TOP/out/f", "narHash": "sha256-x"},
            *("STORE", "STORE", ""),
            id="a path as it was",
        ),
    ],
)
def test_a_flake_that_only_nix_can_find(
    resolved: dict[str, Any], directory: str, source: str, copied: str, top: Path
) -> None:
    fake = FakeNix(top)
    store = f"{fake.root}{SOURCE}"
    os.makedirs(f"{store}/api")
    text = json.dumps({"path": SOURCE, "resolved": resolved}).replace("TOP", str(top))
    fake.answer("flake metadata", text)
    nix = fake.nix()
    found = place_of(nix, nix.installable("name#app"))
    whole = [
        each.replace("TOP", str(top)).replace("STORE", store)
        for each in (directory, source, copied)
    ]
    assert [found.directory, found.source, found.copied] == whole
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    "ref",
    [
        pytest.param("git+file://TOP/r?ref=main", id="a branch"),
        pytest.param("git+file://TOP/r?submodules=1", id="with its submodules"),
        pytest.param("git+file://TOP/out", id="a repository without a work tree"),
    ],
)
def test_of_a_repository_only_its_work_tree_is_found_without_asking_nix(
    ref: str, top: Path
) -> None:
    assert named_place(ref.replace("TOP", str(top))) is None


def test_a_source_that_is_locked_by_its_name_is_told_by_evaluation(top: Path) -> None:
    fake = FakeNix(top)
    store = f"{fake.root}{SOURCE}"
    os.makedirs(f"{store}/api")
    Path(store, "api/flake.nix").write_text("{ }")
    fake.answer("fetchTree", joint(value(), tree=tree(path=SOURCE)))
    nix = fake.nix()
    named = nix.installable(f"github:o/r/{'a' * 40}?dir=api#app")
    nix.evaluate_early(named)
    found = place_of(nix, named)
    assert (found.directory, found.source, found.locked["rev"]) == (f"{store}/api", store, "a" * 40)
    assert nix.evaluate(named).name == "app"
    (call,) = fake.calls
    asked = 'fetchTree { type = "github"; owner = "o"; repo = "r"; rev = "' + "a" * 40 + '"; }'
    assert asked in call[call.index("--apply") + 1]


@pytest.mark.parametrize("more", ["submodules", "lfs"])
def test_a_flake_that_wants_more_of_its_repository_is_asked_for_its_source(
    more: str, top: Path
) -> None:
    fake = FakeNix(top)
    store = f"{fake.root}{SOURCE}"
    os.makedirs(store)
    Path(store, "flake.nix").write_text(f"{{ inputs.self.{more} = true; }}")
    fake.answer("fetchTree", joint(value(), tree=tree(path=SOURCE)))
    nix = fake.nix()
    named = nix.installable(f"github:o/r/{'a' * 40}#app")
    nix.evaluate_early(named)
    place_of(nix, named)
    assert [call[0] for call in fake.calls] == ["eval", "flake"]


@pytest.mark.parametrize("more", [{}, {"path": SOURCE}], ids=["no path", "a path that is not here"])
def test_a_source_that_cannot_be_looked_into(more: dict[str, str], top: Path) -> None:
    fake = FakeNix(top)
    fake.answer("flake metadata", json.dumps({"resolved": {"type": "github"}, **more}))
    nix = fake.nix()
    assert place_of(nix, nix.installable("github:a/b")) == FlakePlace(None)


def test_a_store_path_has_no_place(top: Path) -> None:
    nix = FakeNix(top).nix()
    assert place_of(nix, nix.installable(SOURCE)) == FlakePlace(None)


def test_of_several_flakes_the_outermost_says_where_else(top: Path) -> None:
    places = [FlakePlace("", copied=f"{top}/out/f/sub"), FlakePlace("", copied=f"{top}/out/f")]
    with pytest.raises(ConfigError) as caught:
        check_outside("../out/f/sub/x.oci", places)
    assert str(caught.value) == (
        f"cannot write ../out/f/sub/x.oci: it would be in the next image, since Nix copies all of "
        f"{top}/out/f"
    )
    assert caught.value.hint == "write it elsewhere: -o ../out/x.oci"
    check_outside("../out/x.oci", places)
    check_outside("../out/fx.oci", places)


def test_a_link_out_of_a_source(top: Path) -> None:
    (top / "r/api/out").symlink_to(top / "out")
    assert inside("api/deep", "api") == "api/deep"
    assert inside("api/out", "") == "api/out"
    with pytest.raises(ConfigError):
        inside("api/out/f", "api")

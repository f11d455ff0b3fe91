"""Where a path of nix2oci.yaml leads that names an image, or is part of an installable."""

from __future__ import annotations

from pathlib import Path

import pytest

from nix2oci.config.image_settings import Settings
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.relative_paths import document_beside, image_beside, installable_beside
from nix2oci.errors import ConfigError
from nix2oci.nix.named_flake import FlakePlace


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("./base.oci:1.0", "TOP/./base.oci:1.0", id="a path that says so"),
        pytest.param("../base.oci", "TOP/../base.oci", id="a path upwards"),
        pytest.param("oci:base:1.0", "oci:TOP/base:1.0", id="a path by its prefix"),
        pytest.param("oci-archive:/a.tar:1", "oci-archive:/a.tar:1", id="an absolute path"),
        pytest.param("/a.oci:1", "/a.oci:1", id="an absolute path without a prefix"),
        pytest.param("there.oci", "TOP/there.oci", id="a name that is there"),
        pytest.param("there.oci:1", "TOP/there.oci:1", id="a name that is there, and a tag"),
        pytest.param("debian:12", "debian:12", id="a name that is not there"),
        pytest.param("h.io/a@sha256:1", "h.io/a@sha256:1", id="a reference"),
    ],
)
def test_paths_are_taken_from_where_the_file_is(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "there.oci").mkdir()
    found = image_beside(text, str(tmp_path))
    assert found == expected.replace("TOP", str(tmp_path))


@pytest.fixture
def flakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flake in `api`, with another one in `api/t`; here is where `api` is."""
    for directory in (".git", "api/t", "api/plain"):
        (tmp_path / directory).mkdir(parents=True)
    for directory in (".", "api", "api/t"):
        (tmp_path / directory / "flake.nix").write_text("{ }")
    (tmp_path / "api/result").symlink_to("/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-x")
    (tmp_path / "api/out").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(".#x", "MAIN#x", id="the flake of the file is the one that is built"),
        pytest.param("#x", "MAIN#x", id="the same without a dot"),
        pytest.param("./plain#x^dev", "MAIN#x^dev", id="the same from a directory of it"),
        pytest.param("..?dir=api#x", "MAIN#x", id="the same from above"),
        pytest.param("./t#x", "./api/t#x", id="a flake below"),
        pytest.param("..#x", ".#x", id="the flake above"),
        pytest.param("path:./t?dir=y#x", "path:TOP/api/t?dir=y#x", id="a path by its scheme"),
        pytest.param("path:t", "path:TOP/api/t", id="such a path without a dot"),
        pytest.param("git+file:./t#x", "git+file:TOP/api/t#x", id="a path in a URL of git"),
        pytest.param("./result", "./api/result", id="a link to a store path"),
        pytest.param("result^dev", "./api/result^dev", id="the same without a dot"),
        pytest.param("t/../result", "./api/result", id="the same with a slash"),
        pytest.param("t#x", "t#x", id="a name, even where there is a directory"),
        pytest.param("nixpkgs#x", "nixpkgs#x", id="a name"),
        pytest.param("nixpkgs-24.05#x", "nixpkgs-24.05#x", id="the name of an input with a dot"),
        pytest.param("github:a/b#x", "github:a/b#x", id="a reference"),
        pytest.param("/srv/f#x", "/srv/f#x", id="an absolute path"),
        pytest.param("path:/srv/f#x", "path:/srv/f#x", id="an absolute path by its scheme"),
    ],
)
def test_an_installable_is_taken_from_where_the_file_is(
    flakes: Path, text: str, expected: str
) -> None:
    found = installable_beside(text, "api", FlakePlace("api"), "MAIN")
    assert found == expected.replace("TOP", str(flakes))


@pytest.mark.parametrize("text", [".#x", "./t#x", "path:./t#x", "result", "..#x"])
def test_a_file_here_says_what_the_command_line_would(flakes: Path, text: str) -> None:
    assert (flakes / "api").is_dir()
    assert installable_beside(text, "", FlakePlace("."), ".") == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(".#x", "MAIN#x", id="the flake itself"),
        pytest.param("path:.#x", "MAIN#x", id="the same by its scheme"),
        pytest.param("./t#x", "git+https://h/r?rev=abc&dir=api/t#x", id="a flake below"),
        pytest.param("..#x", "git+https://h/r?rev=abc#x", id="the flake above"),
        pytest.param("nixpkgs#x", "nixpkgs#x", id="a name"),
        pytest.param("github:a/b#x", "github:a/b#x", id="a reference"),
    ],
)
def test_an_installable_of_a_fetched_flake_is_of_the_same_source(
    flakes: Path, text: str, expected: str
) -> None:
    locked = {"type": "git", "url": "https://h/r", "rev": "abc", "dir": "api"}
    place = FlakePlace(f"{flakes}/api", source=str(flakes), locked=locked)
    assert installable_beside(text, f"{flakes}/api", place, "MAIN", str(flakes)) == expected


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"contents": ["/srv/f#x"]}, id="an absolute path"),
        pytest.param({"contents": ["/nix/store/x"]}, id="a store path"),
        pytest.param({"contents": ["path:/srv/f#x"]}, id="an absolute path by its scheme"),
        pytest.param({"contents": ["git+file:///srv/f#x"]}, id="a repository of this machine"),
        pytest.param({"contents": ["file:///srv/f.tar.gz#x"]}, id="a tarball of this machine"),
        pytest.param({"contents": ["..#x"]}, id="a path upwards"),
        pytest.param({"contents": [".?dir=../../f#x"]}, id="a directory upwards"),
        pytest.param({"contents": ["./out#x"]}, id="a link out"),
        pytest.param({"contents": ["./result"]}, id="a link to a store path"),
        pytest.param({"debug-tools": "./out#x"}, id="tools by a link out"),
        pytest.param({"base": "/srv/base.oci"}, id="a base by an absolute path"),
        pytest.param({"base": "oci:../base.oci"}, id="a base upwards"),
        pytest.param({"base": "./layout"}, id="a base with a link out in it"),
        pytest.param({"layers": {"popularity": "/srv/p.json"}}, id="an index elsewhere"),
        pytest.param({"layers": {"plan-from": "../plan.json"}}, id="a plan elsewhere"),
    ],
)
def test_settings_of_a_fetched_flake_name_nothing_of_this_machine(
    flakes: Path, document: dict[str, object]
) -> None:
    source = f"{flakes}/api"
    (flakes / "api/layout").mkdir()
    (flakes / "api/layout/index.json").symlink_to("/srv/other/index.json")
    with pytest.raises(ConfigError, match="is not in the source of the flake"):
        document_beside(document, source, FlakePlace(source, source=source), "MAIN")
    own = document_beside(document, str(flakes), FlakePlace(source, source=source), "MAIN")
    assert own.keys() == document.keys()


@pytest.mark.parametrize(
    ("lock", "may"),
    [
        pytest.param("/srv/f/nix2oci.lock.yaml", True, id="of a directory"),
        pytest.param("/nix/store/nix2oci.lock.yaml", False, id="of a file that is a store path"),
        pytest.param("/nix/store/source/nix2oci.lock.yaml", False, id="in a store path"),
    ],
)
def test_no_lock_is_written_into_the_store(lock: str, may: bool) -> None:  # noqa: FBT001
    assert Settings(ImageSpec(), lock).may_lock is may

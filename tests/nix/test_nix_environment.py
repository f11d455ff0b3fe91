"""What the file system around nix says."""

import os
import subprocess
from pathlib import Path

import pytest
from support.tools import require

from nix2oci.nix.host import dirty_revision, has_cache_directory, store_path_behind

BASE = "k6sbazwb84960nz7saz7z551zi6vri7k-program"


def test_links_are_followed_to_the_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = f"{store}/{BASE}"
    (tmp_path / "result").symlink_to(path)
    (tmp_path / "again").symlink_to("result")
    (tmp_path / "sub").mkdir()
    (tmp_path / "other").symlink_to("sub")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "linked").symlink_to(tmp_path)
    for name, expected in {
        "result": path,
        "result/": path,
        "result/bin/x": path,
        "again": path,
        "linked/result": path,
        f"store/{BASE}": path,
        f"store/{BASE}/bin/x": path,
        "sub": "",
        "other": "",
        "absent": "",
        "loop": "",
        ".": "",
    }.items():
        found = store_path_behind(f"{tmp_path}/{name}", store_dir=str(store))
        assert (name, found) == (name, expected)


def test_a_store_path_that_is_a_link_is_itself(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / BASE).symlink_to("/elsewhere")
    assert store_path_behind(f"{store}/{BASE}", store_dir=str(store)) == f"{store}/{BASE}"


@pytest.mark.parametrize(
    ("env", "writable"),
    [
        pytest.param({}, True, id="nix finds a home by itself"),
        pytest.param({"HOME": "{tmp}"}, True, id="a home"),
        pytest.param({"HOME": "/proc/nope"}, False, id="a home that cannot be"),
        pytest.param({"HOME": "{tmp}/file"}, False, id="a home that is a file"),
        pytest.param({"HOME": "/proc/nope", "XDG_CACHE_HOME": "{tmp}"}, True, id="a cache"),
        pytest.param({"HOME": "{tmp}", "XDG_CACHE_HOME": "/proc/x"}, False, id="no such cache"),
        pytest.param({"HOME": "/proc/x", "NIX_CACHE_HOME": "{tmp}/n"}, True, id="Nix's own cache"),
    ],
)
def test_whether_caches_can_be_kept(env: dict[str, str], tmp_path: Path, *, writable: bool) -> None:
    (tmp_path / "file").touch()
    filled = {name: value.format(tmp=tmp_path) for name, value in env.items()}
    assert has_cache_directory(filled) is writable


def test_the_revision_below_changes(tmp_path: Path) -> None:
    require("git")
    env = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        **{
            f"GIT_{who}_{what}": "x"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }

    def git(*argv: str) -> str:
        return subprocess.check_output(["git", "-C", tmp_path, *argv], env=env, text=True)

    assert dirty_revision(str(tmp_path), env) == ""
    git("init", "-q")
    assert dirty_revision(str(tmp_path), env) == ""
    git("commit", "-q", "--allow-empty", "-m", "x")
    assert dirty_revision(str(tmp_path), env) == git("rev-parse", "HEAD").strip() + "-dirty"
    assert dirty_revision(str(tmp_path), {"PATH": str(tmp_path)}) == ""

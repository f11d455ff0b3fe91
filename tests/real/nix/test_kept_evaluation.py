"""What Nix said is used again exactly when Nix would say the same, by the processes that it takes.

Each answer that was kept is held against that of a client that keeps nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real.nix.remembering import ALL, ONE, PART, WITH_INPUT, Repository, delete, with_input
from real.nix.tiny import PRELUDE, make

pytestmark = pytest.mark.nix


@pytest.fixture
def repository(remembered: Repository) -> Repository:
    assert remembered.run() == ALL
    return remembered


def test_where_nothing_changed_one_nix_asks_whether_it_is_valid(repository: Repository) -> None:
    assert repository.run() == ONE
    assert repository.run() == ONE
    (said,) = set(repository.messages)
    assert said.startswith("kept evaluation of ")


def test_an_edit_is_evaluated_each_time_and_a_commit_once(repository: Repository) -> None:
    (repository.directory / "text").write_text("second\n")
    assert repository.run() == ALL
    assert repository.run() == ["eval", *ONE]  # the same derivation
    repository.commit()
    assert repository.run() == ["eval", *ONE]
    assert repository.run() == ONE
    repository.git("checkout", "-q", "HEAD^")
    assert repository.run() == ONE


def test_an_untracked_file_is_nothing_to_nix(repository: Repository) -> None:
    (repository.directory / "other").write_text("x")
    assert repository.run() == ONE
    repository.git("add", "--intent-to-add", "other")
    assert repository.run() == ["eval", *ONE]


def test_a_file_of_the_same_size_and_time_is_another_one(repository: Repository) -> None:
    path = repository.directory / "text"
    before = path.stat()
    path.write_text("FIRST\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert repository.run() == ALL


@pytest.mark.parametrize("hidden", ["assume-unchanged", "skip-worktree", "a filter"])
def test_a_file_at_whose_bytes_git_does_not_look_is_for_nix_to_judge(
    repository: Repository, hidden: str
) -> None:
    if hidden == "a filter":
        repository.git("config", "filter.first.clean", "sed s/second/first/")
        (repository.directory / ".git/info/attributes").write_text("text filter=first\n")
    else:
        repository.git("update-index", f"--{hidden}", "text")
    (repository.directory / "text").write_text("second\n")
    assert "eval" in repository.run()


def test_an_input_counts_when_the_lock_changes(
    repository: Repository, write: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "part"
    with_input(repository, part, write, f"path:{part}")
    assert repository.run() == ALL
    assert repository.run() == ONE
    (part / "flake.nix").write_text(PART.replace("NAME", "two"))
    assert repository.run() == ONE  # Nix goes by the lock as well
    repository.client().run(("flake", "lock", "--update-input", "part"))
    repository.client().run(("flake", "update"))
    assert repository.run() == ALL
    repository.commit()
    assert repository.run() == ["eval", *ONE]
    assert repository.run() == ONE


def test_a_lock_that_is_not_complete_keeps_nothing(
    repository: Repository, write: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "part"
    with_input(repository, part, write, f"path:{part}")
    repository.git("rm", "-q", "flake.lock")
    repository.commit()
    repository.options = ("--no-write-lock-file",)
    assert repository.run()[0] == "eval"
    (part / "flake.nix").write_text(PART.replace("NAME", "two"))
    assert repository.run() == ALL


@pytest.mark.parametrize("options", [("--recreate-lock-file",), ("--update-input", "part")])
def test_an_option_that_locks_anew_keeps_nothing(
    options: tuple[str, ...], repository: Repository, write: Callable[..., Path], tmp_path: Path
) -> None:
    part = tmp_path / "part"
    with_input(repository, part, write, f"path:{part}")
    if "--update-input" in options and repository.client().version.number >= (2, 20):
        pytest.skip("this Nix has no such option")
    repository.options = (*options, "--no-write-lock-file")
    assert repository.run() == ALL
    (part / "flake.nix").write_text(PART.replace("NAME", "two"))
    assert repository.run() == ALL


def test_where_nix_does_not_say_what_is_not_locked_nothing_is_kept(
    repository: Repository,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An input with changes has no lock, of which a Nix without that setting warns."""
    part = tmp_path / "part"
    part.mkdir()
    (part / "flake.nix").write_text(PART.replace("NAME", "one"))
    for argv in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
        subprocess.run(("git", "-C", part, *argv), check=True)
    write(WITH_INPUT.replace("URL", f"git+file://{part}"))
    repository.commit()
    config = os.environ.get("NIX_CONFIG", "")  # noqa: TID251
    monkeypatch.setenv("NIX_CONFIG", f"{config}\nwarn-dirty = false")
    for name in ("two", "three"):
        (part / "flake.nix").write_text(PART.replace("NAME", name))
        make(repository.client(), ".")
        if (repository.directory / "flake.lock").exists():
            pytest.skip("this Nix locks it as it is")
        assert "eval" in repository.run()


def test_an_entry_of_the_registry_counts_as_far_as_the_lock_says(
    repository: Repository,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def registry(path: Path) -> None:
        entry = {
            "from": {"type": "indirect", "id": "part"},
            "to": {"type": "path", "path": str(path)},
        }
        (tmp_path / "registry.json").write_text(json.dumps({"version": 2, "flakes": [entry]}))

    for name in ("part", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flake.nix").write_text(PART.replace("NAME", name))
    config = os.environ.get("NIX_CONFIG", "")  # noqa: TID251
    monkeypatch.setenv("NIX_CONFIG", f"{config}\nflake-registry = {tmp_path}/registry.json")
    registry(tmp_path / "part")
    with_input(repository, tmp_path / "part", write, "flake:part")
    assert repository.run() == ALL
    registry(tmp_path / "other")
    assert repository.run() == ONE
    repository.options = ("--override-input", "part", "flake:part", "--no-write-lock-file")
    assert repository.run() == ALL
    assert repository.run() == ["eval", *ONE]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(("--impure",), ".", id="--impure"),
        pytest.param((), "path:.", id="a directory that is copied"),
        pytest.param((), "file", id="-f"),
        pytest.param(("--refresh",), ".", id="all is to be looked at again"),
        pytest.param(("--option", "pure-eval", "false"), ".", id="impure by a setting"),
    ],
)
def test_what_may_differ_without_a_trace_is_evaluated(
    repository: Repository, options: tuple[str, ...], text: str
) -> None:
    if text == "file":
        path = repository.directory / "default.nix"
        path.write_text(f'let {PRELUDE} in {{ default = make "f" "echo x > $out" {{ }}; }}')
        for old, new in (("SYSTEM", repository.client().system()), ("SEED", "f")):
            path.write_text(path.read_text().replace(old, new))
        text = str(path)
    repository.options, repository.text = options, text
    for _ in range(2):
        assert "eval" in repository.run()


def test_a_variable_or_a_setting_that_nix_reads_is_part_of_the_question(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "value")
    assert repository.run() == ONE
    config = os.environ.get("NIX_CONFIG", "")  # noqa: TID251
    monkeypatch.setenv("NIX_CONFIG", f"{config}\nmax-call-depth = 9000")
    assert repository.run() == ALL
    (tmp_path / "nix.conf").write_text("max-jobs = 1\n")
    monkeypatch.setenv("NIX_USER_CONF_FILES", str(tmp_path / "nix.conf"))
    assert repository.run() == ALL
    assert repository.run() == ONE
    (tmp_path / "nix.conf").write_text("max-jobs = 2\n")
    assert repository.run() == ALL


def test_a_submodule_that_differs_keeps_nothing(repository: Repository, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for argv in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run(("git", "-C", other, *argv), check=True)
    repository.git("submodule", "add", "-q", str(other), "sub")
    repository.commit()
    repository.text = ".?submodules=1"
    assert "eval" in repository.run()
    repository.text = "."
    assert repository.run() == ["eval", *ONE]
    assert repository.run() == ONE
    (repository.directory / "sub" / "new").write_text("x")
    repository.git("add", "new", at="sub")
    assert "eval" in repository.run()


def test_an_output_that_was_collected_is_built_again(repository: Repository) -> None:
    (built,), _ = make(repository.client(), ".")
    delete(str(built.roots[0]))
    assert repository.run() == ALL[1:]
    assert repository.run() == ONE


def test_a_derivation_that_was_collected_is_made_again(repository: Repository) -> None:
    (built,), _ = make(repository.client(), ".")
    delete(str(built.roots[0]), built.package.wanted[0].path)
    assert repository.run() == ALL
    assert repository.run() == ONE


def test_an_output_that_was_made_again_with_other_bytes(repository: Repository) -> None:
    repository.text = ".#random"
    assert repository.run() == ALL
    (built,), before = make(repository.client(), ".#random")
    delete(str(built.roots[0]))
    _, after = make(repository.client(), ".#random")
    assert before.infos != after.infos
    assert repository.run() == ALL[1:]
    assert repository.run() == ONE


def test_a_store_path_is_never_evaluated(repository: Repository) -> None:
    (built,), _ = make(repository.client(), ".")
    repository.text = str(built.roots[0])
    assert repository.run() == ALL[1:]
    assert repository.run() == ONE

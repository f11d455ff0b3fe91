"""What Nix said is used again exactly when Nix would say the same, by the processes that it takes.

Each answer that was kept is held against that of a client that keeps nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from real.nix.tiny import PRELUDE, make
from support.tools import require

from nix2oci.cache.sealed_json import SealedJson
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.nix.client import NixClient
from nix2oci.nix.kept_answers import Kept

pytestmark = pytest.mark.nix

ALL, ONE = ["eval", "build", "path-info"], ["build"]
RANDOM = "read x < /proc/sys/kernel/random/uuid; echo $x > $out"
FLAKE = f"""{{
  outputs = {{ self }}: let {PRELUDE} in {{
    packages.SYSTEM.default = make "app-1.0" "echo ${{./text}} > $out" {{ }};
    packages.SYSTEM.random = make "random" "{RANDOM}" {{ }};
  }};
}}"""
WITH_INPUT = f"""{{
  inputs.part.url = "URL";
  outputs = {{ self, part }}: let {PRELUDE} in {{
    packages.SYSTEM.default = make "app-${{part.name}}" "echo x > $out" {{ }};
  }};
}}"""
PART = '{ outputs = { self }: { name = "NAME"; }; }'


@dataclass
class Repository:
    """A flake in git with one file, and the runs that build it, each with a memory and without."""

    directory: Path
    wrapper: Path
    messages: list[str] = field(default_factory=list)
    text: str = "."
    options: tuple[str, ...] = ()

    @property
    def answers(self) -> Path:
        return self.wrapper / "answers"

    def git(self, *argv: str, at: str = ".") -> None:
        subprocess.run(("git", "-C", self.directory / at, *argv), check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def client(self) -> NixClient:
        env = os.environ  # noqa: TID251
        known = {**env, "PATH": f"{self.wrapper}:{env['PATH']}"}
        return NixClient(known, self.options)

    def run(self) -> list[str]:
        """The processes of a run that remembers; it must find what one without memory finds."""
        log = self.wrapper / "log"
        log.write_text("")
        remembering = self.client()
        remembering.kept = Kept(SealedJson(str(self.answers)), self.messages.append)
        found = self._made(remembering)
        calls = log.read_text().split()
        assert found == self._made(self.client())
        return calls

    def _made(self, nix: NixClient) -> tuple[object, list[PathInfo]]:
        kind = {"file": self.text} if self.text.endswith(".nix") else {}
        named = nix.installable("default" if kind else self.text, **kind)
        built, closure = make(nix, named)
        (one,) = built
        known: Closure = closure
        return (one.package, one.roots), list(known.infos.values())


@pytest.fixture
def repository(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    require("git", "nix")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "x")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "x@example.org")
    for name, text in (("COUNT", "1"), ("KEY_0", "protocol.file.allow"), ("VALUE_0", "always")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", text)
    (wrapper := tmp_path / "wrapper").mkdir()
    (wrapper / "nix").write_text(
        f'#!/bin/sh\necho "${{3:-$1}}" >> {wrapper}/log\nexec "{shutil.which("nix")}" "$@"\n'
    )
    (wrapper / "nix").chmod(0o755)
    directory = write(FLAKE).parent
    found = Repository(directory, wrapper)
    (directory / "text").write_text("first\n")
    found.git("init", "-q")
    found.commit()
    monkeypatch.chdir(directory)
    assert found.run() == ALL
    return found


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


def with_input(repository: Repository, part: Path, write: Callable[..., Path], url: str) -> None:
    part.mkdir(exist_ok=True)
    (part / "flake.nix").write_text(PART.replace("NAME", "one"))
    write(WITH_INPUT.replace("URL", url))
    repository.git("add", "--all")
    repository.client().run(("flake", "lock", str(repository.directory)))
    repository.commit()


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


def delete(*paths: str) -> None:
    """As the garbage collector does, one after the other."""
    for path in paths:
        subprocess.run(("nix-store", "--delete", path), check=True, capture_output=True)
        assert not os.path.lexists(path)


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

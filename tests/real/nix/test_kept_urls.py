"""A flake that is named by a URL: what Nix is started for, and that no answer is used wrongly.

Each run is held against one that keeps nothing, as in `test_kept_evaluation`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real.nix.remembering import ALL, ONE, PART, Repository, delete, with_input
from real.nix.tiny import make

from nix2oci.nix.flake_place import place_of

pytestmark = pytest.mark.nix

ASKED = ["flake", *ALL]
"""A first run of what only Nix can say where it leads, by `nix flake metadata`."""
AGAIN = ["eval", *ONE]


def locked(repository: Repository, query: str = "") -> str:
    """The URL of the commit that the repository has now."""
    return f"git+file://{repository.directory}?rev={head(repository)}{query}"


def head(repository: Repository) -> str:
    argv = ("git", "-C", repository.directory, "rev-parse", "HEAD")
    return subprocess.check_output(argv, text=True).strip()


def commit_file(repository: Repository, text: str, name: str = "text") -> None:
    """A file of the repository as of its next commit, which is made."""
    path = repository.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    repository.commit()


@pytest.fixture
def repository(remembered: Repository) -> Repository:
    """It is named by the URL of its only commit, of which one run was made."""
    commit_file(remembered, "env: {A: first}\n", "nix2oci.yaml")
    remembered.text = locked(remembered)
    assert remembered.run() == ALL
    return remembered


def test_a_commit_is_asked_about_once(repository: Repository) -> None:
    assert repository.run() == ONE
    assert repository.run() == ONE
    assert set(repository.messages) == {f"kept evaluation of {head(repository)}"}


def test_what_is_known_of_a_commit_is_what_it_says(repository: Repository) -> None:
    for _ in range(2):
        nix = repository.remembering()
        named = nix.installable(repository.text)
        nix.evaluate_early(named)
        source = place_of(nix, named).source
        assert (nix.evaluate(named).revision, source[:11]) == (head(repository), "/nix/store/")
        assert Path(source, "nix2oci.yaml").read_text() == "env: {A: first}\n"


def test_of_a_commit_nothing_changes_with_the_tree(repository: Repository) -> None:
    (repository.directory / "text").write_text("second\n")
    (repository.directory / "nix2oci.yaml").write_text("env: {A: second}\n")
    assert repository.run() == ONE
    repository.commit()
    assert repository.run() == ONE


def test_another_commit_is_another_one(repository: Repository) -> None:
    first = repository.text
    commit_file(repository, "second\n")
    repository.text = locked(repository)
    assert repository.run() == ALL
    commit_file(repository, "env: {A: second}\n", "nix2oci.yaml")
    repository.text = locked(repository)
    assert repository.run() == AGAIN  # the same derivation, other settings
    repository.text = first
    assert repository.run() == ONE


def test_a_directory_and_a_package_are_part_of_the_question(repository: Repository) -> None:
    commit_file(repository, (repository.directory / "flake.nix").read_text(), "sub/flake.nix")
    commit_file(repository, "other\n", "sub/text")
    commit_file(repository, "env: {A: sub}\n", "sub/nix2oci.yaml")
    for text in (
        locked(repository, "&dir=sub"),
        locked(repository),
        f"{locked(repository)}#random",
    ):
        repository.text = text
        assert repository.run()[0] == "eval"
        assert repository.run() == ONE


def test_a_work_tree_is_the_same_by_its_url(repository: Repository) -> None:
    repository.text = f"git+file://{repository.directory}"
    assert repository.run() == AGAIN
    assert repository.run() == ONE
    (repository.directory / "text").write_text("second\n")
    assert repository.run() == ALL
    assert repository.run() == AGAIN


def test_a_branch_is_asked_about_each_time_and_a_commit_of_it_once(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "branch")
    repository.text = f"git+file://{repository.directory}?ref=branch"
    assert repository.run() == ["flake", *AGAIN]
    assert repository.run() == ["flake", *ONE]
    commit_file(repository, "second\n")
    assert repository.run() == ASKED
    assert repository.run() == ["flake", *ONE]
    repository.git("reset", "-q", "--hard", "HEAD^")
    assert repository.run() == ["flake", *ONE]


def test_a_branch_means_one_commit_in_a_run(repository: Repository) -> None:
    """It moves when its place is known, and before it is evaluated."""
    repository.git("checkout", "-q", "-b", "branch")
    nix, before = repository.client(), head(repository)
    named = nix.installable(f"git+file://{repository.directory}?ref=branch")
    (expected,), _ = make(repository.client(), named)
    source = place_of(nix, named).source
    commit_file(repository, "second\n")
    (built,), _ = make(nix, named)
    assert (built.package, built.roots) == (expected.package, expected.roots)
    assert built.package.revision == before != head(repository)
    assert Path(source, "text").read_text() == "first\n"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], None]:
    """Say what a name means to the registry of this machine."""
    config = os.environ.get("NIX_CONFIG", "")  # noqa: TID251
    monkeypatch.setenv("NIX_CONFIG", f"{config}\nflake-registry = {tmp_path}/registry.json")

    def write(name: str, to: object) -> None:
        entry = {"from": {"type": "indirect", "id": name}, "to": to}
        (tmp_path / "registry.json").write_text(json.dumps({"version": 2, "flakes": [entry]}))

    return write


def test_a_name_of_the_registry_is_what_it_means_now(
    repository: Repository, registry: Callable[[str, object], None]
) -> None:
    repository.git("checkout", "-q", "-b", "branch")
    there = {"type": "git", "url": f"file://{repository.directory}", "ref": "branch"}
    registry("some-app", there)
    repository.text = "some-app"
    assert repository.run() == ASKED  # the registry is a setting
    assert repository.run() == ["flake", *ONE]
    commit_file(repository, "second\n")
    first = head(repository)
    assert repository.run() == ASKED
    commit_file(repository, "third\n")
    registry("some-app", {**there, "rev": first})
    assert repository.run() == ["flake", *ONE]
    registry("some-app", there)
    assert repository.run() == ASKED


def test_a_registry_says_nothing_of_a_url(
    repository: Repository, registry: Callable[[str, object], None]
) -> None:
    registry("some-app", {"type": "path", "path": "/nowhere"})
    assert repository.run() == ALL  # the registry is a setting
    registry("some-app", {"type": "path", "path": "/elsewhere"})
    assert repository.run() == ONE


@pytest.fixture
def part(repository: Repository, write: Callable[..., Path], tmp_path: Path) -> Path:
    """An input of the flake, which is a path; its commit has a lock of that."""
    with_input(repository, tmp_path / "part", write, f"path:{tmp_path}/part")
    repository.text = locked(repository)
    return tmp_path / "part"


def changed(part: Path) -> None:
    (part / "flake.nix").write_text(PART.replace("NAME", "two"))


def test_an_input_is_what_the_lock_says(repository: Repository, part: Path) -> None:
    assert repository.run() == ALL
    changed(part)
    assert repository.run() == ONE
    repository.client().run(("flake", "lock", "--update-input", "part"))
    repository.client().run(("flake", "update"))
    repository.commit()
    assert repository.run() == ONE
    repository.text = locked(repository)
    assert repository.run() == ALL
    assert repository.run() == ONE


def test_an_input_that_is_not_locked_is_looked_at_each_time(
    repository: Repository, part: Path
) -> None:
    repository.git("rm", "-q", "flake.lock")
    repository.commit()
    repository.text, repository.options = locked(repository), ("--no-write-lock-file",)
    assert repository.run() == ALL
    assert repository.run() == AGAIN
    changed(part)
    assert repository.run() == ALL


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--override-input", "part", "path:PART"), id="an input is a path"),
        pytest.param(("--update-input", "part"), id="an input is looked up again"),
        pytest.param(("--recreate-lock-file",), id="all inputs are"),
    ],
)
def test_an_option_that_changes_the_lock_keeps_nothing(
    options: tuple[str, ...], repository: Repository, part: Path
) -> None:
    told = tuple(each.replace("PART", str(part)) for each in options)
    repository.options = (*told, "--no-write-lock-file")
    if "--update-input" in options and repository.client().version.number >= (2, 20):
        pytest.skip("this Nix has no such option")
    assert repository.run() == ALL
    assert repository.run() == AGAIN
    changed(part)
    assert repository.run() == ALL


def test_a_source_may_have_submodules_that_its_url_does_not_name(
    repository: Repository, tmp_path: Path
) -> None:
    if repository.client().version.number < (2, 27):
        pytest.skip("this Nix knows no such flake")
    (part := tmp_path / "part").mkdir()
    (part / "file").write_text("x")
    for argv in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
        subprocess.run(("git", "-C", part, *argv), check=True)
    repository.git("submodule", "add", "-q", str(part), "sub")
    flake = (repository.directory / "flake.nix").read_text()
    commit_file(repository, flake.replace("{", "{ inputs.self.submodules = true;", 1), "flake.nix")
    repository.text = locked(repository)
    assert repository.run()[:2] == ["eval", "flake"]
    assert repository.run() == ["flake", *ONE]
    nix = repository.client()
    assert Path(place_of(nix, nix.installable(repository.text)).source, "sub/file").exists()


@pytest.mark.parametrize(
    "options", [("--impure",), ("--refresh",), ("--option", "pure-eval", "false")], ids=" ".join
)
def test_what_may_differ_without_a_trace_is_evaluated(
    options: tuple[str, ...], repository: Repository
) -> None:
    repository.options = options
    for _ in range(2):
        assert "eval" in repository.run()


def test_a_setting_is_part_of_the_question(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = os.environ.get("NIX_CONFIG", "")  # noqa: TID251
    monkeypatch.setenv("NIX_CONFIG", f"{config}\nmax-call-depth = 9000")
    assert repository.run() == ALL
    assert repository.run() == ONE


def test_where_a_question_may_fetch_nothing_metadata_is_asked(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = os.environ.get("NIX_CONFIG", "")  # noqa: TID251
    monkeypatch.setenv("NIX_CONFIG", f"{config}\nrestrict-eval = true")
    fetched = repository.run()
    assert fetched in (ALL, ["eval", "eval", "flake", *ALL[1:]])
    assert repository.run() == (ONE if fetched == ALL else ["flake", *ONE])


@pytest.mark.parametrize(
    ("gone", "processes"),
    [
        pytest.param(("output",), ALL[1:], id="its output, which is built again"),
        pytest.param(("output", "derivation"), ALL, id="its derivation, which is made again"),
        pytest.param(("source",), AGAIN, id="its source, which is fetched again"),
    ],
)
def test_what_was_collected_is_not_used(
    gone: tuple[str, ...], processes: list[str], repository: Repository
) -> None:
    nix = repository.client()
    named = nix.installable(repository.text)
    nix.evaluate_early(named)
    source = place_of(nix, named).source
    (built,), _ = make(nix, named)
    known = {
        "output": str(built.roots[0]),
        "derivation": built.package.wanted[0].path,
        "source": source,
    }
    delete(*(known[each] for each in gone))
    assert repository.run() == processes
    assert repository.run() == ONE


def test_a_tarball_is_asked_about_each_time(
    repository: Repository, host: Callable[[Path], str], tmp_path: Path
) -> None:
    """Its NAR hash does not tell its time, which evaluation can see."""
    archive = ("archive", "--prefix=x/", "-o", tmp_path / "app.tar.gz", "HEAD")
    repository.git(*map(str, archive))
    repository.text = f"http://{host(tmp_path)}/app.tar.gz"
    assert repository.run() == ["flake", *AGAIN]
    assert repository.run() == ["flake", *AGAIN]
    nix = repository.client()
    metadata = json.loads(nix.metadata(nix.installable(repository.text)))
    repository.text += f"?narHash={metadata['locked']['narHash']}"
    assert repository.run() == AGAIN
    assert repository.run() == AGAIN

"""Answers of Nix that were kept: by how many processes a run does, and what is made again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import DRV, OUT, SOURCE, FakeNix, info, joint, make, tree, value
from support.tools import require

from nix2oci.cache.sealed_json import SealedJson
from nix2oci.errors import StoreError
from nix2oci.model.closure import StorePath
from nix2oci.nix.evidence import evidence
from nix2oci.nix.kept_answers import Kept

ALL, AGAIN, ONE = ["eval", "build", "path-info"], ["eval", "build"], ["build"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Runs:
    """Runs in a flake of git that has one commit, each by a client of its own."""

    def __init__(self, directory: Path, fake: FakeNix) -> None:
        self.fake = fake
        self.directory = directory
        self.answers = directory.parent / "answers"
        self.said: list[str] = []
        self.shown: list[str] = []

    @property
    def store(self) -> SealedJson:
        return SealedJson(str(self.answers), self.shown.append)

    def git(self, *argv: str) -> None:
        subprocess.run(("git", "-C", self.directory, *argv), check=True, capture_output=True)

    def commit(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / name.replace("_", ".")).write_text(text)
        self.git("add", "--all")
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        self.git(*who, "commit", "-q", "--allow-empty", "-m", "x")

    def run(self, *options: str, text: str = ".#app", **env: str) -> list[str]:
        """The commands of a run."""
        self.fake.log.unlink(missing_ok=True)
        nix = self.fake.nix(*options, terminal=None, origin=None, **env)
        nix.kept = Kept(self.store, self.said.append)
        make(nix, text)
        return [call[0] for call in self.fake.calls]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    require("git")
    (tmp_path / "flake").mkdir()
    (tmp_path / "fake").mkdir()
    found = Runs(tmp_path / "flake", FakeNix(tmp_path / "fake"))
    found.git("init", "-q")
    found.commit(flake_nix="{ }")
    monkeypatch.chdir(found.directory)
    assert found.run() == ALL
    return found


def test_the_second_run_asks_whether_what_was_built_is_valid(runs: Runs) -> None:
    assert runs.run() == ONE
    (asked,) = runs.fake.calls
    assert asked[:2] == ["build", "--json"]
    assert asked[-2:] == ["--", OUT]
    assert "--out-link" in asked
    (said,) = runs.said
    assert said == f"kept evaluation of {head(runs)}"
    assert runs.shown == []


def head(runs: Runs) -> str:
    argv = ("git", "-C", runs.directory, "rev-parse", "HEAD")
    return subprocess.check_output(argv, text=True).strip()


def write(name: str, text: str) -> Callable[[Runs], object]:
    return lambda runs: (runs.directory / name).write_text(text)


def locked(**node: object) -> Callable[[Runs], object]:
    lock = {"nodes": {"root": {"inputs": {"a": "a"}}, "a": {"locked": node}}, "root": "root"}
    return lambda runs: runs.commit(flake_lock=json.dumps(lock))


HASH = "sha256-rcU0Sek2slflcmv68/fyNuOQkC+bd7OGN3LsBFgjyHQ="


@pytest.mark.parametrize(
    ("change", "first", "again"),
    [
        pytest.param(write("flake.nix", "{  }"), AGAIN, AGAIN, id="a file is edited"),
        pytest.param(write("new", "x"), ONE, ONE, id="a file that git does not know"),
        pytest.param(lambda runs: runs.commit(), AGAIN, ONE, id="another commit"),
        pytest.param(
            locked(type="path", path="/x", narHash=HASH),
            AGAIN,
            ONE,
            id="inputs are locked by their hash",
        ),
        pytest.param(
            locked(type="path", path="/x"), AGAIN, AGAIN, id="one is locked without a hash"
        ),
        pytest.param(
            locked(type="path", path="./x"), AGAIN, ONE, id="one that is a directory of the flake"
        ),
        pytest.param(
            locked(type="path", path="./../x"), AGAIN, AGAIN, id="one that is beside the flake"
        ),
        pytest.param(
            lambda runs: runs.commit(flake_lock="{"), AGAIN, AGAIN, id="a lock that is none"
        ),
        pytest.param(
            lambda runs: os.unlink(f"{runs.fake.root}{DRV}"),
            AGAIN,
            AGAIN,
            id="a derivation is gone",
        ),
        pytest.param(
            lambda runs: os.unlink(runs.fake.bin / "nix"),
            ALL,
            ONE,
            id="the program of nix is another",
        ),
    ],
)
def test_what_changed_is_asked_again_until_it_is_settled(
    runs: Runs, change: Callable[[Runs], object], first: list[str], again: list[str]
) -> None:
    change(runs)
    assert runs.run() == first
    assert runs.run() == again


URL = f"github:o/r/{COMMIT}"


def fetched(runs: Runs, **files: str) -> Path:
    """The source of a flake that is named by its commit, as Nix has put it into the store."""
    place = Path(f"{runs.fake.root}{SOURCE}")
    place.mkdir()
    for name, text in {"flake_nix": "{ }", **files}.items():
        (place / name.replace("_", ".")).write_text(text)
    return place


def test_a_commit_by_its_url_is_asked_about_once_and_its_source_held(runs: Runs) -> None:
    fetched(runs)
    assert runs.run(text=f"{URL}#app") == AGAIN
    assert runs.run(text=f"{URL}#app") == ONE
    assert runs.fake.calls[0][-2:] == [OUT, SOURCE]


def made_again(place: Path) -> None:
    shutil.copytree(place, place.with_name("copy"))
    place.rename(place.with_name("away"))
    place.with_name("copy").rename(place)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(shutil.rmtree, id="it is gone"),
        pytest.param(made_again, id="it was made again"),
    ],
)
def test_a_source_that_is_another_is_asked_about(
    runs: Runs, change: Callable[[Path], object]
) -> None:
    place = fetched(runs)
    runs.run(text=f"{URL}#app")
    change(place)
    assert runs.run(text=f"{URL}#app") == AGAIN


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        pytest.param(URL, {"nar_hash": ""}, id="Nix says no NAR hash"),
        pytest.param(f"git+https://me:secret@h/r?rev={COMMIT}", {}, id="the URL has a secret"),
        pytest.param(
            f"https://h/r.tar.gz?narHash={HASH}", {}, id="the time of a tarball may differ"
        ),
    ],
)
def test_what_is_no_commit_for_all_to_see_is_evaluated(
    runs: Runs, text: str, changes: dict[str, str]
) -> None:
    fetched(runs)
    runs.fake.answer("fetchTree", joint(value(), tree=tree(**changes)))
    for _ in range(2):
        assert runs.run(text=f"{text}#app")[0] == "eval"


def test_inputs_of_a_source_have_to_be_locked(runs: Runs) -> None:
    lock = {"nodes": {"root": {"inputs": {"a": "a"}}, "a": {"locked": {"type": "git"}}}}
    fetched(runs, flake_lock=json.dumps({**lock, "root": "root"}))
    for _ in range(2):
        assert runs.run(text=f"{URL}#app") == AGAIN


def test_what_a_name_means_now_is_asked_each_time(runs: Runs) -> None:
    place = fetched(runs)

    def means(commit: str) -> None:
        locked = {"type": "github", "owner": "o", "repo": "r", "rev": commit, "narHash": HASH}
        resolved = {"type": "github", "owner": "o", "repo": "r"}
        said = {"path": SOURCE, "resolved": resolved, "locked": locked, "revision": commit}
        runs.fake.rules.clear()
        runs.fake.answer("flake metadata", json.dumps(said))
        runs.fake.answer('#""', joint(value()))

    means(COMMIT)
    assert runs.run(text="r#app") == ["flake", *ALL]  # the program of nix is another
    assert [call[-1] for call in runs.fake.calls][:2] == ["r", f'{URL}#""']
    assert runs.run(text="r#app") == ["flake", *ONE]
    made_again(place)
    assert runs.run(text="r#app") == ["flake", *ONE], "Nix said a moment ago that it is there"
    means(COMMIT[::-1])
    assert "eval" in runs.run(text="r#app")


@pytest.mark.parametrize(
    ("options", "env"),
    [
        pytest.param(["--impure"], {}, id="impure"),
        pytest.param(["--refresh"], {}, id="all is to be looked at again"),
        pytest.param(["--recreate-lock-file"], {}, id="inputs are locked anew"),
        pytest.param(["--update-input", "a"], {}, id="an input is locked anew"),
        pytest.param(["--reference-lock-file", "/x"], {}, id="the lock is another file"),
        pytest.param(["--option", "warn-dirty", "false"], {}, id="what is not locked is not said"),
        pytest.param(["--override-input", "a", "path:/x"], {}, id="an override to a path"),
        pytest.param(["--override-input", "a", "nixpkgs"], {}, id="an override to a name"),
        pytest.param(["--inputs-from", "."], {}, id="names are those of another flake"),
        pytest.param(["--eval-store", "/x"], {}, id="derivations are elsewhere"),
        pytest.param(["--option", "pure-eval", "false"], {}, id="impure by an option"),
        pytest.param([], {"NIX_CONFIG": "pure-eval = false"}, id="impure by a setting"),
        pytest.param([], {"GIT_DIR": "/x"}, id="git is told of another repository"),
    ],
)
def test_what_has_no_name_is_asked_each_time(
    runs: Runs, options: list[str], env: dict[str, str]
) -> None:
    for _ in range(2):
        assert "eval" in runs.run(*options, **env)


@pytest.mark.parametrize(
    ("options", "env"),
    [
        pytest.param(["--override-input", "a", f"github:o/r/{COMMIT}"], {}, id="a commit"),
        pytest.param(["--option", "cores", "2"], {}, id="another option"),
        pytest.param(["--system", "aarch64-linux"], {}, id="another system"),
        pytest.param([], {"NIX_CONFIG": "cores = 2"}, id="another setting"),
        pytest.param([], {"NIX_PATH": "x=/x"}, id="another variable of Nix"),
        pytest.param([], {"HOME": "/tmp"}, id="another home"),
    ],
)
def test_what_decides_is_part_of_the_name(
    runs: Runs, options: list[str], env: dict[str, str]
) -> None:
    assert runs.run(*options, **env)[0] == "eval"
    assert runs.run(*options, **env) == ONE
    assert runs.run() == ONE


@pytest.mark.parametrize(
    "options", [["--print-build-logs"], ["--max-jobs", "1"], ["--keep-going"]], ids=" ".join
)
def test_what_decides_nothing_is_no_part_of_it(runs: Runs, options: list[str]) -> None:
    assert runs.run(*options) == ONE


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("warning: Git tree '/f' is dirty", id="Nix sees what git does not"),
        pytest.param("warning: not writing modified lock file of flake '.':", id="an old lock"),
        pytest.param("warning: updating lock file '/f/flake.lock':", id="a lock that is written"),
    ],
)
@pytest.mark.parametrize("more", [0, 1 << 16], ids=["and no more", "and a lot after it"])
def test_what_nix_took_otherwise_is_not_kept(runs: Runs, said: str, more: int) -> None:
    runs.fake.answer('#""', joint(value()), stderr=f"{said}\ntrace: {'x' * more}\n")
    runs.commit()
    for _ in range(2):
        assert runs.run()[0] == "eval"


def test_what_is_no_longer_valid_is_built(runs: Runs) -> None:
    collected = runs.directory.parent / "collected"
    refused = f"test -e {collected} && {{ echo error: path is not valid >&2; exit 1; }}"
    runs.fake.answer(f"/root -- {OUT}", json.dumps([OUT]), run=refused)
    assert runs.run() == ALL
    assert runs.run() == ONE
    collected.touch()
    assert runs.run() == ["build", "build", "path-info"]
    assert runs.fake.shown == []


def test_what_was_made_again_is_asked_about(runs: Runs) -> None:
    place = Path(f"{runs.fake.root}{OUT}")
    place.rename(place.with_name("away"))
    runs.fake.place(OUT)
    assert runs.run() == ALL[1:]
    assert runs.run() == ONE


def test_what_is_not_there_is_built(runs: Runs) -> None:
    os.unlink(f"{runs.fake.root}{OUT}")
    with pytest.raises(StoreError):  # this Nix only says that it has built
        runs.run()
    assert [call[0] for call in runs.fake.calls] == ["build"]


def test_a_store_path_is_kept_as_well(runs: Runs) -> None:
    runs.fake.answer("build --json", json.dumps([OUT]))
    assert runs.run(text=OUT) == ALL[1:]
    assert runs.run(text=OUT) == ONE


def test_evidence_of_what_was_kept_is_that_of_now(runs: Runs) -> None:
    signed = {OUT: {**info()[OUT], "signatures": ["key-1:AAAA"]}}
    runs.fake.answer("path-info", json.dumps(signed))
    nix = runs.fake.nix()
    nix.kept = Kept(runs.store)
    make(nix)
    assert evidence(nix)[StorePath.parse(OUT)].signatures == ("key-1:AAAA",)


def test_for_another_system_evaluation_is_another_one(runs: Runs) -> None:
    for expected in (ALL[:2], ONE):
        runs.fake.log.unlink(missing_ok=True)
        nix = runs.fake.nix()
        nix.kept = Kept(runs.store)
        make(nix.for_system("aarch64-linux"))
        assert [call[0] for call in runs.fake.calls] == expected


def test_a_nix_that_looks_early_is_the_one_that_answers(runs: Runs) -> None:
    runs.fake.log.unlink()
    nix = runs.fake.nix()
    nix.kept = Kept(runs.store)
    package = nix.evaluate(nix.installable(".#app"))
    nix.begin_build([package])
    with nix.build([package]) as built:
        nix.closure(built[0].roots)
    (call,) = runs.fake.calls
    assert not Path(call[call.index("--out-link") + 1]).parent.exists()
    nix.begin_build([package])
    del nix
    *_, call = runs.fake.calls
    assert not Path(call[call.index("--out-link") + 1]).parent.exists(), "nobody built"


def documents(runs: Runs) -> dict[Path, dict[str, Any]]:
    paths = sorted(runs.answers.iterdir())
    return {path: json.loads(path.read_bytes().partition(b"\n")[2]) for path in paths}


def changed(document: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """With values of keys replaced, wherever these are."""

    def walk(found: Any) -> Any:
        if isinstance(found, dict):
            return {k: changes[k] if k in changes else walk(v) for k, v in found.items()}
        return [walk(each) for each in found] if isinstance(found, list) else found

    return dict(walk(document))


FORGED = [
    pytest.param({"package": None}, id="no package"),
    pytest.param({"name": 7}, id="a name that is none"),
    pytest.param({"wanted": [{"path": "--help", "outputs": []}]}, id="an option"),
    pytest.param({"wanted": [{"path": "/etc/passwd", "outputs": []}]}, id="a path elsewhere"),
    pytest.param({"wanted": [{"path": "\ud800", "outputs": []}]}, id="half a character"),
    pytest.param({"installable": {"text": "x", "kind": "flake"}}, id="another installable"),
    pytest.param({"number": "x"}, id="no version"),
    pytest.param({"outputs": {}}, id="no outputs"),
    pytest.param({"outputs": {DRV: {"out": "/etc"}}}, id="an output elsewhere"),
    pytest.param({"roots": []}, id="no roots"),
    pytest.param({"roots": ["--help"]}, id="a root that is an option"),
    pytest.param({"closure": "[]"}, id="an empty closure"),
    pytest.param({"closure": "x"}, id="no closure"),
    pytest.param({"stamps": {}}, id="no stamps"),
    pytest.param({"stamps": {OUT: [1]}}, id="half a stamp"),
    pytest.param({"stamps": {"\0": [1, 1]}}, id="a stamp of nothing"),
]


@pytest.mark.parametrize("changes", FORGED)
def test_a_forged_answer_is_asked_for_again(runs: Runs, changes: dict[str, Any]) -> None:
    for path, document in documents(runs).items():
        runs.store.write(path.name, changed(document, **changes))
    assert runs.run() != ONE
    assert runs.run() == ONE


@pytest.mark.parametrize("data", [b"", b"x", b"[" * 10000], ids=["empty", "short", "deep"])
def test_a_damaged_answer_is_asked_for_again(runs: Runs, data: bytes) -> None:
    for path in documents(runs):
        path.write_bytes(data)
    assert runs.run() == ALL
    assert all(line.endswith("is damaged and is not used") for line in runs.shown)
    assert len(runs.shown) == 2
    assert runs.run() == ONE

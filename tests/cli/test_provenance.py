"""`build --provenance`: where an image comes from, and nothing that is nobody's business."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import DRV, OUT, info
from support.terminal import INFO, Terminal
from support.two_systems import ARM, ARM_DRV, BOTH, place

CANARY = "c4n4ry-s3cr3t"
COMMIT = "3f4c1c2b7d0e3f4c1c2b7d0e3f4c1c2b7d0e3f4c"
HASH = "sha256-rcU0Sek2slflcmv68/fyNuOQkC+bd7OGN3LsBFgjyHQ="
HEX = "adc53449e936b257e5726bfaf3f7f236e390902f9b77b3863772ec045823c874"
LIBC = "/nix/store/rvb0ccn65bvm6bmnbbmy7ajbdbf1yi0q-glibc-2.36"
SIGNATURE = "cache.example.org-1:" + "A" * 86 + "=="
SECRET_URL = f"https://user:{CANARY}@git.example.org/app"


def metadata(locked: dict[str, Any], **nodes: dict[str, Any]) -> str:
    """What `nix flake metadata --json` prints of a flake with these inputs."""
    root = {"inputs": {name: name for name in nodes}}
    locks = {"root": "root", "nodes": {"root": root, **nodes}}
    resolved = {key: value for key, value in locked.items() if key in ("type", "url")}
    return json.dumps({"resolved": resolved, "locked": locked, "locks": locks})


GIT = {
    "type": "git",
    "url": f"{SECRET_URL}?token={CANARY}",
    "ref": "main",
    "rev": COMMIT,
    "narHash": HASH,
}
NIXPKGS = {"locked": {"type": "github", "owner": "o", "repo": "n", "rev": COMMIT, "narHash": HASH}}


def predicate(
    terminal: Terminal, *options: str, said: str = metadata(GIT, nixpkgs=NIXPKGS), **env: str
) -> dict[str, Any]:
    """The provenance of one build."""
    terminal.fake.answer("flake metadata", said)
    terminal.fake.nix()
    done = terminal.run("build", "--provenance=p.json", *options, **env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((terminal.directory / "p.json").read_text())
    return found


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def dependencies(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    listed = found["buildDefinition"]["resolvedDependencies"]
    return {each.get("name") or each["uri"]: each for each in listed}


def test_the_flake_and_its_inputs_are_named_as_they_are_locked(terminal: Terminal) -> None:
    found = dependencies(predicate(terminal, ".#app"))
    digest = {"gitCommit": COMMIT, "narSha256": HEX}
    flake = f"git+https://git.example.org/app?ref=main&rev={COMMIT}"
    assert found["flake"] == {"name": "flake", "uri": flake, "digest": digest}
    assert found["flake: nixpkgs"]["uri"] == f"github:o/n/{COMMIT}"


def test_a_derivation_has_the_digest_of_its_file(terminal: Terminal) -> None:
    terminal.fake.place(DRV).write_text("Derive(…)")
    found = dependencies(predicate(terminal, ".#app"))
    digest = hashlib.sha256("Derive(…)".encode()).hexdigest()
    assert found[f"nix:{DRV}"]["digest"] == {"sha256": digest}


def test_a_derivation_that_was_collected_is_left_out(terminal: Terminal) -> None:
    terminal.fake.answer("build --json", json.dumps([f"{OUT}"]))
    found = dependencies(predicate(terminal, OUT))
    assert not [name for name in found if name.endswith(".drv")]


def test_store_paths_have_what_speaks_for_them(terminal: Terminal) -> None:
    more = {"signatures": [SIGNATURE], "ultimate": False, "deriver": DRV, "ca": None}
    rules, terminal.fake.rules = terminal.fake.rules, []
    terminal.fake.answer("path-info", json.dumps({OUT: {**INFO[OUT], **more}}))
    terminal.fake.rules += rules
    (found,) = predicate(terminal, ".#app")["runDetails"]["byproducts"]
    assert found["uri"] == f"nix:{OUT}"
    assert found["annotations"] == {
        "narSize": INFO[OUT]["narSize"],
        "signatures": [SIGNATURE],
        "deriver": DRV.rpartition("/")[2],
    }


TREES = {
    "a git tree with changes": {"type": "git", "url": "file:///here", "narHash": HASH},
    "one that a recent Nix names a dirty revision of": {
        "type": "git",
        "url": "file:///here",
        "narHash": HASH,
        "dirtyRev": f"{COMMIT}-dirty",
    },
}


@pytest.mark.parametrize("name", TREES)
def test_no_commit_is_said_of(name: str, terminal: Terminal) -> None:
    found = predicate(terminal, ".#app", said=metadata(TREES[name]))
    assert dependencies(found)["flake"] == {
        "name": "flake",
        "digest": {"narSha256": HEX},
        "annotations": {"dirty": True},
    }
    assert COMMIT not in json.dumps(found)


def test_a_path_flake_has_the_hash_of_its_files_and_no_place(terminal: Terminal) -> None:
    said = metadata({"type": "path", "path": "/home/somebody/app", "narHash": HASH})
    found = predicate(terminal, "path:/home/somebody/app#app", said=said)
    assert dependencies(found)["flake"] == {"name": "flake", "digest": {"narSha256": HEX}}
    assert "somebody" not in json.dumps(found)


def test_impurity_and_overrides_are_said(terminal: Terminal) -> None:
    override = ("--override-input", "nixpkgs", f"git+{SECRET_URL}")
    found = predicate(terminal, ".#app", "--impure", *override)
    asked = found["buildDefinition"]["externalParameters"]
    assert (asked["impure"], asked["overrides"]) == (True, ["nixpkgs"])


def test_settings_are_those_of_file_and_flags(terminal: Terminal) -> None:
    (terminal.directory / "flake.nix").write_text("{ }")
    (terminal.directory / "nix2oci.yaml").write_text("user: 1000\n")
    found = predicate(terminal, ".#app", "-o../a.oci", "--env", "A=b", "--max-layers", "5")
    asked = found["buildDefinition"]["externalParameters"]
    assert asked["configuration"] == {"user": 1000}
    assert asked["flags"] == {"env": ["A=b"], "max-layers": "5"}


def test_what_decides_bytes_of_this_installation_is_named(terminal: Terminal) -> None:
    found = predicate(terminal, ".#app", "--compression", "none")["buildDefinition"]
    assert found["internalParameters"].keys() == {"nix2oci", "compressor", "layerForm"}
    assert found["internalParameters"]["layerForm"].endswith(" none none")


@pytest.mark.parametrize(
    "options",
    [
        (f"git+{SECRET_URL}?token={CANARY}#app",),
        (".#app", "--option", "access-tokens", f"github.com={CANARY}"),
        (".#app", "--override-input", "nixpkgs", f"git+{SECRET_URL}"),
        (".#app", "--builder-id", SECRET_URL),
        (".#app", "--env", f"DB=postgres://me:{CANARY}@db/x?sslmode=require&api_key={CANARY}"),
        (".#app", "--labels", f"from={SECRET_URL}?access_token={CANARY}#x"),
    ],
    ids=["a flake's URL", "a setting of Nix", "an override", "the builder", "a value", "a label"],
)
def test_no_secret_of(options: Sequence[str], terminal: Terminal) -> None:
    secrets = {"CANARY": CANARY, "NIX2OCI_PASSWORD": CANARY, "NIX_CONFIG": f"# {CANARY}"}
    terminal.fake.answer("build --json", json.dumps([{"drvPath": DRV, "outputs": {"out": OUT}}]),
                         stderr=f"building: password={CANARY}\n")  # fmt: skip
    assert CANARY not in json.dumps(predicate(terminal, *options, **secrets))


def test_of_a_url_in_a_value_all_else_is_kept(terminal: Terminal) -> None:
    url = "postgres://db/x?sslmode=require&api_key=k&pool=5#a"
    found = predicate(terminal, ".#app", "--env", f"DB={url}", "--env", "Q=what? key=1")
    flags = found["buildDefinition"]["externalParameters"]["flags"]
    assert flags["env"] == ["DB=postgres://db/x?sslmode=require&pool=5#a", "Q=what? key=1"]


BUILDERS = {
    "anybody": ({}, "urn:nix2oci:builder:local"),
    "a job of GitHub": (
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_WORKFLOW_REF": "o/r/.github/workflows/x.yml@refs/heads/main",
        },
        "https://github.com/o/r/.github/workflows/x.yml@refs/heads/main",
    ),
    "a job of GitLab": (
        {"GITLAB_CI": "true", "CI_PROJECT_URL": "https://gitlab.com/o/r", "CI_RUNNER_ID": "12"},
        "https://gitlab.com/o/r/-/runners/12",
    ),
}


@pytest.mark.parametrize("who", BUILDERS)
def test_who_builds_is(who: str, terminal: Terminal) -> None:
    env, expected = BUILDERS[who]
    found = predicate(terminal, ".#app", **env)
    assert found["runDetails"]["builder"] == {"id": expected}


def test_a_named_builder_wins(terminal: Terminal) -> None:
    env = BUILDERS["a job of GitLab"][0]
    found = predicate(terminal, ".#app", "--builder-id", "https://ci.example.org/7", **env)
    assert found["runDetails"]["builder"] == {"id": "https://ci.example.org/7"}


def test_times_are_said_when_asked_for(terminal: Terminal) -> None:
    assert "metadata" not in predicate(terminal, ".#app")["runDetails"]
    said = predicate(terminal, ".#app", "--provenance-times")["runDetails"]["metadata"]
    began, ended = (datetime.fromisoformat(said[key]) for key in ("startedOn", "finishedOn"))
    assert began <= ended <= datetime.now(UTC)


def test_the_same_build_has_the_same_bytes(terminal: Terminal) -> None:
    predicate(terminal, ".#app")
    first = (terminal.directory / "p.json").read_bytes()
    predicate(terminal, ".#app", TZ="Asia/Tokyo", LC_ALL="C")
    assert (terminal.directory / "p.json").read_bytes() == first


def test_nix_is_started_no_more_often(terminal: Terminal) -> None:
    terminal.run("build", ".#app")
    without = len(terminal.fake.calls)
    predicate(terminal, ".#app")
    assert len(terminal.fake.calls) == 2 * without


def test_an_index_has_what_each_of_its_images_has(tmp_path: Path) -> None:
    terminal = place(tmp_path)
    terminal.fake.place(DRV).write_text("Derive(x86)")
    terminal.fake.place(ARM_DRV).write_text("Derive(arm)")
    done = terminal.run("build", ".#app", *BOTH, "--provenance=p.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((terminal.directory / "p.json").read_text())
    asked = found["buildDefinition"]["externalParameters"]
    assert asked["platforms"] == ["linux/amd64", "linux/arm64"]
    assert {f"nix:{DRV}", f"nix:{ARM_DRV}"} <= {*dependencies(found)}
    paths = {each["uri"] for each in found["runDetails"]["byproducts"]}
    assert paths == {f"nix:{OUT}", f"nix:{ARM}"}


def test_a_closure_that_is_given_has_no_evidence(terminal: Terminal) -> None:
    (terminal.directory / "closure.json").write_text(json.dumps({**info(), **INFO}))
    path = str(terminal.fake.root)
    done = terminal.run(
        "build", OUT, "--closure", "closure.json", "--store", path, "--provenance", "p.json"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((terminal.directory / "p.json").read_text())
    assert found["runDetails"]["byproducts"] == []
    asked = found["buildDefinition"]["externalParameters"]
    assert asked["installables"] == [{"storePath": OUT}]


def test_one_file_is_for_one_image(terminal: Terminal) -> None:
    done = terminal.run("build", "--all", "--provenance", "p.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "provenance of several images" in done.stderr

"""Closures of real nixpkgs, as others recorded them: what `plan`, `why` and `diff` say of them.

tests/data/closures/README.md has where they are from.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.paths import TESTS
from support.terminal import Terminal

from nix2oci.model.closure import PathInfo, StorePath, reachable
from nix2oci.nix.given import read_given

CLOSURES = TESTS / "data/closures"
FILES = sorted(path.name for path in CLOSURES.iterdir() if path.suffix != ".md")
JUDGE = "/nix/store/nr0bmck42yhk7krdwgpcs27vi2fjm0ci-judge"
SMALL_JUDGE = "/nix/store/qp7szg08r7bihccp022vk6cp53rrlrsd-judge"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def run(terminal: Terminal, *args: str) -> str:
    """What a command prints that starts no Nix."""
    done = terminal.run(*args, PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    assert terminal.fake.calls == []
    return done.stdout


def plan(terminal: Terminal, file: str, *args: str) -> list[list[str]]:
    """The names in each layer."""
    found = json.loads(run(terminal, "plan", "--json", "--closure", str(CLOSURES / file), *args))
    return [[path[44:] for path in layer["paths"]] for layer in found["layers"]]


def entry(info: PathInfo) -> dict[str, Any]:
    return {
        "path": str(info.path),
        "narHash": "sha256-" + base64.b64encode(info.nar_hash).decode(),
        "narSize": info.nar_size,
        "references": list(map(str, info.references)),
    }


def part(terminal: Terminal, file: str, root: str, name: str) -> str:
    """A recorded closure of one root of a file that has several."""
    infos = {info.path: info for info in read_given(str(CLOSURES / file))}
    paths = reachable([StorePath.parse(root)], lambda path: infos[path].references)
    (terminal.directory / name).write_text(json.dumps([entry(infos[path]) for path in paths]))
    return name


@pytest.mark.parametrize("layers", ["1", "2", "3", "10", "127"])
@pytest.mark.parametrize("file", FILES)
def test_every_path_is_in_one_layer_whatever_the_budget(
    terminal: Terminal, file: str, layers: str
) -> None:
    found = plan(terminal, file, "--max-layers", layers)
    names = sorted(info.path.name for info in read_given(str(CLOSURES / file)))
    assert sorted(name for layer in found for name in layer) == names
    assert len(found) <= max(1, int(layers) - 1)


@pytest.mark.parametrize("layers", ["3", "10", "20", "127"])
@pytest.mark.parametrize(
    ("file", "own"),
    [
        pytest.param("python-app.json", ["python-app-env", "python-app-src"], id="its source"),
        pytest.param("node-app.json", ["node-app-1.0.0", "node-app-env"], id="its package"),
    ],
)
def test_the_application_in_an_environment_is_apart(
    terminal: Terminal, file: str, own: list[str], layers: str
) -> None:
    assert plan(terminal, file, "--max-layers", layers)[-1] == own


def test_an_environment_of_packages_alone_has_none_of_its_own(terminal: Terminal) -> None:
    for root in (JUDGE, SMALL_JUDGE):
        assert plan(terminal, "judge.registration", root, "--max-layers", "10")[-1] == ["judge"]


def test_of_a_file_of_several_roots_one_is_planned(terminal: Terminal) -> None:
    whole = plan(terminal, "judge.registration")
    assert (len(whole), whole[-1]) == (41, ["judge", "judge", "mongodb-5.0.6"])
    assert len(plan(terminal, "judge.registration", JUDGE)) == 32
    assert len(plan(terminal, "judge.registration", SMALL_JUDGE)) == 28


@pytest.mark.parametrize(
    ("file", "wanted", "chain"),
    [
        pytest.param(
            "python-app.json",
            "tzdata",
            ["python-app-env", "python3-3.13.12-env", "python3-3.13.12", "tzdata-2026a"],
            id="time zones, by Python itself",
        ),
        pytest.param(
            "python-app.json",
            "nss-cacert",
            [
                *("python-app-env", "python3-3.13.12-env", "python3.13-certifi-2025.07.14"),
                "nss-cacert-3.123",
            ],
            id="certificates, by certifi",
        ),
        pytest.param(
            "node-app.json",
            "bash-5.3p3",
            ["node-app-env", "nodejs-22.22.2", "icu4c-76.1-dev", "bash-5.3p3"],
            id="a shell, by the headers of ICU",
        ),
        pytest.param(
            "judge.registration",
            "linux-headers",
            ["judge", "gcc-wrapper-12.1.0", "glibc-2.35-163-dev", "linux-headers-5.18"],
            id="the headers of Linux, by gcc",
        ),
        pytest.param(
            "hello.json", "libidn2", ["hello-2.10", "glibc-2.33-59", "libidn2-2.3.2"], id="libidn2"
        ),
    ],
)
def test_why_names_what_keeps_a_path(
    terminal: Terminal, file: str, wanted: str, chain: list[str]
) -> None:
    said = json.loads(run(terminal, "why", "--json", "-v", str(CLOSURES / file), wanted))
    chains = [
        [step["path"][44:] for step in found["steps"]]
        for path in said["paths"]
        for found in path["chains"]
    ]
    assert chain in chains


def test_the_two_judges_differ_in_little(terminal: Terminal) -> None:
    files = (
        part(terminal, "judge.registration", JUDGE, "old.json"),
        part(terminal, "judge.registration", SMALL_JUDGE, "new.json"),
    )
    found = json.loads(run(terminal, "diff", "--json", *files))
    changes = [(each["change"], each["package"]) for each in found["changes"]]
    assert changes == [
        ("removed", "diffutils"),
        ("removed", "busybox"),
        ("removed", "unzip"),
        ("removed", "bzip2"),
        ("rebuilt", "judge"),
    ]
    assert found["push"] == found["layers"]["added"][0]["size"] == 23168
    assert len(found["layers"]["kept"]) == 27


@pytest.mark.parametrize(
    ("file", "said"),
    [
        pytest.param(
            "judge.registration",
            "warning: gcc, linux-headers, glibc (dev), gcc-wrapper, binutils-wrapper: development "
            "files in the image, 430.0 MB; what keeps them: nix2oci why {file} gcc-12.1.0\n",
            id="compilers",
        ),
        pytest.param(
            "node-app.json",
            "warning: openssl (dev), icu4c (dev), sqlite (dev), zlib (dev), libuv (dev): "
            "development files in the image, 4.5 MB; what keeps them: "
            "nix2oci why {file} openssl-3.6.2-dev\n",
            id="outputs for builds",
        ),
        pytest.param("python-app.json", "", id="none"),
        pytest.param("hello.json", "", id="none in a small one"),
    ],
)
def test_plan_warns_of_development_files(terminal: Terminal, file: str, said: str) -> None:
    path = str(CLOSURES / file)
    lines = run(terminal, "plan", "--closure", path).splitlines(keepends=True)
    expected = said.format(file=path)
    assert [line for line in lines if "development" in line] == ([expected] if expected else [])
    found = json.loads(run(terminal, "plan", "--json", "--closure", path))["development"]
    assert bool(found) == bool(said)
    if found:
        named = expected.split()[-2:]
        assert run(terminal, "why", *named).startswith(found[0]["path"])

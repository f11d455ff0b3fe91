"""`diff` and `why` on real images, judged by what Nix recorded and what Nix says itself."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from real.distro import nix, out_path, sample
from real.engines import output
from real.images import NIX2OCI, Images, Layout, closure_of, nix2oci
from support.tools import require

from nix2oci.compare.inputs import image_contents, image_reasons
from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.nix.json_output import path_infos
from nix2oci.oci.layout.source import open_image

pytestmark = pytest.mark.nix

PROGRAMS = ("git", "python3-flask")


def recorded(*paths: str) -> dict[StorePath, PathInfo]:
    """What Nix says of a closure."""
    infos = path_infos(nix("path-info", "--json", "--recursive", *paths))
    return {info.path: info for info in infos}


def document(*args: str | Path) -> Any:
    return json.loads(nix2oci(*args, "--json"))


def installable(images: Images, program: str) -> str:
    (found,) = images.installables(program)
    return found


def kept_image(images: Images, program: str) -> Path:
    """An image in which no wrapper is replaced."""
    path = images.directory / f"{program}-keep.oci"
    if not path.exists():
        nix2oci("build", "-q", installable(images, program), "--shell", "keep", "-o", path)
    return path


@pytest.mark.parametrize("program", PROGRAMS)
def test_references_in_an_image_are_those_that_nix_recorded(program: str, images: Images) -> None:
    require("nix")
    truth = recorded(str(out_path(installable(images, program))))
    graph = image_reasons(open_image(str(kept_image(images, program)))).graph
    assert graph.sizes == {path: info.nar_size for path, info in truth.items()}
    assert graph.references == {
        path: tuple(other for other in info.references if other != path)
        for path, info in truth.items()
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_launchers_take_away_references_to_a_shell_alone(program: str, images: Images) -> None:
    """The image as it is made: what was dropped is missing, and launchers name no shell."""
    require("nix")
    truth = recorded(str(out_path(installable(images, program))))
    layout = images.layout(program).path
    shell = document("inspect", layout)["shell"]
    dropped = {each["path"] for each in shell["dropped"]}
    replaced = {each["file"] for each in shell["wrappers"] if each["became"] == "launcher"}
    graph = image_reasons(open_image(str(layout))).graph
    assert {str(path) for path in graph.sizes} == {str(path) for path in truth} - dropped
    assert graph.sizes == {path: truth[path].nar_size for path in graph.sizes}
    for path, found in graph.references.items():
        before = {other for other in truth[path].references if str(other) not in dropped}
        lost = before - {path} - set(found)
        assert set(found) <= before
        assert all(re.fullmatch(r"bash-.*", other.name) for other in lost), path
        assert not lost or any(file.startswith(f"{path}/") for file in replaced), path


@pytest.mark.parametrize(("program", "name"), [("git", "perl"), ("python3-flask", "bash")])
def test_the_first_chain_is_as_long_as_that_of_nix(program: str, name: str, images: Images) -> None:
    require("nix")
    top = out_path(installable(images, program))
    (why,) = document("why", kept_image(images, program), name)["paths"]
    said = re.sub(r"\x1b\[[0-9;]*m", "", nix("why-depends", str(top), why["path"]))
    steps = list(dict.fromkeys(re.findall(r"/nix/store/\w{32}-[^/\s]+", said)))
    assert steps[-1] == why["path"]
    chain = [step["path"] for step in why["chains"][0]["steps"]]
    assert (chain[0], chain[-1], len(chain)) == (steps[0], steps[-1], len(steps))


@pytest.mark.parametrize(("program", "name"), [("git", "perl"), ("python3-flask", "python3")])
def test_referrers_and_what_would_go_are_what_nix_says(
    program: str, name: str, images: Images
) -> None:
    """By Nix's referrers, and a walk over its references that goes around the path."""
    require("nix")
    top = str(out_path(installable(images, program)))
    truth = recorded(top)
    (why,) = document("why", kept_image(images, program), name)["paths"]
    referrers = set(output("nix-store", "--query", "--referrers", why["path"]).split())
    assert set(why["referrers"]) == (referrers & set(closure_of(top))) - {why["path"]}
    left: set[StorePath] = set()
    waiting = [StorePath.parse(top)]
    while waiting:
        path = waiting.pop()
        if path not in left and str(path) != why["path"]:
            left.add(path)
            waiting += truth[path].references
    saved = sum(info.nar_size for path, info in truth.items() if path not in left)
    assert why["saved"] == saved


@pytest.mark.parametrize(("program", "name"), [("git", "perl"), ("python3-flask", "glibc")])
def test_an_image_and_its_installable_have_the_same_chains(
    program: str, name: str, images: Images
) -> None:
    """From the same root: what only a link of the view leads to is not known of an installable."""
    require("nix")
    top = str(out_path(installable(images, program)))

    def chains(*args: str | Path) -> list[Any]:
        (why,) = document("why", *args, "-v")["paths"]
        return sorted(
            [[(step["path"], step["files"]) for step in chain["steps"]] for chain in why["chains"]]
        )

    ours = [chain for chain in chains(images.layout(program).path, name) if chain[0][0] == top]
    theirs = chains(installable(images, program), name)
    assert len(theirs) < 100
    assert ours == theirs


def test_files_of_a_step_hold_the_reference(images: Images) -> None:
    require("nix", "grep")
    (why,) = document("why", kept_image(images, "git"), "perl")["paths"]
    first, second = why["chains"][0]["steps"]
    part = StorePath.parse(second["path"]).hash_part
    argv = ["grep", "--recursive", "--files-with-matches", "--text", part, first["path"]]
    found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert {f"{first['path']}/{file}" for file in first["files"]} >= set(found)
    assert first["files"]


def test_diff_of_a_changed_application(distro: Path, tmp_path: Path) -> None:
    """A new version of the application alone: one store path, its layer and the last one."""
    require("nix")
    flake, *options = sample(distro, "web-python")
    source = Path(flake.removeprefix("path:").partition("#")[0])
    changed = tmp_path / "changed"
    changed.mkdir()
    for name in ("flake.nix", "web.py"):
        text = (source / name).read_text()
        (changed / name).write_text(text.replace('version = "1.0"', 'version = "1.1"'))
    old, new = tmp_path / "old.oci", tmp_path / "new.oci"
    nix2oci("build", "-q", flake, *options, "-o", old)
    nix2oci("build", "-q", f"path:{changed}", *options, "-o", new, "--env", "GREETING=hello")
    found = document("diff", old, new)
    (change,) = found["changes"]
    assert (change["change"], change["package"]) == ("updated", "web")
    assert (change["old"]["version"], change["new"]["version"]) == ("1.0", "1.1")
    before, after = Layout(old), Layout(new)
    sizes = {layer["digest"]: layer["size"] for layer in after.manifest["layers"]}
    moved = set(after.layers) - set(before.layers)
    assert found["push"] == found["pull"] == sum(sizes[digest] for digest in moved)
    assert {layer["digest"] for layer in found["layers"]["added"]} == moved
    assert len(found["layers"]["kept"]) == len(after.layers) - 2
    assert {"name": "env GREETING", "old": None, "new": "hello"} in found["settings"]
    for image, code in ((old, 1), (new, 0)):
        named = (str(image), f"path:{changed}", *options)
        argv = (NIX2OCI, "diff", "-q", "--exit-code", *named)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, ""), done.stdout


def test_a_recorded_closure_does_not_differ_from_its_image(images: Images, tmp_path: Path) -> None:
    require("nix")
    top = str(out_path(installable(images, "git")))
    closure = tmp_path / "git.json"
    closure.write_text(nix("path-info", "--json", "--recursive", top))
    found = document("diff", closure, kept_image(images, "git"))
    assert (found["changes"], found["old"]["nar_size"]) == ([], found["new"]["nar_size"])
    assert found["differ"] is False


def test_contents_of_an_image_are_what_nix_lists(images: Images) -> None:
    require("nix")
    found = image_contents(open_image(str(images.layout("git").path)))
    dropped = document("inspect", images.layout("git").path)["shell"]["dropped"]
    paths = {str(path) for path in found.paths} | {each["path"] for each in dropped}
    assert sorted(paths) == closure_of(str(out_path(installable(images, "git"))))

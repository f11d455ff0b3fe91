"""The same inputs make the same image: what names, paths and settings mean, with a real Nix."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real.images import NIX2OCI

pytestmark = pytest.mark.nix

FLAKE = """{
  INPUTS outputs = { self, ... }: {
    packages.SYSTEM = let
      make = name: derivation {
        inherit name; system = "SYSTEM"; builder = "/bin/bash"; PATH = "/usr/bin:/bin"; EXTRA
        args = [ "-c" "mkdir -p $out/bin; cd $out/bin;
          printf '\\\\177ELF' > ${name}; chmod +x ${name}; sleep 0.2; true" ];
      };
    in { default = make "NAME"; migrate = make "NAME-migrate"; };
  };
}"""
INPUTS = """
  inputs.nixpkgs.url = "path:TOP/locked"; inputs.same.follows = "nixpkgs";
  inputs.inner.url = "path:./inner";
"""


class Flakes:
    """Flakes that say in the name of each program whose it is, and builds of them."""

    def __init__(self, top: Path, system: str) -> None:
        self.top, self._system = top, system
        self.flake("locked")
        self.flake("registered")
        to = {"type": "path", "path": f"{top}/registered"}
        entries = [
            {"from": {"type": "indirect", "id": name}, "to": to} for name in ("nixpkgs", "other")
        ]
        self.registry = top / "registry.json"
        self.registry.write_text(json.dumps({"version": 2, "flakes": entries}))

    def flake(self, place: str, *, inputs: str = "", extra: str = "", settings: str = "") -> Path:
        directory = self.top / place
        directory.mkdir(parents=True, exist_ok=True)
        text = FLAKE.replace("NAME", directory.name).replace("SYSTEM", self._system)
        text = text.replace("INPUTS", inputs.replace("TOP", str(self.top)))
        (directory / "flake.nix").write_text(text.replace("EXTRA", extra))
        if settings:
            (directory / "nix2oci.yaml").write_text(settings)
        return directory

    def run(self, *args: str, here: str = ".") -> subprocess.CompletedProcess[str]:
        argv = (NIX2OCI, "build", *args, "--option", "flake-registry", str(self.registry))
        place = self.top / here
        return subprocess.run(argv, cwd=place, capture_output=True, text=True, check=False)

    def built(self, *args: str, here: str = ".") -> tuple[list[str], dict[str, Any]]:
        """The names of the outputs in the image, and what `--json` printed."""
        done = self.run(*args, "-o", str(self.top / "image.oci"), "--json", here=here)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        return [path.partition("-")[2] for path in document["roots"]], document

    def role(self, *args: str, here: str = ".") -> tuple[str, str]:
        """The program that the image starts, and its ROLE."""
        (name,), document = self.built(*args, here=here)
        digest = str(document["image_id"]).partition(":")[2]
        config = json.loads((self.top / "image.oci/blobs/sha256" / digest).read_bytes())
        env = dict(each.split("=", 1) for each in config["config"]["Env"])
        return name, env.get("ROLE", "")


@pytest.fixture
def flakes(tmp_path: Path) -> Flakes:
    argv = ("nix", "eval", "--impure", "--raw", "--expr", "builtins.currentSystem")
    system = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return Flakes(tmp_path, system)


def commit(directory: Path) -> str:
    """The revision of all that is in a directory, which becomes a repository."""
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(("git", "-C", directory, "init", "-q"), check=True)
    subprocess.run(("git", "-C", directory, "add", "."), check=True)
    subprocess.run(("git", "-C", directory, *who, "commit", "-q", "-m", "x"), check=True)
    return revision_of(directory)


def revision_of(directory: Path) -> str:
    argv = ("git", "-C", str(directory), "rev-parse", "HEAD")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


# --- what names mean -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more", "whose"),
    [
        pytest.param("nixpkgs", (), "locked", id="an input as locked, whatever the registry says"),
        pytest.param("flake:nixpkgs", (), "locked", id="the same with its scheme"),
        pytest.param("same", (), "locked", id="an input that follows another"),
        pytest.param("inner", (), "inner", id="an input that is a path in the flake"),
        pytest.param(
            *("nixpkgs", ("--override-input", "nixpkgs", "path:./third"), "third"),
            id="an input that is overridden by a path from here",
        ),
    ],
)
def test_a_name_is_an_input_of_the_flake(
    name: str, more: tuple[str, ...], whose: str, flakes: Flakes
) -> None:
    flakes.flake("main", inputs=INPUTS)
    flakes.flake("main/inner")
    flakes.flake("third")
    more = (*more, "--no-write-lock-file")
    roots, document = flakes.built("./main", "--contents", f"{name}#migrate", *more)
    assert roots == ["main", f"{whose}-migrate"]
    assert document["unpinned"] == []
    flakes.flake("main", inputs=INPUTS, settings=f'contents: ["{name}#migrate"]')
    assert flakes.built("./main", *more)[0] == ["main", f"{whose}-migrate"]


def test_what_only_the_registry_knows_is_named_with_what_it_is(flakes: Flakes) -> None:
    flakes.flake("main", inputs=INPUTS.replace("inputs.inner.url", "# "))
    roots, document = flakes.built("./main", "--contents", "other#migrate")
    assert roots == ["main", "registered-migrate"]
    (one,) = document["unpinned"]
    assert one["installable"] == "other#migrate"
    assert one["url"].startswith(f"path:{flakes.top}/registered?")
    assert "narHash=" in one["url"]


def test_names_of_a_store_path_are_those_of_the_flake_that_is_given(flakes: Flakes) -> None:
    main = flakes.flake("main", inputs=INPUTS.replace("inputs.inner.url", "# "))
    subprocess.run(("nix", "build", "path:../locked", "-o", "../result"), cwd=main, check=True)
    args = ("./result", "--contents", "nixpkgs#migrate")
    assert flakes.built(*args, "--inputs-from", "./main")[0] == ["locked", "locked-migrate"]
    assert flakes.built(*args)[0] == ["locked", "registered-migrate"]


# --- whose settings ------------------------------------------------------------------------------


@pytest.fixture
def repository(flakes: Flakes) -> Flakes:
    """A repository `r` with a flake at its root and in `api`, each with settings of its own."""
    flakes.flake("r", settings="env: {ROLE: root}")
    settings = "env: {ROLE: api}\nentrypoint: [api]"
    flakes.flake("r/api", settings=settings)
    (flakes.top / "r/api/deep").mkdir()
    (flakes.top / "r/api/deep/file").write_text("")
    commit(flakes.top / "r")
    return flakes


@pytest.mark.parametrize(
    ("subject", "here"),
    [
        pytest.param("./r/api", ".", id="a path"),
        pytest.param("./r/api/deep", ".", id="a directory of the flake"),
        pytest.param(".", "r/api/deep", id="the flake above"),
        pytest.param(".?dir=api", "r", id="a directory by its parameter"),
        pytest.param("..?dir=api", "r/api", id="the same from below"),
        pytest.param("path:./r/api", ".", id="a path that is copied whole"),
        pytest.param("git+file://TOP/r?dir=api", ".", id="a URL of git"),
        pytest.param("git+file://TOP/r?dir=api&rev=REV", ".", id="a revision"),
        pytest.param("file://TOP/r.tar.gz?dir=api", ".", id="a tarball"),
        pytest.param("git+http://HOST/r/.git?dir=api", ".", id="a repository elsewhere"),
        pytest.param("http://HOST/r.tar.gz?dir=api", ".", id="a tarball elsewhere"),
    ],
)
def test_settings_are_those_of_the_flake_that_is_evaluated(
    subject: str, here: str, repository: Flakes, host: Callable[[Path], str]
) -> None:
    top = repository.top
    revision = revision_of(top / "r")
    archive = ("archive", "--prefix=x/", "-o", "../r.tar.gz", "HEAD")
    for argv in (archive, ("update-server-info",)):
        subprocess.run(("git", "-C", top / "r", *argv), check=True)
    subject = subject.replace("TOP", str(top)).replace("REV", revision)
    if "HOST" in subject:
        subject = subject.replace("HOST", host(top))
    assert repository.role(subject, here=here) == ("api", "api")


@pytest.mark.parametrize(
    ("file", "role"),
    [
        pytest.param("nix", "nix", id="a directory"),
        pytest.param("nix/default.nix", "nix", id="the file in it"),
        pytest.param("link.nix", "nix", id="a link to the file"),
        pytest.param("here.nix", "here", id="a file here"),
    ],
)
def test_settings_of_a_nix_file_lie_beside_it(file: str, role: str, flakes: Flakes) -> None:
    flakes.flake("nix", settings="env: {ROLE: nix}")
    text = (flakes.top / "nix/flake.nix").read_text()
    system = text.partition("packages.")[2].partition(" ")[0]
    value = f"({text}).outputs {{ self = null; }}"
    for name in ("nix/default.nix", "here.nix"):
        (flakes.top / name).write_text(f"({value}).packages.{system}")
    (flakes.top / "link.nix").symlink_to("nix/default.nix")
    (flakes.top / "nix2oci.yaml").write_text("env: {ROLE: here}")
    assert flakes.role("-f", file, "default") == ("nix", role)


@pytest.mark.parametrize(
    ("text", "whose"),
    [
        pytest.param(".#migrate", "api-migrate", id="the flake itself"),
        pytest.param("./t#migrate", "t-migrate", id="a flake below"),
        pytest.param("path:./t#migrate", "t-migrate", id="the same by its scheme"),
        pytest.param("..#migrate", "r-migrate", id="the flake above"),
        pytest.param("..?dir=api/t#migrate", "t-migrate", id="a directory of the one above"),
    ],
)
@pytest.mark.parametrize("subject", ["./r/api", "TOP/r/api", "git+file://TOP/r?dir=api&rev=REV"])
def test_paths_of_settings_are_taken_from_their_file(
    text: str, whose: str, subject: str, flakes: Flakes
) -> None:
    flakes.flake("r")
    flakes.flake("r/api", settings=f'contents: ["{text}"]')
    flakes.flake("r/api/t")
    subject = subject.replace("REV", commit(flakes.top / "r")).replace("TOP", str(flakes.top))
    assert flakes.built(subject)[0] == ["api", whose]


@pytest.mark.parametrize("text", ["TOP/locked#migrate", "../..#migrate", "./out#migrate"])
def test_settings_of_a_revision_name_nothing_outside_of_it(text: str, flakes: Flakes) -> None:
    settings = f'contents: ["{text}"]'.replace("TOP", str(flakes.top))
    api = flakes.flake("r/api", settings=settings)
    (api / "out").symlink_to(flakes.top / "locked")
    revision = commit(flakes.top / "r")
    done = flakes.run(f"git+file://{flakes.top}/r?dir=api&rev={revision}", "-o", "x")
    assert done.returncode == 2
    assert "is not in the source of the flake" in done.stderr


# --- where the image goes ------------------------------------------------------------------------


def test_three_builds_of_a_flake_in_git_are_one_image(flakes: Flakes) -> None:
    flakes.flake("f", extra="src = ./.;")
    commit(flakes.top / "f")
    digests = set()
    for _ in range(3):
        done = flakes.run("--json", here="f")
        assert done.returncode == 0, done.stderr
        digests.add(json.loads(done.stdout)["digest"])
        subprocess.run(("git", "-C", flakes.top / "f", "add", "-A"), check=True)
    assert len(digests) == 1
    assert sorted(os.listdir(flakes.top / "f")) == [".git", "f.oci", "flake.nix"]


def test_outside_of_git_the_command_that_is_shown_gives_one_image(flakes: Flakes) -> None:
    flakes.flake("f", extra="src = ./.;")
    done = flakes.run(here="f")
    assert done.returncode == 2
    *_, output = done.stderr.splitlines()[-1].split()
    builds = [flakes.run("-o", output, "--json", here="f") for _ in range(2)]
    assert len({json.loads(done.stdout)["digest"] for done in builds}) == 1

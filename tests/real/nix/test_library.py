"""Images as derivations, by a flake that uses the library: one digest, whoever makes the image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.distro import nix, nixes, run
from real.docker_registry import registry
from real.images import Layout
from real.images import nix2oci as command
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

FLAKE = r"""
{
  inputs.nixpkgs.url = "path:NIXPKGS";
  inputs.nix2oci.url = "path:CHECKOUT";
  inputs.nix2oci.inputs.nixpkgs.follows = "nixpkgs";

  outputs = { self, nixpkgs, nix2oci }:
    let
      system = "SYSTEM";
      pkgs = nixpkgs.legacyPackages.${system};
      program = name: meta: pkgs.runCommand "${name}-1.2" {
        inherit meta;
        pname = name;
        version = "1.2";
        outputs = [ "out" "man" "dev" ];
      } ''
        mkdir -p $out/bin $man/etc $dev/include
        for each in ${name} ${meta.mainProgram or name}; do
          printf '#!%s\necho hello from ${name}\n' ${pkgs.bash}/bin/bash > $out/bin/$each
          chmod +x $out/bin/$each
        done
        echo 'a page' > $man/etc/${name}.page
        touch $dev/include/${name}.h
      '';
      app = program "app" {
        description = "It  says hello";
        homepage = [ "https://example.org/app" ];
        license = with pkgs.lib.licenses; [ mit asl20 ];
        mainProgram = "hello";
        outputsToInstall = [ "out" "man" ];
      };
      # Both have etc/both.conf, with other texts.
      both = name: priority: pkgs.runCommand name { meta.priority = priority; } ''
        mkdir -p $out/etc
        echo ${name} > $out/etc/both.conf
      '';
      wanted = {
        package = app;
        contents = [ pkgs.cacert (both "second" 7) (both "first" 3) ];
        settings = ./settings.yaml;
        flake = self;
      };
      library = nix2oci.legacyPackages.${system};
    in
    {
      packages.${system} = rec {
        inherit app;
        inherit (pkgs) cacert;
        first = both "first" 3;
        second = both "second" 7;
        plain = program "plain" { };
        several = pkgs.runCommand "several" { } ''
          mkdir -p $out/bin
          for name in one two; do cp ${plain}/bin/plain $out/bin/$name; done
        '';
        image = library.buildImage wanted;
        archive = nix2oci.lib.buildImage (wanted // { inherit pkgs; archive = true; });
        stream = library.streamImage wanted;
        # A nix2oci that refuses to work where there is more than a builder has.
        sealed = (import "${nix2oci}/nix/lib.nix" {
          inherit pkgs;
          nix2oci = pkgs.writeShellScriptBin "nix2oci" ''
            for place in /usr /home /root /var /nix/var; do
              if [ -e $place ]; then echo "the host's $place is here" >&2; exit 1; fi
            done
            exec ${nix2oci.packages.${system}.default}/bin/nix2oci "$@"
          '';
        }).buildImage wanted;
        on-base = library.buildImage {
          package = plain;
          fromImage = image;
          flake = self;
        };
        named = library.buildImage {
          package = plain;
          flake = self;
          settings = {
            entrypoint = [ "${plain}/bin/plain" "--serve" ];
            env.UNZIP = "${pkgs.unzip}/bin/unzip {-v}";
          };
        };
        file = library.buildImage {
          package = plain;
          settings.files."/etc/app.conf".text = "with ${pkgs.unzip}/bin/unzip\n";
        };
        pulled = library.pullImage {
          reference = "registry.example/team/base:1@sha256:DIGEST";
          hash = "";
        };
        unpinned = library.pullImage { reference = "registry.example/base:1"; hash = ""; };
      };
      apps.${system} = {
        hello = { type = "app"; program = "${app}/bin/hello"; };
      };
    };
}
"""
SETTINGS = "name: team/app\nports: [8080]\nenv: {LANG: C.UTF-8}\n"


@dataclass(frozen=True)
class Shop:
    """A flake in git, all of it committed, and a scratch directory beside it."""

    directory: Path
    system: str

    def at(self, name: str) -> str:
        return f"git+file://{self.directory}#{name}"

    def file(self, name: str) -> Path:
        return self.directory.parent / name

    def build(self, name: str, *options: str, by: Path | str = "nix") -> Path:
        done = run(by, "build", "--json", "--no-link", *options, self.at(name))
        assert done.returncode == 0, done.stderr
        return Path(json.loads(done.stdout)[0]["outputs"]["out"])

    def path(self, name: str) -> str:
        return nix("eval", "--raw", self.at(f"{name}.outPath"))

    def digest(self, *args: str | Path) -> str:
        """That of an image by the command."""
        with tempfile.TemporaryDirectory(dir=self.directory.parent) as directory:
            made = command("build", *args, "--json", "-o", f"{directory}/x.oci")
        return str(json.loads(made)["digest"])


def digest_of(layout: Path) -> str:
    return str(json.loads(command("inspect", layout, "--json"))["digest"])


@pytest.fixture(scope="module")
def shop(scratch: Path, checkout: Path, nixpkgs: Path, built: Path) -> Shop:
    require("git")
    assert built.exists()  # with its tests, so that nothing here waits for it
    directory = scratch / "shop" / "flake"
    directory.mkdir(parents=True)
    system = nix("eval", "--raw", "--impure", "--expr", "builtins.currentSystem")
    words = {"NIXPKGS": nixpkgs, "CHECKOUT": checkout, "SYSTEM": system, "DIGEST": "0" * 64}
    text = FLAKE
    for word, value in words.items():
        text = text.replace(word, str(value))
    (directory / "flake.nix").write_text(text)
    (directory / "settings.yaml").write_text(SETTINGS)
    git = ("git", "-C", directory, "-c", "user.name=x", "-c", "user.email=x@example.org")
    run(*git, "init", "-q")
    run(*git, "add", ".")
    nix("flake", "lock", f"git+file://{directory}")
    run(*git, "add", ".")
    done = run(*git, "commit", "-qm", "x", "--date", "2024-05-06T07:08:09Z")
    assert done.returncode == 0, done.stderr
    return Shop(directory, system)


def flags(name: str, *values: str) -> list[str]:
    return [word for value in values for word in (name, value)]


@pytest.fixture(scope="module")
def by_command(shop: Shop) -> str:
    """The digest of the image of `nix2oci build .#app`."""
    contents = flags("--contents", "nixpkgs#cacert", shop.at("second"), shop.at("first"))
    return shop.digest(shop.at("app"), *contents, "--config", shop.directory / "settings.yaml")


@pytest.fixture(scope="module")
def image(shop: Shop) -> Path:
    return shop.build("image")


def test_the_image_of_a_derivation_is_that_of_the_command(
    by_command: str, image: Path, shop: Shop
) -> None:
    assert digest_of(image) == by_command
    assert digest_of(shop.build("archive")) == by_command
    annotations = Layout(image).manifest["annotations"]
    said = {key.rpartition(".")[2]: value for key, value in annotations.items()}
    assert (said["title"], said["version"]) == ("app", "1.2")
    assert (said["description"], said["licenses"]) == ("It says hello", "MIT AND Apache-2.0")
    assert len(said["revision"]) == 40
    assert said["created"] == Layout(image).config["created"] > "2024"


def test_a_script_on_the_host_makes_the_same_and_the_store_has_no_image(
    shop: Shop, by_command: str, image: Path
) -> None:
    stream = shop.build("stream")
    assert shop.path("image.stream") == str(stream)
    env = {**os.environ, "SOURCE_DATE_EPOCH": "315532900", "PATH": "/nowhere"}  # noqa: TID251
    argv = (stream / "bin/app-image", "--json", "-o", shop.directory.parent / "streamed.oci")
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == by_command
    assert str(image) not in nix("path-info", "--recursive", stream)


def test_a_closure_and_facts_that_are_given_make_the_same(
    shop: Shop, by_command: str, tmp_path: Path
) -> None:
    names = ("app", "app.man", "cacert", "second", "first")
    app, man, *contents = paths = [shop.path(name) for name in names]
    metadata = json.loads(nix("flake", "metadata", "--json", f"git+file://{shop.directory}"))
    facts: dict[str, dict[str, Any]] = {
        app: {
            "pname": "app",
            "version": "1.2",
            "system": shop.system,
            "mainProgram": "hello",
            "description": "It says hello",
            "homepages": ["https://example.org/app"],
            "licenses": ["MIT", "Apache-2.0"],
            "revision": metadata["revision"],
            "lastModified": metadata["lastModified"],
            "paths": [app, man],
        },
        contents[1]: {"priority": 7},
        contents[2]: {"priority": 3},
    }
    (tmp_path / "closure").write_text(nix("path-info", "--json", "--recursive", *paths))
    (tmp_path / "facts").write_text(json.dumps(facts))
    given = ("--closure", tmp_path / "closure", "--package", tmp_path / "facts")
    settings = ("--config", shop.directory / "settings.yaml")
    assert shop.digest(app, *given, *flags("--contents", *contents), *settings) == by_command


def test_every_nix_builds_the_same_again_and_a_new_one_finds_no_references(
    shop: Shop, image: Path
) -> None:
    for program in nixes():
        assert shop.build("image", "--rebuild", by=program) == image, program
    found = json.loads(nix("path-info", "--json", image))
    (info,) = found.values() if isinstance(found, dict) else found
    is_old = run("nix", "--version").stdout.split()[-1].startswith("2.8")
    assert is_old or info["references"] == []  # unsafeDiscardReferences is of 2.17


def test_it_is_made_in_a_sandbox_that_has_nothing_of_the_host(shop: Shop, by_command: str) -> None:
    shop.build("sealed.stream")  # what the stand-in for nixpkgs needs the host's programs for
    sandbox = [
        word
        for setting in ("sandbox true", "sandbox-fallback false", "sandbox-paths ")
        for word in ("--option", *setting.split(" "))
    ]
    for program in nixes():
        again = ("--rebuild",) if program != nixes()[0] else ()
        made = shop.build("sealed", *sandbox, *again, by=program)
        assert digest_of(made) == by_command, program
    done = run("nix", "build", "--rebuild", "--no-link", shop.at("sealed"))
    assert "the host's /usr is here" in done.stderr


def test_what_settings_refer_to_is_in_the_image(shop: Shop, tmp_path: Path) -> None:
    plain, unzip = shop.path("plain"), shop.path("named.settings")
    settings = {
        "entrypoint": ["plain", "--serve"],
        "env": {"UNZIP": "{nixpkgs#unzip}/bin/unzip {{-v}}"},
    }
    (tmp_path / "settings").write_text(json.dumps(settings))
    named = shop.build("named")
    by_command = shop.digest(shop.at("plain"), "--config", tmp_path / "settings")
    assert (digest_of(named), plain in unzip) == (by_command, False)
    file = shop.build("file")
    text = command("cat", file, "/etc/app.conf")
    assert command("ls", file, text.split()[1])


def test_an_image_on_another(shop: Shop, image: Path) -> None:
    base, above = Layout(image), Layout(shop.build("on-base"))
    assert above.layers[: len(base.layers)] == base.layers
    assert "8080/tcp" in above.config["config"]["ExposedPorts"]


def test_it_is_pushed_from_the_store_and_streamed_to_the_same_digest(
    shop: Shop, by_command: str, tmp_path: Path
) -> None:
    with registry(tmp_path) as host:
        pushed = nix("run", shop.at("image.push"), "--", f"{host}/app:1")
        streamed = nix("run", shop.at("stream"), "--", "--push", f"{host}/app:1")
    assert pushed == streamed == f"{host}/app@{by_command}\n"


def test_a_pull_is_a_fixed_output_and_its_reference_has_a_digest(shop: Shop) -> None:
    args = json.loads(nix("eval", "--json", shop.at("pulled.args")))
    assert args[:2] == ["pull", f"registry.example/team/base:1@sha256:{'0' * 64}"]
    assert shop.path("pulled").endswith("-base.oci")
    done = run("nix", "eval", shop.at("unpinned.outPath"))
    assert "'registry.example/base:1' has no digest" in done.stderr


def test_what_was_pulled_is_a_base(shop: Shop, image: Path, tmp_path: Path) -> None:
    if "pull" not in command("--help"):
        pytest.skip("this nix2oci has no pull")
    with registry(tmp_path) as host:
        reference = command("push", image, f"{host}/team/base:1")
        flake = f'(builtins.getFlake "git+file://{shop.directory}")'
        library = f"{flake}.inputs.nix2oci.legacyPackages.{shop.system}"

        def build(digest: str) -> subprocess.CompletedProcess[str]:
            pull = f'{library}.pullImage {{ reference = "{reference}"; hash = "{digest}"; }}'
            return run("nix", "build", "--impure", "-o", tmp_path / "base", "--expr", pull)

        got = re.findall(r"got:\s+(\S+)", build("").stderr)
        done = build(*got)
    assert done.returncode == 0, done.stderr
    assert digest_of(tmp_path / "base") == digest_of(image)


@pytest.mark.parametrize("name", ["app", "plain", "hello"])
def test_a_bundle_is_the_image_of_the_command(
    shop: Shop, locked: Path, name: str, tmp_path: Path
) -> None:
    """With `meta.mainProgram`, without, and the program of an app."""
    at = f"path:{shop.directory}#{name}"
    nix("bundle", "--bundler", f"path:{locked}", at, "-o", tmp_path / "bundle")
    assert digest_of(tmp_path / "bundle") == shop.digest(at)


def test_a_bundle_of_several_programs_names_the_flag(shop: Shop, locked: Path) -> None:
    done = run("nix", "bundle", "--bundler", f"path:{locked}", f"path:{shop.directory}#several")
    assert done.returncode
    assert "choose one with --entrypoint: one, two" in done.stderr


@pytest.mark.usefixtures("built")
def test_the_template_of_the_library_takes_the_settings_of_the_command(
    locked: Path, nixpkgs: Path, tmp_path: Path
) -> None:
    flake = tmp_path / "flake"
    flake.mkdir()
    argv = ("nix", "flake", "init", "--template", f"path:{locked}#image")
    done = subprocess.run(argv, cwd=flake, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inputs = {"nixpkgs": nixpkgs, "nix2oci": locked}
    options = [w for name, at in inputs.items() for w in ("--override-input", name, f"path:{at}")]
    nix("flake", "lock", *options, f"path:{flake}")
    nix("build", f"path:{flake}#image", "-o", tmp_path / "image")
    assert "8080/tcp" in Layout(tmp_path / "image").config["config"]["ExposedPorts"]

"""Tiny flakes and what to do with them: one derivation is one `/bin/sh`."""

import pytest

from nix2oci.errors import Nix2OCIError
from nix2oci.model.closure import Closure, StorePath
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable
from nix2oci.nix.realise import Built

# `make NAME SCRIPT` is a derivation; the seed makes its path unlike that of any other run.
PRELUDE = """
  make = name: script: more: derivation ({
    inherit name; system = "SYSTEM"; builder = "/bin/sh"; args = [ "-c" script ]; seed = "SEED";
  } // more);
"""
FLAKE = f"""{{
  description = "a flake of nix2oci's tests";
  outputs = {{ self }}: let {PRELUDE}
    library = make "library-1.2" "echo library > $out" {{ }};
    app = make "app-1.0" "echo $out ${{library}} > $out" {{ }};
    tool = make "tool" "echo tool > $out" {{ }};
    several = make "several-2.0" "echo a > $dev; echo b > $out; echo c > $bin" {{
      outputs = [ "dev" "out" "bin" ];
    }};
  in {{
    packages.SYSTEM = {{
      default = app;
      app = app // {{
        pname = "app";
        version = "1.0";
        meta = {{
          mainProgram = "run"; description = "An app"; homepage = "https://example.org/app";
          license = [ {{ spdxId = "MIT"; }} {{ spdxId = "Zlib"; }} ];
        }};
      }};
      several = several;
      chosen = several // {{ meta.outputsToInstall = [ "bin" "out" ]; }};
      broken-meta = app // {{
        meta = {{ mainProgram = throw "a"; license = throw "b"; description = 7; }};
      }};
      no-meta = app // {{ meta = throw "c"; }};
      deep.er = app;
      "dotted.name" = app;
      text = "hello";
      number = 42;
      null = null;
      function = x: x;
      list = [ app ];
      set = {{ a = app; b = app; }};
      path-text = "${{tool}}";
      throws = throw "no thanks";
      asserts = assert false; app;
      endless = let x = x; in x;
      fails = make "fails" "echo first; echo second >&2; exit 3" {{ }};
      foreign = make "foreign" "echo x > $out" {{ system = "riscv64-linux"; }};
      imports = import (make "imported" "echo '{{ name = 1; }}' > $out" {{ }});
      imports-it = make "${{toString (import (make "number" "echo 5 > $out" {{ }}))}}" "x" {{ }};
      environment = make "environment-${{builtins.getEnv "NAME"}}x" "echo x > $out" {{ }};
      slow = make "slow" "echo started; while :; do read x < /dev/zero; done" {{ }};
    }};
    apps.SYSTEM = {{
      app = {{ type = "app"; program = "${{tool}}"; }};
      only = {{ type = "app"; program = "${{several.bin}}/bin/x"; }};
      source = {{ type = "app"; program = "${{./run.sh}}"; }};
      host = {{ type = "app"; program = "/usr/bin/env"; }};
    }};
  }};
}}
"""


def make(nix: NixClient, *texts: str | Installable) -> tuple[tuple[Built, ...], Closure]:
    """All that a build does with Nix."""
    packages = [
        nix.evaluate(nix.installable(text) if isinstance(text, str) else text) for text in texts
    ]
    with nix.build(packages) as built:
        return built, nix.closure([root for one in built for root in one.roots])


def fails(nix: NixClient, error: type[Nix2OCIError], text: str) -> Nix2OCIError:
    with pytest.raises(error) as caught:
        make(nix, text)
    assert type(caught.value) is error
    return caught.value


def names(paths: tuple[StorePath, ...]) -> list[str]:
    return [path.name for path in paths]

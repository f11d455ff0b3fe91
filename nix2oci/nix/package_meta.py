"""What nixpkgs says of the packages in a closure: licence, home page, CPE, package URLs.

Evaluation knows `meta` of what it evaluates, and a closure has more. So attributes of the nixpkgs
that the flake uses are asked, by the names of store paths. The hard part is not to be wrong: one
counts only where the very store path is one of its outputs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nix2oci.errors import NixError
from nix2oci.model.closure import StorePath
from nix2oci.nix.flake_inputs import as_locked, locked_reference, nixpkgs_input
from nix2oci.nix.installable import Installable
from nix2oci.nix.json_output import read_json
from nix2oci.nix.package import EvalResult, license_expression

if TYPE_CHECKING:
    from nix2oci.nix.client import NixClient

_PYTHON = re.compile(r"python3\.?(\d+)-(.+)")

# Applied to legacyPackages of a system; `wanted` maps store paths to names of attributes.
_QUESTION = """
pkgs: with builtins; let
  wanted = fromJSON %s;
  try = x: let r = tryEval x; in if r.success then r.value else null;
  text = x: let s = try x; in if isString s then unsafeDiscardStringContext s else "";
  set = x: let s = try x; in if isAttrs s then s else { };
  list = x: let l = try x; in if isList l then l else if l == null then [ ] else [ l ];
  member = s: n: set (if s ? ${n} then s.${n} else null);
  stdenv = set (pkgs.stdenv or null);
  cc = set (stdenv.cc or null);
  found = names: concatMap (n: [ (member pkgs n.name) (member (member pkgs n.set) n.name) ]) names
    ++ [ (set (cc.cc or null)) (set (cc.libc or null)) ];
  outputs = d: map (o: text ((member d o).outPath or null)) (list (d.outputs or null));
  makes = path: d: try (elem path (outputs d)) == true;
  said = d: let
    meta = set (d.meta or null);
    known = set (meta.identifiers or null);
    purls = list (known.purls or null);
  in {
    pname = text (d.pname or null);
    version = text (d.version or null);
    description = text (meta.description or null);
    homepages = map text (list (meta.homepage or null));
    licenses = map (l: text ((set l).spdxId or null)) (list (meta.license or null));
    cpe = text (known.cpe or null);
    purls = map text (if purls == [ ] then list (known.purl or null) else purls);
  };
in
mapAttrs (path: names: let
  makers = filter (makes path) (found names);
in if makers == [ ] then null else said (head makers)) wanted
"""


def nixpkgs_of(nix: NixClient, main: Installable) -> Installable | None:
    """The nixpkgs of a flake, as locked, or the flake itself where it has no such input.

    None for what is of no flake. Raises `NixError` where the input cannot be named.
    """
    if main.kind != "flake":
        return None
    name = nixpkgs_input(nix.metadata(main))
    if name is None:
        return main
    return as_locked(nix, nix.installable(f"{name}#legacyPackages"), main)


def locked_name(nix: NixClient, nixpkgs: Installable) -> str:
    """A name of just this nixpkgs, under which what it says may be kept; empty without one."""
    if nixpkgs.is_input:
        return nixpkgs.flake_ref
    found = locked_reference(nix.metadata(nixpkgs))
    return found if "narHash=" in found or "rev=" in found else ""


def package_meta(
    nix: NixClient, nixpkgs: Installable, system: str, paths: Iterable[StorePath]
) -> dict[StorePath, dict[str, Any]]:
    """What is known of each store path, by the names of `trust.components.PackageFacts`.

    Asked with one `nix eval`; of what no attribute makes, an empty one. Raises `NixError`.
    """
    wanted = {str(path): list(_names(path)) for path in paths}
    # Text within text: JSON in a string of Nix.
    question = _QUESTION % json.dumps(json.dumps(wanted)).replace("${", "\\${")
    stdout = nix.answer(nixpkgs, nixpkgs.at(f"legacyPackages.{system}"), question)
    answer = read_json(stdout, "eval") if stdout else {}
    if not isinstance(answer, dict):
        raise NixError("cannot read what nixpkgs says of packages")
    return {path: _facts(answer.get(str(path))) for path in map(StorePath.parse, wanted)}


def _names(path: StorePath) -> Iterator[Mapping[str, str]]:
    """Attributes that may make it, with the set of those of Python: longer names first."""
    parts = path.name.split("-")
    for end in range(len(parts), 0, -1):
        name = "-".join(parts[:end])
        match = _PYTHON.fullmatch(name)
        if match:
            yield {"set": f"python3{match[1]}Packages", "name": match[2]}
        yield {"set": "", "name": name}


def _facts(answer: object) -> dict[str, Any]:
    if not isinstance(answer, dict):
        return {}
    said = EvalResult("", answer)
    return {
        "name": said.text("pname"),
        "version": said.text("version"),
        "license": license_expression(said.texts("licenses")),
        "homepage": next(iter(said.texts("homepages")), ""),
        "description": " ".join(said.text("description").split()),
        "cpe": said.text("cpe"),
        "purls": list(said.texts("purls")),
    }

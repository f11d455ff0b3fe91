"""What nixpkgs says of the packages in a closure: licence, home page, CPE, package URLs.

Evaluation knows `meta` of what it evaluates, and a closure has more. So attributes of the nixpkgs
that the flake uses are asked, by the names of store paths. The hard part is not to be wrong: one
counts only where the very store path is one of its outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nix2oci.errors import NixError
from nix2oci.model.closure import StorePath
from nix2oci.nix.flake_inputs import as_locked, locked_reference, nixpkgs_input
from nix2oci.nix.installable import Installable
from nix2oci.nix.json_output import read_json
from nix2oci.nix.package import EvalResult, license_expression

if TYPE_CHECKING:
    from nix2oci.nix.client import NixClient

_MOST = 100_000
"""Bytes of names in one question: Linux takes 128 KiB in an argument."""

# Applied to legacyPackages of a system, with the names of store paths as one text. An attribute
# that may make one has the beginning of its name, or of that within a set of packages of Python.
_QUESTION = """
pkgs: with builtins; let
  try = x: let r = tryEval x; in if r.success then r.value else null;
  text = x: let s = try x; in if isString s then unsafeDiscardStringContext s else "";
  set = x: let s = try x; in if isAttrs s then s else { };
  list = x: let l = try x; in if isList l then l else if l == null then [ ] else [ l ];
  words = separator: s: filter isString (split separator s);
  member = s: n: set (if s ? ${n} then s.${n} else null);
  stdenv = set (pkgs.stdenv or null);
  cc = set (stdenv.cc or null);
  beginnings = name: let
    parts = words "-" name;
    count = length parts;
  in genList (i: concatStringsSep "-" (genList (elemAt parts) (count - i))) count;
  attribute = n: let python = match "python3[.]?([0-9]+)-(.+)" n; in
    (if python == null then [ ]
     else [ (member (member pkgs "python3${elemAt python 0}Packages") (elemAt python 1)) ])
    ++ [ (member pkgs n) ];
  found = base: concatMap attribute (beginnings (substring 33 (-1) base))
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
  answer = base: let makers = filter (makes "STORE/${base}") (found base); in {
    name = base;
    value = if makers == [ ] then null else said (head makers);
  };
in
listToAttrs (map answer (words " " "NAMES"))
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
    nix: NixClient, nixpkgs: Installable, system: str, paths: Sequence[StorePath]
) -> dict[StorePath, dict[str, Any]]:
    """What is known of each store path, by the names of `trust.components.PackageFacts`.

    Asked with one `nix eval` for about a thousand; of what no attribute makes, an empty one. Raises
    `NixError`.
    """
    found: dict[StorePath, dict[str, Any]] = {}
    for some in _batches(paths):
        names = " ".join(path.base for path in some)
        question = _QUESTION.replace("STORE", some[0].store_dir).replace("NAMES", names)
        stdout = nix.answer(nixpkgs, nixpkgs.at(f"legacyPackages.{system}"), question)
        answer = read_json(stdout, "eval") if stdout else {}
        if not isinstance(answer, dict):
            raise NixError("cannot read what nixpkgs says of packages")
        found |= {path: _facts(answer.get(path.base)) for path in some}
    return found


def _batches(paths: Sequence[StorePath]) -> Iterator[list[StorePath]]:
    batch: list[StorePath] = []
    size = 0
    for path in paths:
        if size + len(path.base) >= _MOST:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += len(path.base) + 1
    if batch:
        yield batch


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

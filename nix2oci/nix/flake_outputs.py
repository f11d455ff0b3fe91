"""What a flake has to make images of: its packages and apps, without building one of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.nix.installable import Installable, attribute_names, no_such_attribute
from nix2oci.nix.json_output import read_json, unknown_shape
from nix2oci.nix.package import EvalResult

if TYPE_CHECKING:
    from nix2oci.nix.client import NixClient

# Applied to `packages.SYSTEM` and `apps.SYSTEM`. Images that dockerTools and nix2container make
# are packages, too: those have an `imageTag` to tell them by.
_OUTPUTS = """
raw: with builtins; let
  try = x: let r = tryEval x; in if r.success then r.value else null;
  text = x: let s = try x; in if isString s then unsafeDiscardStringContext s else "";
  set = x: let s = try x; in if isAttrs s then s else { };
  inBin = path: let m = match ".*/bin/([^/]+)" path; in if m == null then "" else head m;
  described = x: let v = set x; meta = set (v.meta or null); in {
    kind = if try x == null then "broken" else
      if v ? imageTag then "image" else text (v.type or null);
    name = text (v.pname or v.name or null);
    program = if text (v.type or null) == "app" then inBin (text (v.program or null))
      else text (meta.mainProgram or null);
    description = text (meta.description or null);
  };
in mapAttrs (_: described) (set raw)
"""
_KINDS = {"derivation", "app", "image", "broken"}
_PLAIN_NAME = r"[A-Za-z_][A-Za-z0-9_'-]*"


class FlakeOutput(Struct, frozen=True):
    """A package or an app for one system; what evaluation does not know is `""`."""

    attr: str
    kind: str
    """`derivation`, `app`, `image` for what is an image already, `broken` for what throws."""
    name: str = ""
    program: str = ""
    """The name in `bin/` of what is started: an app's program, or `meta.mainProgram`."""
    description: str = ""

    @property
    def fragment(self) -> str:
        """What stands behind `#` to name it."""
        if re.fullmatch(_PLAIN_NAME, self.attr):
            return self.attr
        return '"' + re.sub(r'(["\\])', r"\\\1", self.attr) + '"'


def outputs_of(nix: NixClient, installable: Installable) -> tuple[FlakeOutput, ...]:
    """What the flake of an installable has for the system, each name once, `default` first.

    An app counts before the package of its name, as for `nix run`, and has the name of that.
    Raises `NixError` when the installable names one that the flake does not have, and what goes
    wrong with Nix.
    """
    answers = {
        group: _described(nix, installable, f"{group}.{nix.system()}")
        for group in ("packages", "apps")
    }
    found = {output.attr: output for output in answers["packages"]}
    for app in answers["apps"]:
        package = found.get(app.attr)
        name = package.name if package else app.program
        what = app.description or (package.description if package else "")
        found[app.attr] = replace(app, name=name, description=what)
    wanted = attribute_names(installable.attr)
    if len(wanted) == 1 and wanted[0] not in found:
        names = {
            group: {nix.system(): [each.attr for each in outputs]}
            for group, outputs in answers.items()
        }
        raise no_such_attribute(installable, nix.system(), names)
    return tuple(sorted(found.values(), key=lambda each: (each.attr != "default", each.attr)))


def _described(nix: NixClient, installable: Installable, attr: str) -> list[FlakeOutput]:
    stdout = nix.answer(installable, installable.at(attr), _OUTPUTS)
    if stdout is None:
        return []
    answer = read_json(stdout, "eval")
    if not isinstance(answer, dict):
        raise unknown_shape("eval", stdout)
    known = {
        name: EvalResult("", value) for name, value in answer.items() if isinstance(value, dict)
    }
    found = [
        FlakeOutput(
            name,
            value.text("kind"),
            value.text("name"),
            value.text("program"),
            " ".join(value.text("description").split()),
        )
        for name, value in known.items()
    ]
    return [output for output in found if output.kind in _KINDS]

"""All that is asked about an installable, as one question that one Nix answers.

The hard part is that `nix eval --apply` hands on one attribute, while a package, the app of the
same name and the version of Nix are in three places. An attribute path with no name in it is the
flake's outputs themselves, as soon as Nix finds none in front of it: it puts `packages.SYSTEM.`
there first, so it is told of a system that no flake knows. From 2.17 a dot in front would do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from msgspec import Struct, ValidationError, convert

from nix2oci.errors import NixOutputError
from nix2oci.nix.installable import Installable, attribute_names
from nix2oci.nix.json_output import Tree, Version
from nix2oci.nix.package import EVAL_EXPRESSION, EvalResult

NO_SYSTEM = "no-system"
_WHOLE, _WHOLE_EXACTLY = '""', "."

# What `one` says of a value, and `find` of an attribute path: a list of its value, or of nothing.
FINDING = f"""
  one = ({EVAL_EXPRESSION});
  find = value: names:
    if names == [ ] then [ value ]
    else if isAttrs value && hasAttr (head names) value
    then find (getAttr (head names) value) (tail names)
    else [ ];
"""

# `value` is the first of some places that is there, as `nix build` looks for it, `app` the app of
# the same name; null is what is in none. What throws does so as it would by itself. `tree` is the
# source of a flake that is locked: its outputs do not tell, and it was fetched a moment ago.
_OF_FLAKE = """
root: with builtins; let%s
  ask = places: if places == [ ] then null else
    let found = find root (head places); in
    if found == [ ] then ask (tail places) else one (head found);
  value = ask [ %s ];
  source = t: {
    path = unsafeDiscardStringContext t.outPath;
    revision = t.rev or "";
    last_modified = t.lastModified or null;
    nar_hash = t.narHash or "";
  };
in {
  nix2oci = nixVersion;
  inherit value;
  tree = %s;
  app = if value != null && value.kind == "app" then null else ask [ %s ];
}
"""
_OF_FILE = "raw: { nix2oci = builtins.nixVersion; value = (%s) raw; app = null; }"


class Answer(Struct, frozen=True):
    """What is known of an installable as a package, and as an app; None is not there.

    `tree` is the source of its flake, where that was asked for.
    """

    version: Version
    value: EvalResult | None
    app: EvalResult | None
    tree: Tree | None

    @classmethod
    def parse(cls, answer: object) -> Answer | None:
        """None for what is no answer to the question."""
        if not isinstance(answer, dict):
            return None
        version = Version.of_number(answer.get("nix2oci"))
        try:
            value, app = (_result(answer.get(key)) for key in ("value", "app"))
            tree = convert(answer.get("tree"), Tree | None)
        except (NixOutputError, ValidationError):
            return None
        return None if version is None else cls(version, value, app, tree)


def _result(answer: object) -> EvalResult | None:
    return None if answer is None else EvalResult.parse(json.dumps(answer))


def of_file() -> str:
    """The function to apply to an attribute of a file."""
    return _OF_FILE % EVAL_EXPRESSION


def of_flake(installable: Installable, system: str, locked: Mapping[str, object]) -> str:
    """The function to apply to all outputs of a flake; `""` where only Nix finds the attribute.

    `locked` are the attributes of its source, where that is asked for.
    """
    attr = installable.attr
    if attr.startswith(".") or "%" in attr:
        return ""
    names = attribute_names(attr)
    groups: tuple[tuple[str, ...], ...] = (("packages", system), ("legacyPackages", system), ())
    if names:
        places = [(*group, *names) for group in groups]
    else:
        places = [("packages", system, "default"), ("defaultPackage", system)]
    app = (("apps", system, *(names or ("default",))),)
    tree = f"source (fetchTree {_attributes(locked)})" if locked else "null"
    return _OF_FLAKE % (FINDING, _listed(places), tree, _listed(app))


def all_outputs(flake: Installable, system: str, *, pure: bool) -> tuple[str, tuple[str, ...]]:
    """The operand that is all outputs of a flake, and the options that make it so.

    Evaluation that is impure would see the system. What it has to build is for `system`.
    """
    if not pure:
        return flake.at(_WHOLE_EXACTLY), ()
    told = ("--option", "system", NO_SYSTEM, "--option", "extra-extra-platforms", system)
    return flake.at(_WHOLE), told


def _attributes(locked: Mapping[str, object]) -> str:
    """Attributes in Nix's language, but for the directory of the flake, which is of no source."""
    known = ((name, value) for name, value in locked.items() if name != "dir")
    told = (
        f"{name} = {str(value).lower() if isinstance(value, bool) else quoted_text(str(value))};"
        for name, value in known
    )
    return f"{{ {' '.join(told)} }}"


def _listed(places: Iterable[tuple[str, ...]]) -> str:
    return " ".join(f"[ {' '.join(map(quoted_text, names))} ]" for names in places)


def quoted_text(text: str) -> str:
    """A string of Nix, which has the escapes of JSON, and one more."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$")

"""What evaluation is asked about an installable, and what it knows.

The hard part is to ask once: one expression has to survive metadata that is missing, throws or
has another type, say what a value is that cannot be built, and give the derivation, so that
`nix build` does not have to evaluate again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from msgspec import Struct

from nix2oci.errors import ClosureError, NixError
from nix2oci.host.regular_files import read_file
from nix2oci.model.closure import StorePath
from nix2oci.model.closure_contents import DEFAULT_PRIORITY
from nix2oci.nix.installable import Installable, attribute_names, quoted
from nix2oci.nix.json_output import Source, read_json, unknown_shape

# A store path or a placeholder, and nothing below it.
_WHOLE_PATH = r"(/[^/\s]+)*/([0-9a-z]{32}-[^/\s]+|[0-9a-z]{52})"
_SHELLS = (("devShells",), ("devShell",))
_BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"

# Applied to the value that an installable names; the library in nix/ applies it, too.
EVAL_EXPRESSION = read_file(
    os.path.join(os.path.dirname(__file__), "evaluate.nix"), 1 << 16
).decode()

# The names in each system of `packages` or `apps`.
NAMES = """
raw: with builtins; mapAttrs (_: set:
  let r = tryEval (if isAttrs set then attrNames set else [ ]);
  in if r.success then r.value else [ ]) raw
"""


class BuildTarget(Struct, frozen=True):
    """What `nix build` is asked for.

    Outputs of a derivation (`("*",)` is all of them), or, without outputs, a path as it is.
    """

    path: str
    outputs: tuple[str, ...] = ()


class Package(Struct, frozen=True):
    """What evaluation knows of one installable; what it does not know is `""` or None.

    `wanted` is what becomes a root; `program` is the absolute path of the program of
    `apps.<system>.<name>`, and `program_wanted` what has to be built for it. Before the build
    `program` may hold a placeholder, when its derivation is content-addressed: `Built.program`
    has the path. `license` is an SPDX expression; `cpe` and
    `purls` are those of `meta.identifiers`. `priority` decides between two packages that have
    the same file: the lower wins. `revision`, `last_modified` and `url` are
    those of the flake (`answers.Source`).
    """

    installable: Installable
    name: str
    version: str = ""
    system: str = ""
    main_program: str = ""
    description: str = ""
    homepage: str = ""
    license: str = ""
    cpe: str = ""
    purls: tuple[str, ...] = ()
    program: str = ""
    revision: str = ""
    last_modified: int | None = None
    url: str = ""
    priority: int = DEFAULT_PRIORITY
    wanted: tuple[BuildTarget, ...] = ()
    program_wanted: tuple[BuildTarget, ...] = ()


class EvalResult(Struct, frozen=True):
    """What `EVAL_EXPRESSION` gives: `kind` is `derivation`, `app`, `string`, `set` or another."""

    kind: str
    fields: Mapping[str, object]

    @classmethod
    def parse(cls, stdout: str) -> EvalResult:
        answer = read_json(stdout, "eval")
        if not isinstance(answer, dict) or not isinstance(answer.get("kind"), str):
            raise unknown_shape("eval", stdout)
        return cls(answer["kind"], answer)

    def text(self, key: str) -> str:
        value = self.fields.get(key)
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.fields.get(key)
        return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()

    def number(self, key: str, otherwise: int) -> int:
        value = self.fields.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else otherwise

    @property
    def context(self) -> tuple[BuildTarget, ...]:
        """What a string was made from: derivations with their outputs, and store paths."""
        context = self.fields.get("context")
        if not isinstance(context, dict):
            return ()
        said = {path: EvalResult("", how) for path, how in context.items() if _is_object(how)}
        return tuple(
            BuildTarget(path, ("*",) if how.fields.get("allOutputs") else how.texts("outputs"))
            for path, how in sorted(said.items())
        )


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def package_of(
    installable: Installable,
    value: EvalResult | None,
    app: EvalResult | None,
    source: Source,
    system: str,
) -> Package:
    """Join what is known of a package, of the app of the same name, and of their flake.

    At least one of `value` and `app` is given. Raises `NixError` when what was named is not
    something that can be built.
    """
    if app is None and value is not None and value.kind == "app":
        value, app = None, value
    if app is not None and app.kind != "app":
        value, app = value or app, None
    if value is not None and value.fields.get("isOCIImage") is True:
        app = None  # of the library in nix/: it makes this very image
    program, program_wanted = ("", ()) if app is None else (app.text("program"), app.context)
    known: dict[str, Any] = {"name": _name(installable, program), "system": system}
    if value is not None:
        known |= _described(installable, value)
    return Package(
        installable,
        **known,
        program=program,
        program_wanted=program_wanted or target_of(installable, program),
        revision=source.revision,
        last_modified=source.last_modified,
        url=source.url,
    )


def package_of_path(installable: Installable, system: str) -> Package:
    """What the name of a store path says; a derivation stands for its outputs."""
    path = StorePath.parse(installable.store_path)
    outputs = installable.output_names
    stem = path.name.removesuffix(".drv")
    if stem != path.name:
        outputs = outputs or ("*",)
    elif outputs:
        raise NixError(f"cannot build '{installable.text}': {path} is not a derivation")
    name, version = _split_name(stem)
    return Package(installable, name, version, system, wanted=(BuildTarget(str(path), outputs),))


def resolve(program: str, built: Mapping[str, Mapping[str, StorePath]]) -> str:
    """Put the built path where evaluation could only have a placeholder.

    `built` has the outputs of each derivation by its path. Until it is built, the path of a
    content-addressed output is unknown, and `downstreamPlaceholder` of Nix stands for it
    (src/libstore/downstream-placeholder.cc).
    """
    for drv, outputs in built.items():
        for output, path in outputs.items():
            program = program.replace(_placeholder(drv, output), str(path))
    return program


def _placeholder(drv: str, output: str) -> str:
    import hashlib  # noqa: PLC0415  # start-up counts

    path = StorePath.parse(drv)
    name = path.name.removesuffix(".drv")
    full = name if output == "out" else f"{name}-{output}"
    digest = hashlib.sha256(f"nix-upstream-output:{path.hash_part}:{full}".encode()).digest()
    number = int.from_bytes(digest, "little")
    return "/" + "".join(_BASE32[number >> 5 * i & 31] for i in reversed(range(52)))


def _described(installable: Installable, value: EvalResult) -> dict[str, Any]:
    if (
        value.kind == "string"
        and value.context
        and re.fullmatch(_WHOLE_PATH, value.text("program"))
    ):
        return {"wanted": value.context}
    if value.kind != "derivation":
        raise _not_buildable(installable, value)
    if value.fields.get("shell") or attribute_names(installable.attr)[:1] in _SHELLS:
        raise NixError(
            f"cannot make an image of '{installable.text}': it is a dev shell",
            hint="nix2oci makes images of packages and apps: name one of these",
        )
    name, version = _split_name(value.text("name"))
    known = {
        "name": value.text("pname") or name,
        "version": value.text("version") or version,
        "wanted": (BuildTarget(value.text("drv"), _outputs(installable, value)),),
        **meta_of(value),
    }
    return known | ({"system": value.text("system")} if value.text("system") else {})


def meta_of(value: EvalResult) -> dict[str, Any]:
    """The fields of `Package` that `meta` says."""
    return {
        "main_program": value.text("mainProgram"),
        "description": " ".join(value.text("description").split()),
        "homepage": next(iter(value.texts("homepages")), ""),
        "license": license_expression(value.texts("licenses")),
        "cpe": value.text("cpe"),
        "purls": value.texts("purls"),
        "priority": value.number("priority", DEFAULT_PRIORITY),
    }


def _outputs(installable: Installable, value: EvalResult) -> tuple[str, ...]:
    """The outputs that were named, else those that a recent `nix build` installs.

    Nix 2.8 takes the first output instead; the same rule for all versions makes the same image.
    """
    all_outputs, chosen = value.texts("outputs"), value.text("outputName")
    named = installable.output_names
    if named == ("*",):
        return all_outputs
    for name in named:
        if name not in all_outputs:
            raise NixError(
                f"cannot build '{installable.text}': it has no output '{name}'",
                hint=f"it has {quoted(all_outputs)}",
            )
    if not named and _is_one_output(installable, value):
        named = (chosen,)
    return (
        named
        or tuple(o for o in value.texts("outputsToInstall") if o in all_outputs)
        or (("out",) if "out" in all_outputs else (chosen,))
    )


def _is_one_output(installable: Installable, value: EvalResult) -> bool:
    """Whether an attribute such as `app.dev` names an output, rather than a package."""
    chosen = value.text("outputName")
    return (
        value.fields.get("outputSpecified") is True
        or chosen not in value.texts("outputs")[:1]
        or attribute_names(installable.attr)[1:][-1:] == (chosen,)
    )


def license_expression(identifiers: tuple[str, ...]) -> str:
    """An SPDX expression, when each license has an identifier."""
    return " AND ".join(dict.fromkeys(identifiers)) if all(identifiers) else ""


def _split_name(name: str) -> tuple[str, str]:
    """Name and version, as `builtins.parseDrvName`: a dash and no letter start the version."""
    match = re.fullmatch(r"(.+?)-([^A-Za-z].*)", name)
    return (match[1], match[2]) if match else (name, "")


def _name(installable: Installable, program: str) -> str:
    names = attribute_names(installable.attr)
    return names[-1] if names else program.rpartition("/")[2]


def target_of(installable: Installable, program: str) -> tuple[BuildTarget, ...]:
    """A program without context is a literal: it has to be in a store nevertheless."""
    if not program:
        return ()
    parts = program.split("/")
    for end in range(len(parts), 2, -1):
        try:
            return (BuildTarget(str(StorePath.parse("/".join(parts[:end])))),)
        except ClosureError:
            continue
    raise NixError(
        f"cannot use the app '{installable.text}': its program '{program}' is not in the store",
        hint='write it as "${package}/bin/name"',
    )


_KINDS = {
    "bool": "a Boolean",
    "int": "an integer",
    "lambda": "a function",
    "null": "null",
    "set": "an attribute set",
}


def _not_buildable(installable: Installable, value: EvalResult) -> NixError:
    what = _KINDS.get(value.kind, f"a {value.kind}")
    hint = None
    if value.kind == "set":
        names = value.texts("names")
        hint = f"it has the attributes {quoted(names)}" if names else "it is empty"
    return NixError(
        f"cannot build '{installable.text}': it is {what}, not a derivation or an app", hint=hint
    )

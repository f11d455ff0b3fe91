"""A nix2oci.yaml to begin with: what a flake has, and the keys that people need next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from nix2oci.nix.flake_outputs import FlakeOutput
from nix2oci.nix.installable import Installable, attribute_names
from nix2oci.text import count, printable

SCHEMA_NAME = "nix2oci.schema.json"

_MOST_SHOWN = 20
_MOST_DESCRIPTION = 60
_COLUMN = 48
"""Where it says what a key is for."""

_PROGRAM = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_WORDS = {"true", "false", "null", "none"}
"""What YAML, or the key, takes for something else where it is not in quotes."""

_TAKEN = {"root", "nobody", "nonroot", "tty", "staff", "true", "false", "null"}
"""What a user cannot be called: those that every image has, and words of YAML."""

_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA_NAME}

# What an image is like that nix2oci build makes. Every key is optional, and most are flags as
# well (env is --env). Remove the # in front of what you need.
"""

# Each key with an example that works with any program, alone and with all others.
_KEYS = (
    ("name: ghcr.io/example/{name}", "with a registry, --push sends it there"),
    ("tag: [1.0, latest]", "one build under several names"),
    ("entrypoint: {program}", "or a list: the program, and arguments that stay"),
    ('cmd: ["--help"]', "arguments that docker run IMAGE ... replaces"),
    ("env: {{LANG: C.UTF-8}}", "who has the image can read it: no secrets"),
    ("ports: [8080]", "what docker run -P publishes"),
    ("healthcheck: {{test: [{program}, --help]}}", "asked by Docker, every 30s unless told"),
    ("users: [{{name: {name}, uid: 1000}}]", "with a home that it may write to"),
    ('user: "1000"', "by name or number; else nonroot, 65532"),
    ("workdir: /var/lib/{name}", "made if need be, and the user's"),
    ("volumes: [/var/lib/{name}]", "the same, and engines keep what is written"),
    ('files: {{/etc/motd: {{text: "hello\\n"}}}}', "or from the repository, with any owner"),
    ('contents: ["nixpkgs#cacert"]', "certificates; nixpkgs is the flake's input"),
    ("view: {{sh: true}}", "/bin/sh, for programs that start one"),
    ("debug: true", "NAME:TAG-debug beside it, with a shell"),
    ("labels: {{com.example.team: payments}}", "what docker inspect shows"),
)


def example_of(found: Sequence[FlakeOutput], named: Installable) -> FlakeOutput | None:
    """What the examples are about: what was named, else the default, else what can be built."""
    if wanted := attribute_names(named.attr):
        return next((one for one in found if (one.attr,) == wanted), None)
    return next((one for one in found if one.kind in {"derivation", "app"}), None)


def of_flake(found: Sequence[FlakeOutput] | None, example: FlakeOutput | None, system: str) -> str:
    """The text of the file beside a flake that has these outputs; None where there is no flake."""
    listed = None if found is None else [Found(installable_of(".", o), _what(o)) for o in found]
    name, program = (example.name, example.program) if example else ("", "")
    return beginning(listed, system, name=name, program=program)


def installable_of(flake: str, output: FlakeOutput) -> str:
    """An output as it is typed after `nix2oci build`."""
    return flake if output.attr == "default" else f"{flake}#{output.fragment}"


def _what(output: FlakeOutput) -> str:
    if output.kind == "image":
        return "an image already, which dockerTools or nix2container makes"
    if output.kind == "broken":
        return "does not evaluate"
    what = output.name or "an app"
    starts = f", starts {output.program}" if output.program not in {"", output.name} else ""
    return f"{what}{starts}" + (f": {output.description}" if output.description else "")


class Found(Struct, frozen=True):
    """What a flake has to make an image of."""

    installable: str
    """As it is typed after `nix2oci build`."""
    what: str
    """Name of the package, its program and description, as far as they are known."""


def beginning(
    found: Iterable[Found] | None, system: str, *, name: str = "", program: str = ""
) -> str:
    """The text of the file; `found` is None where there is no flake.

    Examples have the `name` of a package and its `program`, where there is one. Whatever they and
    a flake say of themselves stays in comments and is escaped.
    """
    short = re.sub(r"[^a-z0-9]+", "-", name.lower())[:24].strip("-0123456789") or "app"
    short = "app" if short in _TAKEN else short
    named = program if re.fullmatch(_PROGRAM, program) else short
    is_plain = named[0].isalpha() and named.lower() not in _WORDS
    known = {"name": short, "program": named if is_plain else f'"{named}"'}
    keys = [(f"#{key.format(**known)}", why) for key, why in _KEYS]
    lines = [f"{key:<{_COLUMN}} # {why}" for key, why in keys]
    return "\n".join([_HEAD, *_listed(found, system), "", *lines]) + "\n"


def _listed(found: Iterable[Found] | None, system: str) -> Iterator[str]:
    if found is None:
        yield "# There is no flake here: nix2oci build -f FILE reads this beside a Nix file, and"
        yield "# --config names it for anything else, such as a store path."
        return
    each = list(found)
    if not each:
        yield f"# The flake has no packages and no apps for {system}."
        return
    yield f"# What the flake has for {system}, as nix2oci build takes it:"
    width = min(max(len(one.installable) for one in each[:_MOST_SHOWN]), 40)
    for one in each[:_MOST_SHOWN]:
        what = printable(one.what)
        what = what if len(what) <= _MOST_DESCRIPTION else what[: _MOST_DESCRIPTION - 3] + "..."
        yield f"#   {printable(one.installable):<{width}}  {what}".rstrip()
    if len(each) > _MOST_SHOWN:
        yield f"#   and {count(len(each) - _MOST_SHOWN, 'other')}"

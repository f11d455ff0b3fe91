"""What the user names: an installable, taken apart without asking anything outside.

The hard part is telling apart what looks alike: `./result` is a link to a store path,
`./dir` a flake, and `a^b` an attribute and its output. Whether something is a link into
the store is for the caller to find out (`nix.client`), and is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from nix2oci.errors import ConfigError, NixError
from nix2oci.nix.messages import redact
from nix2oci.text import and_more

# The name of an output, as Nix's own grammar for `^` has it (src/libstore/outputs-spec.cc).
_OUTPUTS = r"\*|[0-9A-Za-z+\-._?=]+(,[0-9A-Za-z+\-._?=]+)*"
_ATTRIBUTE = r'"((?:[^"\\]|\\.)*)"|([^."]+)|(\.)'
# What is no path: a name of the flake registry, with a branch or revision, and a scheme
# (flakeIdRegex of src/libflake/url-name.cc, and src/libutil/url.cc).
_NAME = r"(?:flake:)?([A-Za-z][\w-]*)(/.*)?"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:"


class Installable(Struct, frozen=True):
    """One installable.

    `text` is what was typed, without credentials: errors name it; that is the file, where nothing
    of it was named. `kind` says which fields count:

    - `flake`: `flake_ref` (without fragment) and `attr` (`""` is the default package);
    - `file`: `file` and `attr`, as `--file FILE ATTR` (`""` is the whole file);
    - `path`: `store_path`, the text of a store path that was named, or that a link leads to.

    `outputs` is `""`, `"^*"` or `"^out,dev"`. `is_input` says that the name in front was that of an
    input, and `flake_ref` is what it is locked to; `became` is the locked reference that a name
    led to which only the flake registry of this machine knows.
    """

    text: str
    kind: Literal["flake", "path", "file"]
    flake_ref: str = ""
    attr: str = ""
    outputs: str = ""
    file: str = ""
    store_path: str = ""
    is_input: bool = False
    became: str = ""

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        file: str | None = None,
        leads_to: Callable[[str], str] = lambda _: "",
    ) -> Installable:
        """Take an installable apart, as `nix build` would.

        `file` is the value of `--file`. `leads_to` gives the store path that a path is, or
        that a symlink at it leads to, and `""` when it is neither; it is asked only about
        text that may be a path. Raises `ConfigError` for text that names nothing.
        """
        rest, outputs = _split_outputs(text)
        text = redact(text)
        if "\0" in text or "\0" in (file or ""):
            raise ConfigError(f"cannot use installable {text!r}: it holds a null byte")
        if file is not None:
            return cls._of_file(text, file, rest, outputs)
        if not rest:
            raise ConfigError(
                f"cannot use installable '{text}': it is empty",
                hint="'.' is the default package of the flake in this directory",
            )
        if _may_be_path(rest) and (store_path := leads_to(rest)):
            return cls(text, "path", outputs=outputs, store_path=store_path)
        flake_ref, _, attr = rest.partition("#")
        return cls(text, "flake", flake_ref=flake_ref or ".", attr=attr, outputs=outputs)

    @classmethod
    def _of_file(cls, text: str, file: str, attr: str, outputs: str) -> Installable:
        if file in {"", "-"}:
            raise ConfigError(
                f"cannot use --file '{file}': it has to be the name of a file",
                hint="the file is read more than once: write standard input to a file first",
            )
        attr = "" if attr == "." else attr
        return cls(text or file, "file", attr=attr, outputs=outputs, file=file)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs after `^`: `("*",)` for all of them, `()` when there is no `^`."""
        return tuple(dict.fromkeys(self.outputs[1:].split(","))) if self.outputs else ()

    @property
    def operand(self) -> str:
        """What stands for this on the command line of `nix eval`, without outputs."""
        if self.kind == "flake":
            return f"{self.flake_ref}#{self.attr}"
        return self.attr or "."

    def at(self, attr: str) -> str:
        """The operand for another attribute of the same flake."""
        return f"{self.flake_ref}#{attr}"


def names_path(flake_ref: str) -> bool:
    """Whether Nix takes a flake reference for a path: it is neither a name nor has a scheme."""
    return not re.match(_SCHEME, flake_ref) and ("?" in flake_ref or not registry_name(flake_ref))


def registry_name(flake_ref: str) -> str:
    """The name that an input, or the flake registry, has to give a meaning; `""` without one.

    A name with a branch or a revision behind it is one for the registry alone: see `asks_more`.
    """
    match = re.fullmatch(_NAME, flake_ref.partition("?")[0])
    return match[1] if match else ""


def asks_more(flake_ref: str) -> bool:
    """Whether a name has a branch or a revision behind it, which no input can have."""
    match = re.fullmatch(_NAME, flake_ref.partition("?")[0])
    return bool(match and match[2])


def attribute_names(attr: str) -> tuple[str, ...]:
    """The components of an attribute path: `a."b.c"` is `("a", "b.c")`."""
    names = [""]
    for quoted, plain, dot in re.findall(_ATTRIBUTE, attr):
        if dot:
            names.append("")
        else:
            names[-1] += re.sub(r"\\(.)", r"\1", quoted) or plain
    return tuple(name for name in names if name)


def no_such_attribute(
    installable: Installable, system: str, answers: Mapping[str, object]
) -> NixError:
    """The error for a name that a flake lacks; `answers` has by group the names by system.

    It names what there is instead, and what has the name on another system: that may be built for
    this one.
    """
    wanted = installable.attr or "default"
    has, elsewhere = [], ""
    for group, answer in answers.items():
        for other, names in answer.items() if isinstance(answer, dict) else ():
            if not isinstance(names, list) or not names:
                continue
            if other == system:
                has.append(f"the {group} {quoted(tuple(map(str, names)))}")
            elif wanted in names and not elsewhere:
                whole = installable.at(f"{group}.{other}.{wanted}")
                elsewhere = f"; on {other} it has '{whole}', which is built when named so"
    return NixError(
        f"cannot evaluate '{installable.text}': "
        f"the flake has no package or app '{wanted}' for {system}",
        hint=f"it has {' and '.join(has) or f'no packages for {system}'}{elsewhere}",
    )


def quoted(names: tuple[str, ...], most: int = 20) -> str:
    """Names in quotes for a message, not too many of them."""
    return and_more([f"'{name}'" for name in names], most)


def _split_outputs(text: str) -> tuple[str, str]:
    rest, caret, outputs = text.rpartition("^")
    if not caret:
        return text, ""
    if not re.fullmatch(_OUTPUTS, outputs):
        raise ConfigError(
            f"cannot use installable '{redact(text)}': "
            f"'{outputs}' after '^' is not a list of outputs",
            hint="write '^out', '^out,dev', or '^*' for all outputs",
        )
    return rest, caret + outputs


def _may_be_path(text: str) -> bool:
    """Nix tries text with a slash as a path; a bare `result` would be a name in a registry."""
    return "#" not in text and ("/" in text or text == "result" or text.startswith("result-"))

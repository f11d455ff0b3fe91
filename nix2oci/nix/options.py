"""Nix's own options, as the user passes them through: which command takes which, and what they say.

The hard part is that a command fails on an option that it does not know, and that the place
where a store lies is spelled in many ways.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from nix2oci.errors import ConfigError, StoreError
from nix2oci.model.closure import STORE_DIR
from nix2oci.nix.messages import redact

# Options for what is evaluated, and how many values each takes; all others are settings and
# stores, which every command knows.
_EVALUATING = {
    "--arg": 2,
    "--argstr": 2,
    "--arg-from-file": 2,
    "--arg-from-stdin": 1,
    "--commit-lock-file": 0,
    "--debugger": 0,
    "--eval-store": 1,
    "--impure": 0,
    "--include": 1,
    "-I": 1,
    "--inputs-from": 1,
    "--no-registries": 0,
    "--no-update-lock-file": 0,
    "--no-write-lock-file": 0,
    "--output-lock-file": 1,
    "--override-flake": 2,
    "--override-input": 2,
    "--recreate-lock-file": 0,
    "--reference-lock-file": 1,
    "--update-input": 1,
}

_YES = {"1", "true", "yes"}


class Origin(Struct, frozen=True):
    """The store that the bytes come from, in place of a build here; its name is without secrets."""

    url: str
    check_signatures: bool = True

    def __str__(self) -> str:
        return redact(self.url)

    @property
    def is_trusted(self) -> bool:
        """Whether its paths need no signature, as `nix copy --from` has it."""
        from urllib.parse import parse_qs  # noqa: PLC0415  # start-up counts

        says = parse_qs(self.url.partition("?")[2]).get("trusted", [""])
        return not self.check_signatures or says[-1] in _YES

    @property
    def place(self) -> str:
        """What is there when a store in a file system of this machine is; `""` for another."""
        base = self.url.partition("?")[0]
        if base.startswith("file://"):
            from urllib.parse import unquote  # noqa: PLC0415  # start-up counts

            return unquote(base[len("file://") :]) + "/nix-cache-info"
        try:
            return store_root(("--store", self.url), {})
        except StoreError:
            return ""


_OF_INPUTS = ("--override-input", "--update-input")


def evaluation_options(
    options: Sequence[str], *, inputs: bool = True, names: bool = True
) -> tuple[str, ...]:
    """The options for a command that evaluates: all of them.

    Without `inputs` it evaluates a flake that was an input itself: what is said of inputs was
    meant for another one, and Nix would warn that it has none of them. Without `names` it
    evaluates no flake, and Nix to 2.18 would read no file where names are to come from one.
    """
    without = (*(() if inputs else _OF_INPUTS), *(() if names else ("--inputs-from",)))
    kept = (each for each in names_and_values(options) if each[0] not in without)
    changed = (_override(each) if each[0] == "--override-input" else each for each in kept)
    return tuple(chain.from_iterable(changed))


def _override(option: tuple[str, ...]) -> tuple[str, ...]:
    """`--override-input` with a path from here: Nix 2.8 takes `path:./x` from the flake."""
    flag, name, ref = option
    if not ref.startswith("path:") or ref.startswith("path:/"):
        return option
    path, mark, query = ref.removeprefix("path:").partition("?")
    return flag, name, f"path:{os.path.abspath(path)}{mark}{query}"


def values_of(options: Sequence[str], name: str) -> list[tuple[str, ...]]:
    """What an option was given, each time that it was."""
    return [option[1:] for option in names_and_values(options) if option[0] == name]


def store_options(
    options: Sequence[str], *, evaluating: bool = False, store: str = ""
) -> tuple[str, ...]:
    """The options for a command that is given store paths.

    `evaluating` keeps `--eval-store`, which is where derivations are. `store` is another store
    than that of the options: the last one counts.
    """
    kept: list[str] = []
    for option in names_and_values(options):
        if option[0] not in _EVALUATING or (evaluating and option[0] == "--eval-store"):
            kept += option
    return (*kept, *(("--store", store) if store else ()))


def setting(options: Sequence[str], name: str) -> str:
    """The value of a setting, as `--NAME VALUE` or `--option NAME VALUE`; `""` without."""
    return next((value for known, value in reversed(list(pairs_of(options))) if known == name), "")


def pairs_of(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names and values of settings, as `--NAME VALUE` or `--option NAME VALUE`, in their order."""
    for option in names_and_values(options):
        if option[0] == "--option" and len(option) == 3:
            yield option[1], option[2]
        elif len(option) == 2:
            yield option[0].removeprefix("--"), option[1]


def names_and_values(options: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """One option at a time, with its values."""
    start = 0
    while start < len(options):
        end = start + 1
        count = 2 if options[start] == "--option" else _EVALUATING.get(options[start])
        if count is not None:
            end += count
        while count is None and end < len(options) and not options[end].startswith("-"):
            end += 1
        if end > len(options):
            raise ConfigError(f"cannot pass {options[start]} to Nix: it takes {count} values")
        yield tuple(options[start:end])
        start = end


def store_root(options: Sequence[str], env: Mapping[str, str]) -> str:
    """The directory that the store paths of a local store lie below, `""` for `/`.

    The store is that of `--store`, or of `NIX_REMOTE`. Raises `StoreError` for one that is
    not in a file system of this machine (src/libstore/store-registration.cc has the forms).
    """
    uri = setting(options, "store") or env.get("NIX_REMOTE", "")
    if uri in {"", "auto", "daemon", "local"}:
        return ""
    from urllib.parse import parse_qs, unquote  # noqa: PLC0415  # start-up counts

    base, _, query = uri.partition("?")
    parameters = parse_qs(query)
    scheme, separator, authority = base.partition("://")
    if separator and scheme in {"local", "local-overlay"}:
        root = parameters.get("root", [unquote(authority)])[-1]
    elif base in {"", "auto", "daemon", "local"} or scheme == "unix":
        root = parameters.get("root", [""])[-1]
    elif not separator and "/" in base:
        root = base
    else:
        raise StoreError(
            f"cannot read store '{redact(uri)}': its files are not on this machine",
            hint=f"take what is there with --from '{redact(uri)}'",
        )
    for real in parameters.get("real", []):
        if not real.endswith(STORE_DIR):
            raise StoreError(f"cannot read store '{uri}': its files are at '{real}'")
        root = real.removesuffix(STORE_DIR)
    return os.path.abspath(root).rstrip("/") if root else ""

"""Nix's own settings, as they stand in its files and in the environment; no nix is started.

Where they are and which of them counts is src/libstore/globals.cc and src/libutil/config.cc of
Nix: the system's file, those of the user, `NIX_CONFIG`, options; a later one counts, and
`extra-NAME` adds to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.host.regular_files import read_file
from nix2oci.nix.options import pairs_of
from nix2oci.text import display

_MOST_BYTES = 1 << 20
_DEEPEST = 20
"""Files that include each other; Nix has no limit and would not end."""

_ALIASES = {"binary-cache-public-keys": "trusted-public-keys"}
_EXTRA = "extra-"
_YES = frozenset({"true", "yes", "1"})


class Settings(Struct, frozen=True):
    """What is said of each setting that somebody said something of."""

    said: Mapping[str, str]
    """As `NAME`, and as `extra-NAME` what is to be added to whatever `NAME` is."""

    @classmethod
    def of(cls, env: Mapping[str, str], options: Sequence[str] = ()) -> Settings:
        """Those that a nix with this environment and these options would have.

        A file that is not there, or that we may not read, says nothing. Raises `ConfigError` for
        a line that is no setting.
        """
        said: dict[str, str] = {}
        for path in _files(env):
            _apply(said, _of_file(path))
        _apply(said, _of_text(env.get("NIX_CONFIG", ""), "NIX_CONFIG", ""))
        _apply(said, pairs_of(options))
        return cls(said)

    def words(self, name: str, default: str = "") -> list[str]:
        """A setting that is a list."""
        known = self.said.get(name, default)
        return f"{known} {self.said.get(_EXTRA + name, '')}".split()

    def flag(self, name: str, *, default: bool) -> bool:
        """A setting that is true or false."""
        text = self.said.get(name)
        return default if text is None else text in _YES

    def text(self, name: str) -> str:
        """A setting that is one value; `""` where nobody said it."""
        return self.said.get(name, "")


def _apply(said: dict[str, str], pairs: Iterable[tuple[str, str]]) -> None:
    for given, value in pairs:
        bare = given.removeprefix(_EXTRA)
        name = _ALIASES.get(bare, bare)
        if bare != given:
            said[_EXTRA + name] = f"{said.get(_EXTRA + name, '')} {value}".strip()
        else:
            said[name] = value
            said.pop(_EXTRA + name, None)


def _files(env: Mapping[str, str]) -> Iterator[str]:
    """The files, what counts less first."""
    yield f"{env.get('NIX_CONF_DIR') or '/etc/nix'}/nix.conf"
    named = env.get("NIX_USER_CONF_FILES")
    if named is not None:
        found = named.split(":")
    else:
        home = env.get("HOME", "")
        own = env.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
        shared = (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        found = [f"{directory}/nix/nix.conf" for directory in (own, *shared) if directory]
    yield from (path for path in reversed(found) if path)


def _of_file(path: str, depth: int = 0, *, needed: bool = False) -> Iterator[tuple[str, str]]:
    try:
        text = read_file(path, _MOST_BYTES).decode()
    except (OSError, ValueError) as err:
        if needed:
            raise ConfigError(
                f"cannot read settings of Nix: there is no {display(os.fsencode(path))}"
            ) from err
        return
    yield from _of_text(text, path, os.path.dirname(path), depth)


def _of_text(text: str, where: str, directory: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The settings of a file or of a variable, with those that it includes."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] in {"include", "!include"} and len(words) == 2:
            if depth == _DEEPEST:
                raise ConfigError(f"cannot read settings of Nix: {where} includes itself")
            included = os.path.join(directory, words[1])
            yield from _of_file(included, depth + 1, needed=words[0] == "include")
        elif len(words) < 2 or words[1] != "=":
            raise ConfigError(
                f"cannot read settings of Nix: '{display(line.strip().encode())}' of {where} "
                "is no setting"
            )
        else:
            yield words[0], " ".join(words[2:])

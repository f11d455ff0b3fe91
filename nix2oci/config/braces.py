"""Paths of installables in values: `{nixpkgs#glibcLocales}/lib/locale/locale-archive`.

Only braces that hold a `#`, or begin with the store's directory, mean an installable. A value that
has none is text to the byte; in one that has, `{{` and `}}` stand for braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nix2oci.config.reading import Location
from nix2oci.model.closure import STORE_DIR

_NAMED = rf"\{{(?=[^{{}}]*#|{STORE_DIR}/)([^{{}}]*)\}}"
_TOKEN = re.compile(rf"(\{{\{{)|(\}}\}})|{_NAMED}")
_INSTALLABLE = re.compile(r"[^\s\"'-][^\s\"']*")


def has_braces(text: str) -> bool:
    """Whether a value has braces that mean something."""
    return "{" in text and re.search(_NAMED, text) is not None


def installables_in(text: str) -> tuple[str, ...]:
    """The installables that a value names, in their order."""
    if not has_braces(text):
        return ()
    return tuple(found[3] for found in _TOKEN.finditer(text) if found[3])


def with_paths(text: str, path_of: Callable[[str], str]) -> str:
    """The value, with the path of each installable that it names."""
    if not has_braces(text):
        return text
    return _TOKEN.sub(lambda m: path_of(m[3]) if m[3] else m[0][0], text)


def as_text(text: str) -> str:
    """How a value is written that is text to the byte."""
    return text.replace("{", "{{").replace("}", "}}") if has_braces(text) else text


def with_installables(text: str, renamed: Callable[[str], str]) -> str:
    """The value, with other names of its installables; it is still to be read as before."""
    if not has_braces(text):
        return text
    return _TOKEN.sub(lambda m: f"{{{renamed(m[3])}}}" if m[3] else m[0], text)


def check_braces(text: str, location: Location) -> None:
    """Raise `ConfigError` for braces that mean an installable, and hold none.

    It does not quote the value, which may be a secret.
    """
    if not all(map(_INSTALLABLE.fullmatch, installables_in(text))):
        raise location.numbered().wrong(
            "braces with a '#' in them name an installable, and these do not",
            "for braces as text write {{ and }} in this value",
        )

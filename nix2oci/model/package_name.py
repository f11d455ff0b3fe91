"""Names of store paths taken apart: package, version and output; and which version is newer.

The rules are Nix's own, so that they split a name where `nix-env` and `nix store diff-closures` do.
"""

from __future__ import annotations

import re

from msgspec import Struct

# A version begins behind the first dash that no letter follows (DrvName, src/libstore/names.cc).
_VERSION = re.compile(r"-(?=[^A-Za-z])")
# What a derivation's other outputs add to its name (src/nix/diff-closures.cc).
_OUTPUT = re.compile(r"(.+)-([a-z]+|lib32|lib64)")
# nextComponent of src/libstore/names.cc.
_COMPONENT = re.compile(r"[0-9]+|[^0-9.-]+")


class PackageName(Struct, frozen=True, order=True):
    """`openssl-3.0.14-dev` is the package `openssl`, the output `dev`, the version `3.0.14`.

    The output is `""` where the name has none; a name without a version has no output either,
    since `web-app` may be either.
    """

    package: str
    output: str
    version: str

    @classmethod
    def parse(cls, name: str) -> PackageName:
        """Take the name of a store path apart; any text is one."""
        package, *rest = _VERSION.split(name, maxsplit=1)
        version = rest[0] if rest else ""
        match = _OUTPUT.fullmatch(version)
        return cls(package, match[2], match[1]) if match else cls(package, "", version)

    def __str__(self) -> str:
        rest = (f"-{part}" for part in (self.version, self.output) if part)
        return self.package + "".join(rest)

    @property
    def title(self) -> str:
        """The name without its version: `openssl (dev)`."""
        return f"{self.package} ({self.output})" if self.output else self.package


def version_order(version: str) -> tuple[tuple[int, str, int], ...]:
    """A key that sorts versions as Nix compares them: 2.3pre1, 2.3, 2.3a, 2.3.1, 2.10."""
    components = (_component(text) for text in _COMPONENT.findall(version))
    return (*components, (1, "", 0))


def _component(text: str) -> tuple[int, str, int]:
    if text.isdigit():
        return 3, "", int(text)
    return (0, "", 0) if text == "pre" else (2, text, 0)

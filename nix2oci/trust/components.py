"""What an image is made of: a bill of materials as values, before it has a format.

One component for each store path that is in the image, those that were dropped left out and
recorded; packages of languages that were found in its files are components of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from nix2oci.model.closure import StorePath
from nix2oci.model.package_name import PackageName
from nix2oci.oci.spec import Digest, Platform
from nix2oci.text import printable
from nix2oci.trust.purl import guessed_cpe, is_cpe, is_purl, language_purl, nix_purl

_EXPRESSION = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")


class LanguagePackage(Struct, frozen=True, order=True):
    """A package that a language's own tools installed, or that was compiled into a program."""

    file: str
    """By which it was found: absolute in the image."""
    kind: str
    """Its ecosystem, as package URLs name it: `pypi`, `npm`, `golang`, `maven`, `cargo`, `gem`."""
    name: str
    """As the ecosystem has it: `@scope/name`, `example.com/module`, `group:artifact`."""
    version: str
    license: str = ""
    """As the package says it; any text."""

    @property
    def purl(self) -> str:
        return language_purl(self.kind, self.name, self.version)

    @property
    def ref(self) -> str:
        """Its name in a document, where the same package may be found in several files."""
        return f"{self.purl}#{self.file}"


def crates_by_program(
    packages: Iterable[LanguagePackage],
) -> dict[str, list[LanguagePackage]]:
    """Programs of Rust, by their files, with the crates that are in each.

    They are components as well: scanners take crates for those of a lock file, if no program has
    them.
    """
    found: dict[str, list[LanguagePackage]] = {}
    for each in packages:
        if each.kind == "cargo":
            found.setdefault(each.file, []).append(each)
    return found


class PackageFacts(Struct, frozen=True):
    """What Nix knows of the package that a store path is an output of; empty where it does not."""

    name: str = ""
    version: str = ""
    license: str = ""
    """An SPDX expression."""
    homepage: str = ""
    description: str = ""
    cpe: str = ""
    purls: tuple[str, ...] = ()
    """Of what it was made from, as `meta.identifiers` of nixpkgs has it."""
    patches: tuple[str, ...] = ()
    """Names of the files."""


NO_FACTS = PackageFacts()


class StoreComponent(Struct, frozen=True):
    """One store path of an image."""

    path: StorePath
    references: tuple[StorePath, ...]
    """Without itself, sorted."""
    nar_hash: str = ""
    """As Nix prints it; empty where it is not known."""
    layer: str = ""
    """The diff ID of the layer it lies in; empty before there is one."""
    deriver: str = ""
    facts: PackageFacts = NO_FACTS
    replaced: tuple[str, ...] = ()
    """Files that have a launcher over them: absolute paths."""
    packages: tuple[LanguagePackage, ...] = ()
    slim: str = ""
    """The rules by which something may be left out of it, with their versions."""

    @property
    def named(self) -> PackageName:
        """Its name taken apart, name and version as Nix knows them where it does."""
        found, name = PackageName.parse(self.path.name), printable(self.facts.name)
        if name and self.path.name.startswith(f"{name}-"):
            # The name may have what looks like a version: `gcc-12-base`.
            rest = PackageName.parse("x" + self.path.name.removeprefix(name))
            found = PackageName(name, rest.output, rest.version)
        version = printable(self.facts.version) or found.version
        return PackageName(name or found.package, found.output, version)

    @property
    def purl(self) -> str:
        return nix_purl(self.path, self.named)

    @property
    def source_purls(self) -> tuple[str, ...]:
        """Further package URLs: of what it was made from."""
        return tuple(sorted({each for each in self.facts.purls if is_purl(each)}))

    @property
    def description(self) -> str:
        return printable(self.facts.description)

    @property
    def license(self) -> str:
        """An SPDX expression by its form; empty for anything else that evaluation said."""
        return self.facts.license if _EXPRESSION.fullmatch(self.facts.license) else ""

    def cpe(self, *, guess: bool) -> str:
        """What Nix knows, or where that is nothing, a guess if one is wanted."""
        if is_cpe(self.facts.cpe):
            return self.facts.cpe
        named = self.named
        return guessed_cpe(named.package, named.version) if guess and named.version else ""


class BaseComponent(Struct, frozen=True):
    """The base image; what is in it is not listed, but for store paths."""

    name: str
    """As its index or the user names it; may be empty."""
    digest: str
    """Of its manifest; empty where it is not known."""


class Subject(Struct, frozen=True):
    """The image that all of it is about."""

    name: str
    digest: Digest
    """Of its manifest, or of its store paths where it is not written."""
    created: datetime
    platform: Platform
    notes: tuple[tuple[str, str], ...] = ()
    """What annotations of its manifest say, by their keys."""
    is_written: bool = True


class Bill(Struct, frozen=True):
    """What is in an image. Everything is sorted, so that equal images give equal documents."""

    subject: Subject
    roots: tuple[StorePath, ...]
    """What was named to be put into the image, and leads to everything else."""
    components: tuple[StoreComponent, ...]
    outside: tuple[LanguagePackage, ...] = ()
    """Packages that were found in files outside of every store path."""
    base: BaseComponent | None = None
    dropped: tuple[StorePath, ...] = ()
    """What the closure has and the image has not."""
    unknown: tuple[str, ...] = ()
    """What cannot be known here, in words."""

    @property
    def packages(self) -> tuple[LanguagePackage, ...]:
        """Those of all store paths, and those outside."""
        inside = (each for component in self.components for each in component.packages)
        return tuple(sorted({*inside, *self.outside}))

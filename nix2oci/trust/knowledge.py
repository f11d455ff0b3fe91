"""All that is known of the store paths of an image beside their names and references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from nix2oci.host.regular_files import read_file
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.tree import File, Tree
from nix2oci.nix.derivation import Derivation
from nix2oci.nix.store_files import StoreFiles
from nix2oci.text import display
from nix2oci.trust.components import NO_FACTS, LanguagePackage, PackageFacts
from nix2oci.trust.languages.described_by import streamed_packages
from nix2oci.trust.purl import source_purl
from nix2oci.trust.store_packages import Entries, language_packages

_MOST = 1 << 24
"""Bytes of a derivation."""


class Knowledge(Struct, frozen=True):
    """By store path; of others nothing is known."""

    packages: Mapping[StorePath, tuple[LanguagePackage, ...]] = field(default_factory=dict)
    facts: Mapping[StorePath, PackageFacts] = field(default_factory=dict)
    outside: tuple[LanguagePackage, ...] = ()
    """Packages in files of the image that are in no store path."""


def known_of(
    closure: Closure,
    files: StoreFiles,
    entries: Entries | None,
    derivations: str,
    evaluated: Mapping[StorePath, PackageFacts],
) -> Knowledge:
    """What the files of store paths say, as `language_packages`, and derivations that are there.

    `derivations` is the directory that /nix/store lies in which may have them. `evaluated` is what
    evaluation knows, and wins. Raises `StoreError`.
    """
    packages = language_packages(closure, files, entries)
    facts = {path: _derived(info, derivations) for path, info in closure.infos.items()}
    for path, each in evaluated.items():
        facts[path] = _joined(each, facts.get(path, NO_FACTS))
    return Knowledge(packages, {path: each for path, each in facts.items() if each != NO_FACTS})


def packages_of_tree(tree: Tree, store_dir: str) -> tuple[LanguagePackage, ...]:
    """The packages of languages in what is laid beside the store; raises what reading it does."""
    store = store_dir[1:].encode() + b"/"
    return tuple(
        LanguagePackage("/" + display(entry.path), each.kind, each.name, each.version, each.license)
        for entry in tree
        if isinstance(entry, File) and not entry.path.startswith(store)
        for each in streamed_packages(
            entry.path, iter(entry.chunks), executable=bool(entry.mode & 0o111)
        )
    )


def _joined(one: PackageFacts, other: PackageFacts) -> PackageFacts:
    """What the first says, and where that is nothing the other."""
    return PackageFacts(
        *(getattr(one, name) or getattr(other, name) for name in PackageFacts.__struct_fields__)
    )


def _derived(info: PathInfo, root: str) -> PackageFacts:
    """What the derivation of a store path says, where it is there and says that it makes it."""
    made = _derivation(info.deriver, root) if info.deriver else None
    if made is None or not {str(info.path), ""}.intersection(made.outputs):
        return NO_FACTS
    name, version = made.text("pname"), made.text("version")
    purls = (source_purl(url, name, version) for url in _source_urls(made, root))
    return PackageFacts(name, version, purls=tuple(filter(None, purls)), patches=made.patches)


def _source_urls(made: Derivation, root: str) -> Iterator[str]:
    """Where the source of a derivation comes from, as the derivation that fetches it says."""
    for path in made.source_inputs():
        fetched = _derivation(path, root)
        if fetched and made.text("src") in fetched.outputs:
            yield fetched.url


def _derivation(path: str, root: str) -> Derivation | None:
    try:
        return Derivation.parse(read_file(f"{root}{path}", _MOST))
    except OSError:
        return None

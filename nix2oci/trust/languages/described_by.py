"""Which files say what packages there are: by their names, and programs by their first bytes."""

from __future__ import annotations

from nix2oci.trust.languages.found import Reader
from nix2oci.trust.languages.installed import gem_specification, npm_package, python_metadata
from nix2oci.trust.languages.java import SUFFIXES, archive_packages
from nix2oci.trust.languages.programs import program_packages

_PYTHON = (b".dist-info/METADATA", b".egg-info/PKG-INFO", b"EGG-INFO/PKG-INFO", b".egg-info")


def reader_of(path: bytes, *, executable: bool) -> Reader | None:
    """What reads a regular file that lies at a path; None for one that says nothing.

    Most programs say nothing either, but that is for their content to tell.
    """
    if path.endswith(_PYTHON):
        return python_metadata
    if path.endswith(b"/package.json"):
        return npm_package
    if path.endswith(b".gemspec") and b"/specifications/" in path:
        return gem_specification
    if path.endswith(SUFFIXES):
        return archive_packages
    return program_packages if executable else None

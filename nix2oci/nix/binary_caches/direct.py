"""Stands in for Nix where there is none: store paths are taken from a binary cache as they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import NoReturn

from nix2oci.errors import ConfigError, NixNotFoundError
from nix2oci.host.differences import here
from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.nix.binary_caches.cache import BinaryCache
from nix2oci.nix.binary_caches.cache_files import CacheFiles, DirectoryFiles, Web
from nix2oci.nix.binary_caches.public_keys import CACHE_NIXOS_ORG, PublicKeys
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable
from nix2oci.nix.nix_conf import Settings
from nix2oci.nix.options import Origin, setting
from nix2oci.nix.package import Package, package_of_path
from nix2oci.nix.process import WITHOUT_NIX


class DirectNix(NixClient):
    """What is known of store paths without Nix: their names, and what a binary cache has of them.

    Methods raise `NixNotFoundError` for what only Nix could answer.
    """

    def __init__(self, env: Mapping[str, str], options: Sequence[str], cache: BinaryCache) -> None:
        super().__init__(env, options, origin=cache.origin)
        self.sender = cache
        self._system = setting(self.options, "system") or here().linux

    def evaluate(self, installable: Installable) -> Package:
        """What the name of a store path says."""
        if installable.kind != "path":
            raise self._missing_nix(f"evaluate '{installable.text}'")
        found = package_of_path(installable, self.system())
        if any(one.outputs for one in found.wanted):
            raise self._missing_nix(f"find out the outputs of {installable.text}")
        return found

    def run(self, argv: tuple[str, ...], **_: object) -> NoReturn:
        """Raise: there is nothing to run."""
        raise self._missing_nix(f"ask `nix {argv[0]}`")

    def _missing_nix(self, action: str) -> NixNotFoundError:
        return NixNotFoundError(f"cannot {action}: there is no 'nix' on PATH", hint=WITHOUT_NIX)


def has_nix(env: Mapping[str, str]) -> bool:
    """Whether there is a nix to run."""
    return shutil.which("nix", path=env.get("PATH", os.defpath)) is not None


def can_be_read(origin: Origin) -> bool:
    """Whether a store is one that needs no Nix: a binary cache in a directory or on the web."""
    return origin.url.startswith(("file://", "https://", "http://"))


def open_cache(
    origin: Origin,
    env: Mapping[str, str],
    options: Sequence[str],
    web: Web,
    graph: Mapping[StorePath, PathInfo] | None = None,
) -> BinaryCache:
    """The binary cache at an origin, with the keys that Nix's settings and options name.

    Raises `ConfigError` for another kind of store, and for settings that cannot be read. `graph`
    is as `BinaryCache` has it.
    """
    if not can_be_read(origin):
        raise ConfigError(
            f"cannot use --from {origin} without Nix: it is no binary cache",
            hint="one is https://HOST, http://HOST or file:///DIRECTORY",
        )
    settings = Settings.of(env, options)
    checked = settings.flag("require-sigs", default=True) and not origin.is_trusted
    words = settings.words("trusted-public-keys", CACHE_NIXOS_ORG)
    keys = PublicKeys.parse(words) if checked and graph is None else None
    return BinaryCache(origin, _files(origin, settings, env, web), keys, graph)


def _files(origin: Origin, settings: Settings, env: Mapping[str, str], web: Web) -> CacheFiles:
    if origin.place:
        return DirectoryFiles(os.path.dirname(origin.place))
    from nix2oci.nix.binary_caches.http import WebFiles  # noqa: PLC0415  # no HTTP for a directory

    netrc = settings.text("netrc-file") or f"{env.get('NIX_CONF_DIR') or '/etc/nix'}/netrc"
    return WebFiles(origin.url, web, netrc)

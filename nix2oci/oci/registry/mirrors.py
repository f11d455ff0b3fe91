"""Mirrors: where else than at its own registry an image may be (containers-registries.conf(5)).

What podman and skopeo are told on a machine holds for base images, too, and for those of Docker Hub
what Docker is told (`registry-mirrors` of daemon.json), where the others are told nothing. A mirror
is believed as little as a registry: what it sends has the digest by which it was asked for, and a
tag means there what it means there.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import (
    ConfigError,
    InvalidReferenceError,
    LayoutError,
    OutputError,
    RegistryError,
)
from nix2oci.host.regular_files import open_file
from nix2oci.oci.fields import Fields, parse_object
from nix2oci.oci.layout.source import Layout
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client_options import Security
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.environment import RegistryEnvironment
from nix2oci.oci.registry.pull import open_remote
from nix2oci.oci.registry.repository import DOCKER_HUB, Repository

_MAX_BYTES = 1 << 20
_URL = re.compile(r"http(s?)://([^/@?#]+)/?")


class Mirror(Struct, frozen=True):
    """A place that has what another one has."""

    location: str
    insecure: bool = False
    """It may have no certificate, or no TLS at all."""
    for_tags: bool = True
    for_digests: bool = True

    def has(self, reference: Reference) -> bool:
        return self.for_digests if reference.digest else self.for_tags


class MirroredRegistry(Struct, frozen=True):
    """A part of the names of images, and where else these are."""

    prefix: str
    mirrors: tuple[Mirror, ...]
    blocked: bool = False

    def rest_of(self, name: str) -> str | None:
        """What a name has behind the prefix; None where it has another one."""
        host, slash, path = name.partition("/")
        if self.prefix.startswith("*."):
            return slash + path if host.endswith(self.prefix[1:]) else None
        rest = name.removeprefix(self.prefix)
        return rest if name.startswith(self.prefix) and rest[:1] in ("", "/") else None


def read_mirrors(environment: RegistryEnvironment) -> tuple[MirroredRegistry, ...]:
    """What the files say that are there, the later ones over the earlier ones.

    Raises `ConfigError` for a file that cannot be read.
    """
    found: dict[str, MirroredRegistry] = {}
    daemon = next(filter(os.path.exists, environment.docker_files), None)
    if mirrors := _of_docker(daemon) if daemon else ():
        found[DOCKER_HUB] = MirroredRegistry(DOCKER_HUB, mirrors)
    first = next(filter(os.path.exists, environment.registries_files), None)
    for path in ([first] if first else []) + list(_drop_ins(environment.registries_directories)):
        found |= {registry.prefix: registry for registry in _read(path)}
    return tuple(sorted(found.values(), key=lambda registry: -len(registry.prefix)))


def _drop_ins(directories: Iterable[str]) -> Iterable[str]:
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        yield from (os.path.join(directory, name) for name in names if name.endswith(".conf"))


def _read(path: str) -> Iterable[MirroredRegistry]:
    try:
        with open_file(path) as file:
            document = tomllib.loads(file.read(_MAX_BYTES).decode())
    except OSError as err:
        raise ConfigError(f"cannot read {path}: {err.strerror}") from err
    except (ValueError, RecursionError) as err:  # also a number of thousands of digits
        raise ConfigError(f"cannot read {path}: it is not TOML") from err
    for fields in Fields.of(document)["registry"].objects():
        prefix = fields["prefix"].text() or fields["location"].text()
        if prefix:
            mirrors = tuple(filter(None, map(_mirror, fields["mirror"].objects())))
            yield MirroredRegistry(prefix, mirrors, fields["blocked"].value is True)


def _of_docker(path: str) -> tuple[Mirror, ...]:
    """Of Docker Hub, as daemon.json has them; one that Docker would not take is passed over.

    So is a file that cannot be read: it is Docker's to say what is wrong with it.
    """
    try:
        with open_file(path) as file:
            urls = parse_object(file.read(_MAX_BYTES), path).get("registry-mirrors")
    except (OSError, LayoutError):
        return ()
    texts = [url for url in urls if isinstance(url, str)] if isinstance(urls, list) else []
    found = map(_URL.fullmatch, texts)
    return tuple(Mirror(url[2], insecure=not url[1]) for url in found if url)


def _mirror(fields: Fields) -> Mirror | None:
    location = fields["location"].text()
    if not location:
        return None
    what = fields["pull-from-mirror"].text() or "all"
    return Mirror(
        location,
        fields["insecure"].value is True,
        for_tags=what in {"all", "tag-only"},
        for_digests=what in {"all", "digest-only"},
    )


def mirrors_of(
    reference: Reference, registries: Iterable[MirroredRegistry]
) -> tuple[tuple[Reference, Mirror], ...]:
    """Where else an image is, in the order in which it is to be looked for there.

    Raises `ConfigError` where it is not to be had at all.
    """
    name = str(Repository.of(reference))
    for registry in registries:
        rest = registry.rest_of(name)
        if rest is None:
            continue
        if registry.blocked:
            raise ConfigError(f"cannot use {reference}: registries.conf blocks {registry.prefix}")
        mirrors = [mirror for mirror in registry.mirrors if mirror.has(reference)]
        return tuple((_at(mirror.location + rest, reference), mirror) for mirror in mirrors)
    return ()


def _at(name: str, reference: Reference) -> Reference:
    try:
        return replace(Reference.parse(name), tag=reference.tag, digest=reference.digest)
    except InvalidReferenceError as err:
        raise ConfigError(f"cannot use registries.conf: '{name}' is not a repository") from err


def open_mirrored(reference: Reference, clients: Clients) -> Layout:
    """What a reference names in its registry, from a mirror where one has it.

    What is wrong with a mirror is a note. Raises as `open_remote`, and `ConfigError`.
    """
    access = clients.access
    for there, mirror in mirrors_of(reference, read_mirrors(access.environment)):
        security = access.security
        if mirror.insecure:
            insecure = Security(may_be_plain=True, verify=False)
            security = {**security, Repository.of(there).registry: insecure}
        try:
            found = open_remote(there, Clients(replace(access, security=security)), reference)
        except (RegistryError, OutputError) as err:
            access.listener.note(f"mirror {there.registry} is passed over: {err}")
        else:
            access.listener.note(f"{reference} comes from its mirror {there}")
            return found
    return open_remote(reference, clients)

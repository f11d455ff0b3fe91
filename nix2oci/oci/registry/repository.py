"""Which repository a reference means, in which registry."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from nix2oci.oci.reference import Reference

DOCKER_HUB = "docker.io"
HUB_NAMES = frozenset(
    {DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)


def registry_name(registry: str) -> str:
    """The one name of a registry that has several."""
    return DOCKER_HUB if registry in HUB_NAMES else registry


class Repository(Struct, frozen=True):
    """A repository of a registry."""

    registry: str
    """As in a reference: `host` or `host:port`."""
    repository: str

    @classmethod
    def of(cls, reference: Reference) -> Repository:
        """That of a reference; where it names no registry, Docker Hub is meant, as everywhere."""
        registry = registry_name(reference.registry or DOCKER_HUB)
        if registry == DOCKER_HUB:
            name = reference.repository
            return cls(DOCKER_HUB, name if "/" in name else f"library/{name}")
        return cls(registry, reference.repository)

    @property
    def host(self) -> str:
        """Where the registry is."""
        return "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"


def distinct(references: Iterable[Reference]) -> tuple[Reference, ...]:
    """References without those that name what an earlier one names, however they are written."""
    found: dict[tuple[Repository, str | None], Reference] = {}
    for each in references:
        found.setdefault((Repository.of(each), each.tag), each)
    return tuple(found.values())

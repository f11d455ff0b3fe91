"""Small images that differ in their platform."""

from __future__ import annotations

from pathlib import Path

from support.smallimage import Json, SmallImage

NAMED = "io.containerd.image.name"
NOTES = {
    "org.opencontainers.image.title": "app",
    "org.opencontainers.image.source": "https://example.com",
    "org.opencontainers.image.ref.name": "1.0",
    "nix2oci.shell": "{}",
}


def platform_image(top: Path, name: str, architecture: str, **notes: str) -> Path:
    """A small image for a platform, as a layout; its tag is 1.0."""

    def config(document: Json) -> None:
        document["architecture"] = architecture

    def manifest(document: Json) -> None:
        document["annotations"] = {**NOTES, **notes}

    def index(document: Json) -> None:
        (entry,) = document["manifests"]
        entry["annotations"][NAMED] = "example.com/app:1.0"
        entry["platform"]["architecture"] = architecture

    return SmallImage(config=config, manifest=manifest, index=index).write(top / name)

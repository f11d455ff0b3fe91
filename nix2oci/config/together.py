"""The images of one file, looked at together: none takes the place of another."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.keys import Document
from nix2oci.config.named_images import NamedImage, key_of


def check_together(
    images: Sequence[NamedImage], specs: Sequence[ImageSpec], defaults: Document, where: str
) -> None:
    """Raise `ConfigError` for images that would take each other's place, and for tools of no twin.

    `specs` are what became of the images, all of the file `where`, whose other keys are `defaults`.
    """
    taken: dict[str, str] = {}
    for image, spec in zip(images, specs, strict=True):
        tags = spec.tags or ("latest",)
        for tag in (*tags, *(f"{tag}-debug" for tag in tags if spec.debug)):
            reference = f"{spec.name}:{tag}"
            if (other := taken.setdefault(reference, image.name)) != image.name:
                raise image.location.wrong(
                    f"it would be {reference}, which image '{other}' is",
                    "give it a `name` or a `tag` of its own",
                )
        if "debug-tools" in image.own and not spec.debug:
            key = next(key for key in image.own if key == "debug-tools")
            raise image.location.at(key).wrong(
                "the image has no debug twin to have them", "add `debug: true`"
            )
    if "debug-tools" in defaults and images and not any(spec.debug for spec in specs):
        raise key_of(defaults, "debug-tools", where).wrong(
            "no image has a debug twin to have them", "add `debug: true`"
        )

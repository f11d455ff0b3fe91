"""Verifying what is attached to an image: signatures, and documents against its layers."""

from __future__ import annotations

from msgspec import Struct

from nix2oci import text
from nix2oci.cli import context
from nix2oci.cli.steps.read_image import reading_bytes
from nix2oci.cli.steps.registry import open_layout_anywhere
from nix2oci.cli.steps.signing_key import public_key
from nix2oci.compare.attached import attached_to, images_of, subjects_of_image
from nix2oci.compare.store_paths import in_layers
from nix2oci.compare.verified import Verified, verified
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.oci.layout.counted import CountedBlobs
from nix2oci.oci.spec import Descriptor, Digest, Platform
from nix2oci.report.attached_documents import judged_table, verified_document
from nix2oci.report.terminal.styled import Text
from nix2oci.trust.listed_paths import InLayers


class Verification(Struct, frozen=True):
    """What came of it."""

    top: Descriptor
    """Of the manifest or index that was named."""
    found: Verified
    by_key: bool

    @property
    def document(self) -> dict[str, object]:
        return verified_document(self.found, self.top)

    @property
    def text(self) -> Text:
        problems = self.found.problems
        by = "signed by this key, and " if self.by_key else "no key was given; "
        said = text.count(len(problems), "problem") if problems else f"{by}what is attached holds"
        lines = [f"{self.top.digest}: {said}", *(f"  {each}" for each in problems)]
        return [*judged_table(self.found.judged, self.top), *lines]


def verify_attached(
    image: str,
    key: str | None,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
) -> Verification:
    """Judge all that is attached to an image; raises what reading it and the key raises."""
    by = public_key(key) if key is not None else None
    wanted = Platform.parse(platform) if platform else None
    layout, tag = open_layout_anywhere(image, registry, output)
    images = (layout.image(tag, wanted),) if wanted else images_of(layout, tag)
    listed = [each for one in images for each in subjects_of_image(layout, tag, one)]
    subjects = tuple({each.digest: each for each in listed}.values())
    attached = attached_to(layout, subjects)
    contents: dict[Digest, InLayers] = {}
    damage: list[str] = []
    total = sum(layer.size for one in images for layer in one.layers())
    with reading_bytes(image, total, registry, output) as counter:
        for one in images:
            found, wrong = in_layers(CountedBlobs.of(one, counter), context.cores())
            contents[one.descriptor.digest] = found
            damage += wrong
    result = verified(attached, [each.digest for each in subjects], contents, by, damage)
    return Verification(subjects[0], result, by is not None)

"""`nix2oci verify`: whether an image is signed, and is what its documents say."""

from __future__ import annotations

from nix2oci import text
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.attaching import public_key
from nix2oci.cli.steps.read_image import reading_bytes
from nix2oci.cli.steps.registry import open_layout_anywhere
from nix2oci.compare.attached import attached_to, images_of, subjects_of_image
from nix2oci.compare.store_paths import in_layers
from nix2oci.compare.verified import verified
from nix2oci.config.options.group import argument, command, value
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.platforms import ONE_PLATFORM
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.oci.layout.counted import CountedBlobs
from nix2oci.oci.spec import Digest, Platform
from nix2oci.publish.registry_options import reading
from nix2oci.report.attached import judged_table, verified_document
from nix2oci.trust.listed_paths import InLayers


@command(
    "verify",
    argument("image"),
    value(
        "--key",
        "PUB",
        "The public key that must have signed: a file in PEM, nix:FILE, or env://VARIABLE.",
    ),
    ONE_PLATFORM,
    REGISTRY,
    OUTPUT,
)
def verify(
    *,
    image: str,
    key: str | None,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
) -> int:
    """Verify IMAGE: who signed it, and that it holds what its documents say. Exit code 1 if not.

    IMAGE is what `nix2oci inspect` takes. With --key, the image has to be signed by that key. Bills
    of materials and provenances are held against the store paths that lie in the layers, and their
    hashes, whoever attached them. Of an image for several platforms all are read, or the one of
    --platform.
    """
    by = public_key(key) if key is not None else None
    wanted = Platform.parse(platform) if platform else None
    registry = reading(registry, image)
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
    if output.as_json:
        console.result_json(verified_document(result, subjects[0]))
    else:
        console.result_text(judged_table(result.judged, subjects[0]))
        what = "signed by this key, and " if by else "not judged by whose it is; "
        number = text.count(len(result.problems), "problem")
        said = f"{number}" if result.problems else f"{what}what its documents say is so"
        console.result_text([f"{subjects[0].digest}: {said}", *(f"  {p}" for p in result.problems)])
    return 1 if result.problems else 0

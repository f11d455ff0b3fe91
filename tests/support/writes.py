"""Small images written with the project's own writer, and what is there afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from support.smallimage import STORE_LAYER, STORE_PATH, VIEW_LAYER, Layer, digest_of, tar
from support.smallimage import entry as tar_entry

from nix2oci.oci.layout.source import open_image
from nix2oci.oci.layout.writer import Image, OutputFormat, Staging, writing
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import LAYER_GZIP, Descriptor, Digest, History, ImageConfig, Platform
from nix2oci.oci.validate.check_image import validate_layout

FORMS: tuple[OutputFormat, ...] = ("oci", "archive")
CREATED = datetime(1980, 1, 1, 0, 0, 1, tzinfo=UTC)


def put(
    staging: Staging,
    name: str = "app:1.0",
    text: str = "one",
    *,
    finish: bool = True,
    more: tuple[Layer, ...] = (),
) -> Image:
    """Stage an image that differs from others by one file and `more` layers, and finish it."""
    extra = Layer(tar(tar_entry("text", text.encode())))
    layers = [STORE_LAYER, VIEW_LAYER, extra, *more]
    descriptors = []
    for layer in layers:
        packed = layer.pack(layer.plain)
        digest = Digest.of(packed)
        with staging.new_blob() as blob:
            blob.write(packed[:10])
            blob.write(memoryview(packed)[10:])
            blob.commit(digest, len(packed))
        descriptors.append(Descriptor(LAYER_GZIP, digest, len(packed), layer.annotations))
    config = ImageConfig(
        platform=Platform("amd64"),
        created=CREATED,
        diff_ids=tuple(Digest.of(layer.plain) for layer in layers),
        history=tuple(History("test") for _ in layers),
        entrypoint=(STORE_PATH + "/bin/app",),
    )
    image = Image.of(config, tuple(descriptors))
    if finish:
        staging.finish([(image, [Reference.parse(name)])])
    return image


def write(
    path: Path, form: OutputFormat = "oci", name: str = "app:1.0", text: str = "one"
) -> Image:
    with writing(str(path), form) as staging:
        return put(staging, name, text)


def listing(root: Path) -> dict[str, str]:
    """Every file below a directory with a digest of its content, directories too."""
    return {
        str(path.relative_to(root)): digest_of(path.read_bytes()) if path.is_file() else "directory"
        for path in sorted(root.rglob("*"))
    }


def blob_names(layout: Path) -> set[str]:
    return {path.name for path in (layout / "blobs/sha256").iterdir()}


def digest_at(path: Path, tag: str = "1.0") -> Digest:
    assert validate_layout(f"{path}:{tag}", 1) == ()
    return open_image(f"{path}:{tag}").descriptor.digest

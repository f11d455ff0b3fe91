"""An image that was built, once more with another plan: what somebody else's layers would cost."""

from datetime import UTC, datetime
from pathlib import Path

from real.images import TAG, Layout

from nix2oci.model.closure import Closure, StorePath
from nix2oci.nix.store import LocalStore, store_layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.workers import LayerJob, write_layers
from nix2oci.oci.layout.writer import Image, writing
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Descriptor, Digest, ImageConfig, Platform


def replanned(image: Layout, closure: Closure, plan: list[list[StorePath]], path: Path) -> Layout:
    """The store paths of `closure` in the layers of `plan`, below the last layer of `image`.

    The layers are written and compressed as those of `image`, so that only the plan differs. The
    configuration says what the layers are and nothing else: the image is there to be weighed.
    """
    last = image.manifest["layers"][-1]
    view = Descriptor(last["mediaType"], Digest.parse(last["digest"]), last["size"])
    (compression,) = (c for c in Compression if c.media_type == view.media_type)
    unwritten = [
        LayerJob(store_layer(infos, LocalStore()), sum(info.nar_size for info in infos))
        for infos in ([closure.infos[store_path] for store_path in paths] for paths in plan)
    ]
    with writing(str(path)) as staging:
        layers = write_layers(unwritten, compression, staging, cores=2, forks=True)
        with staging.new_blob() as blob:
            blob.write(image.blob(last["digest"]).read_bytes())
            blob.commit(view.digest, view.size)
        diff_ids = (*(layer.diff_id for layer in layers), _last_diff_id(image))
        config = ImageConfig(Platform("amd64"), datetime.fromtimestamp(0, UTC), diff_ids, ())
        described = (Descriptor(layer.media_type, layer.digest, layer.size) for layer in layers)
        whole = Image.of(config, (*described, view))
        staging.finish([(whole, [Reference("replanned", tag=TAG)])])
    return Layout(path)


def _last_diff_id(image: Layout) -> Digest:
    return Digest.parse(image.config["rootfs"]["diff_ids"][-1])

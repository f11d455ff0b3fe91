"""How a layer can be stored."""

from __future__ import annotations

from enum import StrEnum

from nix2oci.oci.spec import LAYER, LAYER_GZIP, LAYER_ZSTD


class Compression(StrEnum):
    """How a layer is stored."""

    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"

    @property
    def media_type(self) -> str:
        return {"gzip": LAYER_GZIP, "zstd": LAYER_ZSTD, "none": LAYER}[self.value]

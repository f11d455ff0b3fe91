"""What can be found wrong with an image: the rules of `validate`, each with its short name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

Level = Literal["error", "warning"]

RULES: Mapping[str, tuple[Level, str]] = {
    "layout": ("error", "oci-layout and index.json are there and have the form they must have"),
    "docker-archive": ("error", "manifest.json of an archive names the files of its image"),
    "index": ("error", "an image index has the form it must have"),
    "manifest": ("error", "the image manifest has the form it must have"),
    "manifest-size": ("error", "the image manifest has less than 4 MiB, the most registries take"),
    "config": ("error", "the image configuration has the form it must have"),
    "null": ("warning", "a field that says nothing is left out of a document"),
    "platform": ("error", "the platform in the index is that of the configuration"),
    "blob-missing": ("error", "every blob is there"),
    "blob-size": ("error", "every blob has the size that its descriptor gives"),
    "blob-digest": ("error", "every blob has the digest that it is stored under"),
    "media-type": ("error", "the media type of a blob says what it is"),
    "layer-count": ("error", "engines can mount so many layers"),
    "diff-id-count": ("error", "there is one diff ID for each layer"),
    "history-count": ("error", "the history has one entry for each layer that is not empty"),
    "diff-id": ("error", "the diff ID is the digest of the layer's plain tar"),
    "compression": ("error", "a layer is complete and nothing follows its compressed data"),
    "chunk-table": ("error", "the table of a zstd:chunked layer says of it what is in it"),
    "chunk-annotations": ("warning", "annotations of a layer lead to the table that it has"),
    "tar": ("error", "a layer is a complete tar"),
    "end-mark": ("warning", "a layer ends with two zero blocks, as a tar should"),
    "name": ("error", "a name in a layer stays within the root"),
    "duplicate": ("error", "a path is in a layer once"),
    "whiteout": ("error", "a name that starts with .wh. hides something in a lower layer"),
    "hardlink": ("error", "the target of a hard link is in its layer, before it"),
    "parent": ("warning", "a directory comes before what is in it"),
    "special": ("warning", "a layer holds files, directories and links"),
    "sparse": ("warning", "a file is stored plainly"),
    "store-directory": ("warning", "the directories above store paths come first, with mode 0755"),
    "replaced": ("warning", "a layer keeps the directories and links of the layers below"),
    "store-paths": ("error", "store paths have the NAR hashes that the layer's descriptor records"),
    "entrypoint": ("error", "the program that the image starts is in it and executable"),
    "healthcheck": ("error", "the program of the health check is in the image and executable"),
    "link": ("warning", "an absolute link leads to something in the image"),
    "interpreter": ("warning", "the interpreter of an executable file is in the image"),
}
"""Each rule with the level of what breaks it, and what it demands."""


class Finding(Struct, frozen=True):
    """Something that is wrong with an image, or looks wrong."""

    code: str
    """A key of `RULES`."""
    where: str
    """What it is about: a document, a blob, a layer and a path in it."""
    message: str

    @property
    def level(self) -> Level:
        return RULES[self.code][0]

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.message} [{self.code}]"


def first_of_each(findings: Sequence[Finding]) -> list[Finding]:
    """The first finding of each rule: what is said of what is found again and again."""
    return list({finding.code: finding for finding in reversed(findings)}.values())[::-1]

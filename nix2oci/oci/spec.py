"""The documents of the OCI image specification v1.1, as values with exact bytes.

`to_json` gives what the specification calls the document, `canonical_json` its one form in
bytes: sorted keys, no white space, UTF-8. A field that has nothing to say is absent, never null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct, field

from nix2oci.errors import ConfigError, LayoutError, RepresentationError
from nix2oci.oci.fields import Fields, Json, Value

if TYPE_CHECKING:
    from nix2oci.oci.healthcheck import Healthcheck

LAYOUT_VERSION = "1.0.0"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"

PREDEFINED = "org.opencontainers.image."
"""How the annotation keys of the specification begin (annotations.md)."""
REF_NAME = PREDEFINED + "ref.name"
BLOBS = "blobs/sha256"
"""Where blobs lie in a layout (image-layout.md, Blobs), and in the build cache."""

MAX_LAYERS = 127
"""An overlay mount takes 128 lower directories, and engines need one (moby#20298)."""

MOST_LISTED = 1000
"""Layers that an image may list to be read at all; no engine can mount so many."""

STORE_PATHS = "nix2oci.store-paths"
"""Layer annotation: what `store_paths_digest` says of the store paths in the layer."""
LAYER_FORM = "nix2oci.layer-form"
"""Layer annotation: what, with the store paths, decides its bytes; as `layer_form` has it."""
SLIMMED = "nix2oci.slimmed-store-paths"
"""Layer annotation: the same of what is in the layer, where a rule left something out of it."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&-^_.+]{0,126}"
MEDIA_TYPE = f"{_NAME}/{_NAME}"
_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]*"  # as far as that tells it from other text: RFC 3986, 3


def canonical_json(document: Json) -> bytes:
    """The bytes of a document: equal documents give equal bytes.

    Raises `RepresentationError` for text that is not UTF-8, such as an odd name on a command line.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as err:
        around = text[max(err.start - 20, 0) : err.end + 20].encode(errors="surrogateescape")
        raise RepresentationError(
            f"cannot put {around!r} into an image's documents: it is not UTF-8"
        ) from err


class Digest(Struct, frozen=True, order=True):
    """`sha256:<64 hex digits>` of a blob as it is stored (descriptor.md, Digests)."""

    text: str

    @classmethod
    def parse(cls, text: object) -> Digest:
        """Read a digest; raise `LayoutError` for anything but lower-case SHA-256."""
        if not isinstance(text, str) or not _DIGEST.fullmatch(text):
            raise LayoutError(f"cannot read digest {str(text)[:100]!r}: expected sha256:<64 hex>")
        return cls(text)

    @classmethod
    def read(cls, value: Value) -> Digest | None:
        """The digest at a place in a document; None, which is noted, where there is another."""
        text = value.text()
        if text is None or _DIGEST.fullmatch(text):
            return cls(text) if text is not None else None
        value.expected("sha256:<64 hex digits>")
        return None

    @classmethod
    def of(cls, data: bytes) -> Digest:
        import hashlib  # noqa: PLC0415  # start-up counts

        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @property
    def hex(self) -> str:
        return self.text.partition(":")[2]

    def __str__(self) -> str:
        return self.text


class Platform(Struct, frozen=True):
    """Operating system and architecture in Go's words, as image-index.md asks for."""

    architecture: str
    os: str = "linux"
    variant: str | None = None

    @classmethod
    def of_system(cls, system: str) -> Platform:
        """The platform of a Nix system such as `x86_64-linux`; `ConfigError` for any other."""
        if system not in _PLATFORMS:
            raise ConfigError(
                f"cannot make an image for system '{system}': no OCI platform is known for it",
                hint="name a Linux system with --system, such as x86_64-linux",
            )
        return _PLATFORMS[system]

    def fits(self, other: Platform) -> bool:
        """Whether both are the same, but for a variant that only one of them names."""
        variants = {self.variant, other.variant} - {None}
        same = (self.architecture, self.os) == (other.architecture, other.os)
        return same and len(variants) < 2

    @property
    def system(self) -> str:
        """The Nix system; `ConfigError` for a platform that Nix has none for."""
        for system, platform in _PLATFORMS.items():
            if platform == self:
                return system
        raise ConfigError(
            f"cannot build for platform '{self}': no system of Nix is known for it",
            hint=f"there are {', '.join(map(str, _PLATFORMS.values()))}",
        )

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`; `ConfigError` for anything else."""
        os, *rest = text.strip().split("/")
        if len(rest) not in (1, 2) or not all((os, *rest)):
            raise ConfigError(
                f"cannot read platform '{text}': it is not OS/ARCHITECTURE",
                hint="write linux/amd64 or linux/arm64",
            )
        return cls(rest[0], os, rest[1] if len(rest) == 2 else None)

    @classmethod
    def read(cls, fields: Fields) -> Platform:
        """The platform of a descriptor or a configuration; empty texts where it says none."""
        architecture, os = fields["architecture"].text(), fields["os"].text()
        return cls(architecture or "", os or "", fields["variant"].text())

    def to_json(self) -> Json:
        return _present(architecture=self.architecture, os=self.os, variant=self.variant)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


_PLATFORMS: Mapping[str, Platform] = {
    "x86_64-linux": Platform("amd64"),
    "aarch64-linux": Platform("arm64"),
    "i686-linux": Platform("386"),
    "armv7l-linux": Platform("arm", variant="v7"),
    "armv6l-linux": Platform("arm", variant="v6"),
    "riscv64-linux": Platform("riscv64"),
    "powerpc64le-linux": Platform("ppc64le"),
    "s390x-linux": Platform("s390x"),
    "loongarch64-linux": Platform("loong64"),
}


class Descriptor(Struct, frozen=True):
    """A blob, named by media type, digest and size in bytes (descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str | None = None
    """Of a manifest that is no image."""

    @classmethod
    def of(
        cls,
        media_type: str,
        data: bytes,
        annotations: Mapping[str, str] | None = None,
        platform: Platform | None = None,
    ) -> Descriptor:
        return cls(media_type, Digest.of(data), len(data), annotations or {}, platform)

    @classmethod
    def read(cls, fields: Fields) -> Descriptor | None:
        """A descriptor of a document; None, which is noted, where a required field is not right."""
        fields.need("mediaType", "digest", "size", kind="type")
        media_type = fields["mediaType"].text(MEDIA_TYPE, "a media type")
        digest, size = Digest.read(fields["digest"]), fields["size"].whole()
        fields["urls"].texts(_URI, "a URI")
        annotations = fields["annotations"].texts_by_name()
        artifact_type = fields["artifactType"].text(MEDIA_TYPE, "a media type")
        platform = _read_platform(fields["platform"].object())
        fields.null("urls", "annotations", "artifactType", "platform")
        if media_type is None or digest is None or size is None:
            return None
        return cls(media_type, digest, size, annotations, platform, artifact_type)

    def to_json(self) -> Json:
        return _present(
            mediaType=self.media_type,
            artifactType=self.artifact_type,
            digest=str(self.digest),
            size=self.size,
            annotations=dict(self.annotations),
            platform=self.platform.to_json() if self.platform else None,
        )


class History(Struct, frozen=True):
    """How one layer, or none, came to be (config.md, history)."""

    created_by: str
    comment: str = ""


class ImageConfig(Struct, frozen=True):
    """The image configuration: how to run it, and the diff IDs, base layer first (config.md)."""

    platform: Platform
    created: datetime
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = "/"
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    inherited: Json = field(default_factory=dict)
    """Fields of `config` that a base image has and this class has no name for."""
    history_below: tuple[Json, ...] = ()
    """The history of a base image, as it stands there."""

    def to_json(self) -> Json:
        run = _present(
            User=self.user,
            Env=list(self.env),
            Entrypoint=list(self.entrypoint),
            Cmd=list(self.cmd),
            WorkingDir=self.working_dir,
            ExposedPorts={port: {} for port in self.exposed_ports},
            Volumes={volume: {} for volume in self.volumes},
            Labels=dict(self.labels),
            StopSignal=self.stop_signal,
            Healthcheck=self.healthcheck.to_json() if self.healthcheck else None,
        )
        created = rfc3339(self.created)
        history = [
            {"created": created, **_present(created_by=h.created_by, comment=h.comment)}
            for h in self.history
        ]
        return {
            **self.platform.to_json(),
            "created": created,
            "config": {**self.inherited, **run},
            "rootfs": {"type": "layers", "diff_ids": [str(d) for d in self.diff_ids]},
            "history": [*self.history_below, *history],
        }


class Manifest(Struct, frozen=True):
    """The image manifest: a configuration and its layers, base layer first (manifest.md)."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
            **_present(annotations=dict(self.annotations)),
        }


class Index(Struct, frozen=True):
    """The image index: manifests by name or platform (image-index.md)."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [manifest.to_json() for manifest in self.manifests],
            **_present(annotations=dict(self.annotations)),
        }


def rfc3339(moment: datetime) -> str:
    """`1980-01-01T00:00:01Z`: whole seconds, UTC (RFC 3339, as config.md asks for)."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def store_paths_digest(nar_hashes: Mapping[str, bytes]) -> Digest:
    """What a store layer holds, as one digest.

    `nar_hashes` maps the text of each store path to the 32 bytes of its NAR hash; the digest is
    that of one line `<store path> <NAR hash in hex>` for each, in bytewise order.
    """
    lines = sorted(f"{path} {nar_hash.hex()}\n" for path, nar_hash in nar_hashes.items())
    return Digest.of("".join(lines).encode())


def contents_key(store_paths: Digest, rules: str) -> Digest:
    """What a store layer is asked for by: its `store_paths_digest`, and the rules of slimming."""
    return Digest.of(f"{store_paths} slim {rules}".encode()) if rules else store_paths


def _read_platform(fields: Fields) -> Platform | None:
    """That of a descriptor, which has to have both of its parts (image-index.md)."""
    fields.need("architecture", "os")
    fields["os.version"].text()
    fields["os.features"].texts()
    fields.null("os.version", "os.features", "variant")
    return Platform.read(fields) if fields.there else None


def _present(**fields: object) -> dict[str, object]:
    """The fields that say something: an empty one is left out (image-spec: absent, not null)."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {})}

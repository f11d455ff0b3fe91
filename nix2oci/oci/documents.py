"""The documents of an image that others wrote, as values.

Each function reads one document, whatever it holds: null is absent, a field that cannot be read
counts as absent, and `problems` has what is wrong, with its place. That is all that the JSON
schemas of the image-spec demand, and what these leave open and every tool needs: full SHA-256
digests, `NAME=value` in Env, no media type of an index or manifest that contradicts the document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Fields, Json, Problem, Value, parse_json, without_nulls
from nix2oci.oci.spec import LAYOUT_VERSION, MEDIA_TYPE, Descriptor, Digest, Platform

_INDEX_TYPE = r".*(index\.v1|manifest\.list\.v2)\+json"
_MANIFEST_TYPE = r".*manifest\.v[12]\+json"
_VARIABLE = r"(?s:[^=]+=.*)"
_ONE_CHARACTER = r"(?s:.+)"


class Document(Protocol):
    """What was read of a document."""

    @property
    def fields(self) -> Fields: ...


def problems(document: Document) -> tuple[Problem, ...]:
    """All that was wrong with a document, in its order."""
    return tuple(document.fields.problems)


@dataclass(frozen=True, slots=True)
class LayoutMark:
    """`oci-layout` (image-layout.md)."""

    fields: Fields
    version: str | None


@dataclass(frozen=True, slots=True)
class ForeignIndex:
    """An image index (image-index.md), or Docker's manifest list."""

    fields: Fields
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None


@dataclass(frozen=True, slots=True)
class ForeignManifest:
    """An image manifest (manifest.md), or Docker's."""

    fields: Fields
    media_type: str | None
    artifact_type: str | None
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """`config` of an image configuration: how a container is started."""

    fields: Fields
    user: str
    exposed_ports: tuple[str, ...]
    env: tuple[str, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    volumes: tuple[str, ...]
    working_dir: str
    labels: Mapping[str, str]
    stop_signal: str

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.entrypoint, *self.cmd)

    @property
    def variables(self) -> dict[str, str]:
        """Those of `env` by name."""
        return dict(pair.partition("=")[::2] for pair in self.env)


@dataclass(frozen=True, slots=True)
class ForeignConfig:
    """An image configuration (config.md)."""

    fields: Fields
    platform: Platform
    created: str | None
    run: RunConfig
    diff_ids: tuple[Digest, ...]
    history: tuple[Json, ...] | None
    """As it stands, but for nulls; None where there is none."""

    @property
    def layer_history(self) -> tuple[Json, ...]:
        """The entries that are about a layer."""
        return tuple(one for one in self.history or () if one.get("empty_layer") is not True)


@dataclass(frozen=True, slots=True)
class DockerImage:
    """An image in `manifest.json` of an archive: names of files in it."""

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


def read_layout_mark(document: object) -> LayoutMark:
    fields = Fields.of(document)
    fields.need("imageLayoutVersion")
    version = re.escape(LAYOUT_VERSION)
    return LayoutMark(fields, fields["imageLayoutVersion"].text(version, LAYOUT_VERSION))


def read_index(document: object) -> ForeignIndex:
    fields = Fields.of(document)
    fields.need("schemaVersion", "manifests")
    fields["schemaVersion"].exactly(2)
    manifests = tuple(map(Descriptor.read, fields["manifests"].objects()))
    fields["mediaType"].text(_INDEX_TYPE, "the type of an index")
    fields["artifactType"].text(MEDIA_TYPE, "a media type")
    subject = Descriptor.read(fields["subject"].object())
    annotations = fields["annotations"].texts_by_name()
    fields.null("mediaType", "artifactType", "subject", "annotations")
    return ForeignIndex(fields, tuple(filter(None, manifests)), annotations, subject)


def read_manifest(document: object) -> ForeignManifest:
    fields = Fields.of(document)
    fields.need("schemaVersion", "config", "layers")
    fields["schemaVersion"].exactly(2)
    config = Descriptor.read(fields["config"].object())
    if fields["layers"].value == []:
        fields["layers"].note("expected at least one item", "form")
    layers = tuple(map(Descriptor.read, fields["layers"].objects()))
    media_type = fields["mediaType"].text(_MANIFEST_TYPE, "the type of a manifest")
    artifact_type = fields["artifactType"].text(MEDIA_TYPE, "a media type")
    subject = Descriptor.read(fields["subject"].object())
    annotations = fields["annotations"].texts_by_name()
    fields.null("mediaType", "artifactType", "subject", "annotations")
    found = tuple(filter(None, layers))
    return ForeignManifest(fields, media_type, artifact_type, config, found, annotations, subject)


def read_config(document: object) -> ForeignConfig:
    fields = Fields.of(document)
    fields.need("architecture", "os", "rootfs")
    fields["architecture"].text(_ONE_CHARACTER, "an architecture")
    fields["os"].text(_ONE_CHARACTER, "an operating system")
    diff_ids = _diff_ids(fields["rootfs"].object())
    created = fields["created"].time()
    for key in ("author", "os.version"):
        fields[key].text()
    fields["os.features"].texts()
    run = _read_run(fields["config"].object())
    history = tuple(map(_entry, fields["history"].objects()))
    fields.null("created", "author", "variant", "os.version", "os.features", "config", "history")
    platform = Platform.read(fields)
    has_history = "history" in fields
    return ForeignConfig(fields, platform, created, run, diff_ids, history if has_history else None)


def _diff_ids(rootfs: Fields) -> tuple[Digest, ...]:
    rootfs.need("type", "diff_ids")
    rootfs["type"].text("layers", "'layers'")
    found = (Digest.read(item.there("a digest")) for item in rootfs["diff_ids"].items())
    return tuple(filter(None, found))


def _entry(fields: Fields) -> Json:
    fields["created"].time()
    for key in ("author", "created_by", "comment"):
        fields[key].text()
    fields["empty_layer"].truth()
    fields.null("created", "author", "created_by", "comment", "empty_layer")
    return {key: value for key, value in fields.values.items() if value is not None}


def _read_run(fields: Fields) -> RunConfig:
    found = RunConfig(
        fields,
        user=fields["User"].text() or "",
        exposed_ports=fields["ExposedPorts"].names(),
        env=fields["Env"].texts(_VARIABLE, "NAME=value"),
        entrypoint=_words(fields["Entrypoint"]),
        cmd=_words(fields["Cmd"]),
        volumes=fields["Volumes"].names(),
        working_dir=fields["WorkingDir"].text() or "",
        labels=fields["Labels"].texts_by_name(),
        stop_signal=fields["StopSignal"].text() or "",
    )
    fields["ArgsEscaped"].truth()
    fields.null("User", "ExposedPorts", "Env", "WorkingDir", "StopSignal", "ArgsEscaped")
    return found


def _words(value: Value) -> tuple[str, ...]:
    """A list of words; Docker takes one alone for a list of one."""
    if isinstance(value.value, str):
        value.expected("a list", "form")
        return (value.value,)
    return value.texts()


def inherited_field(config: ForeignConfig, key: str) -> object:
    """A field of `config` that OCI does not know, as it stands but for nulls; None without one."""
    return without_nulls(config.run.fields[key].value)


def read_docker_manifest(data: bytes, what: str) -> tuple[DockerImage, ...] | None:
    """`manifest.json` of an archive; None where it is no list of images."""
    try:
        listed = Value(parse_json(data, what), "", [])
    except LayoutError:
        return None
    images = tuple(map(_docker_image, listed.objects()))
    return None if listed.problems else images


def _docker_image(fields: Fields) -> DockerImage:
    fields.need("Config")
    config, tags = fields["Config"].text() or "", fields["RepoTags"].texts()
    return DockerImage(config, tags, fields["Layers"].texts())

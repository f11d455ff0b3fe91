"""`nix2oci attach`: documents to an image that is in a registry."""

from __future__ import annotations

import os

import click

from nix2oci.cli.steps.attach_afterwards import RemoteImage, print_attached
from nix2oci.cli.steps.signing_key import signing_key
from nix2oci.config.options.group import argument, command, value
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.config.options.trust import SIGN_KEY
from nix2oci.errors import ConfigError, LayoutError, OutputError
from nix2oci.host.regular_files import read_file
from nix2oci.oci.artifact import Artifact
from nix2oci.oci.layout.source import Blobs, open_layout
from nix2oci.oci.reference import parse_reference
from nix2oci.oci.registry.push_set import PushSet, read_push_set
from nix2oci.oci.spec import Descriptor, Digest, Platform
from nix2oci.publish.attachments import Attachments
from nix2oci.trust.artifacts_about import document_artifacts, signed_artifact
from nix2oci.trust.bundle import Signs
from nix2oci.trust.known_documents import read_document
from nix2oci.trust.statement import statement_of
from nix2oci.trust.trust_document import TrustDocument

_MOST = 128 << 20


@command(
    "attach",
    argument("source", "IMAGE|FILE"),
    click.Argument(["refs"], nargs=-1, required=True, metavar="REF..."),
    SIGN_KEY,
    value("--platform", "OS/ARCH", "Which image of several a bill of materials is about."),
    REGISTRY,
    OUTPUT,
)
def attach(
    *,
    source: str,
    refs: tuple[str, ...],
    sign_key: str | None,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Attach documents to the image REF, which is in a registry, and print its reference.

    IMAGE is a layout: what is attached there, as `nix2oci build --attach` does, is attached to the
    same image at REF. FILE is a document: CycloneDX or SPDX as JSON, a SLSA provenance, or an
    in-toto statement. Of an image for several platforms, --platform says which one a bill of
    materials is about. With --sign-key, a document is attached as an attestation too; `nix2oci
    sign` signs the image.
    """
    key = signing_key(sign_key) if sign_key else None
    data = _file(source)
    done = []
    for text in refs:
        image = RemoteImage.open(parse_reference(text), text, registry, output)
        if data is None:
            _check_alone(source, sign_key, platform)
            more, blobs = _of_layout(source, image)
            image.attach(more, {}, blobs)
        else:
            more, own = _of_file(data, source, image, platform, key)
            image.attach(more, own, None)
        done.append((image, more))
    print_attached(done, output)


def _file(source: str) -> bytes | None:
    """The bytes of a document; None for anything else, which may be an image."""
    if not os.path.isfile(source):
        return None
    try:
        data = read_file(source, _MOST)
    except OSError as err:
        raise OutputError(f"cannot read {source}: {err.strerror}") from err
    return data if data.lstrip()[:1] == b"{" else None


def _check_alone(source: str, sign_key: str | None, platform: str | None) -> None:
    """Raise `ConfigError` for what is about a file, where the source is an image."""
    if sign_key is not None or platform is not None:
        flag = "--platform" if sign_key is None else "--sign-key"
        raise ConfigError(
            f"cannot use {flag} with {source}: it is an image",
            hint="build it with --sign-key, or sign it where it is: nix2oci sign --attached",
        )


def _of_layout(source: str, image: RemoteImage) -> tuple[PushSet, Blobs]:
    """What a layout has about an image that is in a registry as well."""
    layout, tag = open_layout(source)
    whole = read_push_set(layout, tag)
    subjects = {each.digest for each in image.subjects}
    about = [(each, each.subject.digest) for each in whole.referrers if each.subject]
    found = tuple(each for each, subject in about if subject in subjects)
    here = whole.documents[-1].descriptor.digest
    if not found and here not in subjects:
        raise ConfigError(
            f"cannot attach to {image.name}: {source} is another image, {here}",
            hint="push it, with what is attached to it: nix2oci push",
        )
    if not found:
        raise ConfigError(
            f"cannot attach to {image.name}: nothing is attached to {source}",
            hint="build it with --attach",
        )
    blobs = {blob.digest: blob for each in found for blob in each.blobs}
    return PushSet(tuple(blobs.values()), (), found), layout.blobs


def _of_file(
    data: bytes, source: str, image: RemoteImage, platform: str | None, key: Signs | None
) -> tuple[PushSet, dict[Digest, bytes]]:
    """A document about an image, and about which of its manifests."""
    document, about = read_document(data, source)
    artifacts: list[Artifact] = []
    for subject in _subjects(document, source, image, platform):
        if about and subject.digest.hex not in about:
            raise LayoutError(f"cannot attach {source} to {subject.digest}: it is about others")
        artifacts += document_artifacts(subject, [document])
        if key is not None:
            statement = statement_of(document, subject.digest)
            artifacts.append(signed_artifact(subject, statement, key))
    subjects = [each.subject.digest for each in artifacts]
    return Attachments((), tuple(artifacts)).about(subjects, image.place)


def _subjects(
    document: TrustDocument, source: str, image: RemoteImage, platform: str | None
) -> list[Descriptor]:
    """The manifests that a document is attached to: a bill of materials to one, others to all."""
    if platform is not None:
        return [image.layout.image(platform=Platform.parse(platform)).descriptor]
    if document.kind not in ("cyclonedx", "spdx"):
        return list(image.subjects)
    if len(image.images) > 1:
        names = ", ".join(str(each.platform()) for each in image.images)
        raise ConfigError(
            f"cannot attach {source} to {image.name}: it is for {names}",
            hint="say which one the document is about: --platform",
        )
    return [image.images[0].descriptor]

"""`nix2oci sign`: sign an image that is in a registry, by a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nix2oci.cli.render import console
from nix2oci.cli.steps.attach_afterwards import RemoteImage, print_attached
from nix2oci.cli.steps.list_attached import attached_or_none
from nix2oci.cli.steps.signing_key import signing_key
from nix2oci.compare.attached import Attached
from nix2oci.config.options.group import argument, command, switch
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.config.options.trust import SIGN_KEY
from nix2oci.errors import ConfigError
from nix2oci.oci.reference import parse_reference
from nix2oci.oci.spec import Digest
from nix2oci.publish.attachments import Attachments
from nix2oci.trust.artifacts_about import signed_artifact
from nix2oci.trust.known_documents import read_document
from nix2oci.trust.statement import signature_of, statement_of
from nix2oci.trust.trust_document import TrustDocument


@command(
    "sign",
    argument("reference", "REF"),
    SIGN_KEY,
    switch("--attached", "Also sign what is attached without a signature, as it is."),
    REGISTRY,
    OUTPUT,
)
def sign(
    *,
    reference: str,
    sign_key: str | None,
    attached: bool,
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Sign the image REF, which is in a registry, and print its reference.

    REF is REGISTRY/REPOSITORY@DIGEST, as `nix2oci build --push` prints it: a tag may name another
    image by then. An index is signed, and each of its images. The signature is a Sigstore bundle
    that refers to the image, and one under a tag for verifiers that know no bundles. The same key
    gives the same bytes: signing again sends nothing.
    """
    name = parse_reference(reference)
    if name.digest is None:
        raise ConfigError(
            f"cannot sign {reference}: a tag may name another image by now",
            hint="name it by its digest, as build --push and push print it",
        )
    if sign_key is None:
        raise ConfigError("cannot sign: no key is named", hint="use --sign-key KEY")
    key = signing_key(sign_key)
    image = RemoteImage.open(name, reference, registry, output)
    found = attached_or_none(image.layout, image.subjects, output) or () if attached else ()
    artifacts = []
    for subject in image.subjects:
        statements = [signature_of(subject.digest)]
        statements += [statement_of(each, subject.digest) for each in _plain(found, subject.digest)]
        artifacts += [signed_artifact(subject, each, key) for each in statements]
    attachments = Attachments(image.subjects, tuple(artifacts), key)
    more, data = attachments.about([each.digest for each in image.subjects], image.place)
    image.attach(more, data, None)
    console.progress(output).step(f"signed with key {key.hint}")
    print_attached([(image, more)], output)


def _plain(found: Sequence[Attached], subject: Digest) -> Iterator[TrustDocument]:
    """The documents about a manifest that have no signature; not what is about another one."""
    for each in found:
        if each.subject == subject and each.data is not None and not each.is_signed:
            document, about = read_document(each.data, str(each.descriptor.digest))
            if not about or subject.hex in about:
                yield document

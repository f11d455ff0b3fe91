"""What `build` attaches to the image that it made."""

from __future__ import annotations

from nix2oci import text
from nix2oci.cli.render import console
from nix2oci.cli.steps.order import Order
from nix2oci.cli.steps.provenance import provenance
from nix2oci.cli.steps.signing_key import ToAttach
from nix2oci.config.options.output import OutputOptions
from nix2oci.oci.layout.writer import writing
from nix2oci.pipeline.platforms import Published
from nix2oci.publish.attachments import (
    Attachments,
    attachments_of,
    documents_about,
    subjects_of,
)
from nix2oci.trust.trust_document import CONTENTS


def attach_to(made: Published, wanted: ToAttach, order: Order) -> Attachments:
    """What is attached to what was built; a layout has it from now on."""
    file = order.target
    documents = documents_about(made, wanted.kinds, lambda images: provenance(images, order))
    subjects = subjects_of(made)
    attachments = attachments_of(subjects, documents, wanted.key)
    if file.keeps_referrers and attachments.artifacts:
        path = file.path_of(made.main.name)
        with writing(path, "oci", in_git=file.in_git) as staging:
            staging.finish_referrers(attachments.artifacts)
    _say(attachments, wanted, order.options.output)
    return attachments


def _say(attachments: Attachments, wanted: ToAttach, output: OutputOptions) -> None:
    step = console.progress(output).step
    lacks = wanted.has_contents and CONTENTS not in {
        e.blob.media_type for e in attachments.artifacts
    }
    if lacks:
        step("warning: no contents are attached: a slim image is known from its layers alone")
    if kinds := [kind for kind in wanted.kinds if not (lacks and kind == "contents")]:
        step(f"attached: {', '.join(kinds)}")
    if wanted.key:
        number = text.count(len(attachments.subjects), "manifest")
        step(f"signed {number} with key {wanted.key.hint}")

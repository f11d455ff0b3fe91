"""What `build` attaches to an image: asked for and checked before the build, made after it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci import text
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config.attaching import FETCHED, Attaching
from nix2oci.config.image_settings import Settings
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.run import Run
from nix2oci.errors import ConfigError

if TYPE_CHECKING:
    from nix2oci.cli.steps.order import Order, Setup
    from nix2oci.pipeline.platforms import Published
    from nix2oci.publish.attachments import Attachments
    from nix2oci.trust.keys import PublicKey, SigningKey


class ToAttach(Struct, frozen=True):
    """What is to be attached, and the key that signs it and the image."""

    kinds: tuple[str, ...] = ()
    key: SigningKey | None = None

    def __bool__(self) -> bool:
        return bool(self.kinds or self.key)

    @property
    def has_sbom(self) -> bool:
        return bool({"cyclonedx", "spdx"} & set(self.kinds))


def to_attach(run: Run, settings: Settings, setup: Setup, *, written: str | None) -> ToAttach:
    """What a run attaches to an image, which is `written` to a file or not.

    Only what is pushed is signed by the key of nix2oci.yaml. Raises `ConfigError` where nothing
    that is made could have what flags ask for, and what reading the key raises.
    """
    asked, file = run.trust.attaching, settings.spec.trust or Attaching()
    is_kept = setup.output_format == "oci" and written != "-"
    is_layout = is_kept and (written is not None or not (setup.engine or setup.push))
    if not (setup.push or is_layout):
        if asked:
            flag = "--sign-key" if asked.sign_key else "--attach"
            raise ConfigError(
                f"cannot use {flag}: neither an archive nor an engine has what refers to an image",
                hint="push the image, or write an image layout: -o PATH",
            )
        return ToAttach()
    wanted = asked.over(file if setup.push else Attaching(file.attach))
    return ToAttach(wanted.attach or (), signing_key(wanted.sign_key) if wanted.sign_key else None)


@cache
def signing_key(name: str) -> SigningKey:
    """The key of a name, read once: it may be a pipe. Raises as `KeySource.signing_key`."""
    from nix2oci.trust.key_source import KeySource  # only who signs needs it

    if name.startswith(FETCHED):
        raise ConfigError(
            f"cannot sign with {name.removeprefix(FETCHED)}: the nix2oci.yaml that names it was "
            "fetched",
            hint="name the key yourself: --sign-key KEY",
        )
    return KeySource(name, context.environment()).signing_key()


def public_key(name: str) -> PublicKey:
    """The public key of a name; raises as `KeySource.public_key`."""
    from nix2oci.trust.key_source import KeySource  # only who verifies needs it

    return KeySource(name, context.environment()).public_key()


def attach_to(made: Published, wanted: ToAttach, order: Order) -> Attachments:
    """What is attached to what was built; a layout has it from now on."""
    file = order.target
    from nix2oci.cli.steps.provenance import provenance  # few attach anything
    from nix2oci.oci.layout.writer import writing
    from nix2oci.publish.attachments import attachments_of, documents_about, subjects_of

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
    if wanted.kinds:
        step(f"attached: {', '.join(wanted.kinds)}")
    if wanted.key:
        number = text.count(len(attachments.subjects), "manifest")
        step(f"signed {number} with key {wanted.key.hint}")

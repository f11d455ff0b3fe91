"""The provenance that an image is rebuilt by: of a file, or what is attached to the image."""

from __future__ import annotations

from nix2oci.cli.steps.list_attached import attached_or_none
from nix2oci.cli.steps.registry import open_layout_anywhere
from nix2oci.cli.steps.signing_key import public_key
from nix2oci.compare.attached import Attached, images_of, subjects_of_image
from nix2oci.compare.verified import kind_of
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.errors import LayoutError, OutputError
from nix2oci.host.regular_files import read_file
from nix2oci.oci.spec import canonical_json
from nix2oci.trust.provenance_claims import Claims, read_claims
from nix2oci.trust.statement import Statement

_MOST_BYTES = 64 << 20


def claims_of(path: str) -> Claims:
    """What a provenance in a file says; `ConfigError`, `OutputError`."""
    try:
        return read_claims(read_file(path, _MOST_BYTES), path)
    except OSError as err:
        raise OutputError(f"cannot read {path}: {err.strerror}") from err


def attached_claims(
    image: str, key: str | None, registry: RegistryOptions, output: OutputOptions
) -> Claims | None:
    """What the first provenance says that is attached to an image; None where there is none.

    With a key only one counts that is signed by it. What it says of the image need not be so: the
    rebuild tells. Raises `ConfigError` for one that cannot be read, and what reading raises.
    """
    by = public_key(key) if key is not None else None
    layout, tag = open_layout_anywhere(image, registry, output)
    listed = [
        each for one in images_of(layout, tag) for each in subjects_of_image(layout, tag, one)
    ]
    subjects = tuple({each.digest: each for each in listed}.values())
    for each in attached_or_none(layout, subjects, output) or ():
        if kind_of(each) == "provenance" and (
            by is None or (each.bundle and each.bundle.is_by(by))
        ):
            statement = _statement(each)
            if statement and each.subject.hex in statement.subjects:
                return read_claims(canonical_json(statement.predicate), f"of {image}")
    return None


def _statement(each: Attached) -> Statement | None:
    try:
        return each.bundle.statement if each.bundle else Statement.read(each.data or b"")
    except LayoutError:
        return None

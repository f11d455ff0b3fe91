"""What a provenance says of an image: how it can be made again, and what decided its bytes.

The document is anybody's: it is read strictly, and nothing in it is believed but by comparing.
docs/provenance.md has its form.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct, field

from nix2oci.errors import ConfigError

BUILD_TYPE = "urn:nix2oci:provenance:v1"
"""What docs/provenance.md defines."""
PREDICATE = "https://slsa.dev/provenance/v1"

Words = Mapping[str, object]


class NamedInstallable(Struct, frozen=True, rename="camel"):
    """One that was named where the image was built."""

    flake: str = ""
    locked: str = ""
    """The reference that means just those files; `""` where only one machine has them."""
    attribute: str = ""
    outputs: tuple[str, ...] = ()
    store_path: str = ""

    def text(self, flake: str = "") -> str:
        """As a command takes it, of another `flake` if that is given; `""` where none is known."""
        ref, outputs = flake or self.locked, f"^{','.join(self.outputs)}" if self.outputs else ""
        if self.store_path:
            return self.store_path + outputs
        return f"{ref}#{self.attribute}{outputs}" if ref else ""


class External(Struct, frozen=True, rename="camel"):
    """`externalParameters`."""

    installables: tuple[NamedInstallable, ...] = ()
    platforms: tuple[str, ...] = ()
    impure: bool = False
    overrides: tuple[str, ...] = ()
    configuration: Words = field(default_factory=dict)
    configuration_file: str = ""
    flags: Mapping[str, str | bool | tuple[str, ...]] = field(default_factory=dict)


class Internal(Struct, frozen=True, rename="camel"):
    """`internalParameters`."""

    nix2oci: str = ""
    compressor: str = ""
    layer_form: str = ""
    launchers: Mapping[str, str] = field(default_factory=dict)


class Resource(Struct, frozen=True):
    """A source, a derivation or a store path."""

    name: str = ""
    uri: str = ""
    digest: Mapping[str, str] = field(default_factory=dict)
    annotations: Words = field(default_factory=dict)


class _Definition(Struct, frozen=True, rename="camel"):
    build_type: str
    external_parameters: External
    internal_parameters: Internal = field(default_factory=Internal)
    resolved_dependencies: tuple[Resource, ...] = ()


class _Details(Struct, frozen=True):
    byproducts: tuple[Resource, ...] = ()


class _Predicate(Struct, frozen=True, rename="camel"):
    build_definition: _Definition
    run_details: _Details = field(default_factory=_Details)


class _Statement(Struct, frozen=True, rename="camel"):
    predicate_type: str
    predicate: _Predicate


class _Head(Struct, frozen=True, rename="camel"):
    predicate_type: str | None = None


class Claims(Struct, frozen=True):
    """A provenance."""

    external: External
    internal: Internal
    sources: tuple[Resource, ...] = ()
    store_paths: tuple[Resource, ...] = ()

    def source(self, name: str) -> Resource:
        """A source by its name, such as `flake: nixpkgs`; an empty one if there is none."""
        return next((each for each in self.sources if each.name == name), Resource())

    def nar_hash(self, path: str) -> str:
        """What Nix recorded of a store path, in hex; `""` where that is not said."""
        found = (each for each in self.store_paths if each.uri == f"nix:{path}")
        return next((each.digest.get("narSha256", "") for each in found), "")


def read_claims(data: bytes, where: str) -> Claims:
    """A predicate, or an in-toto statement with one; `ConfigError` for anything else."""
    try:
        if msgspec.json.decode(data, type=_Head).predicate_type is None:
            predicate = msgspec.json.decode(data, type=_Predicate)
        else:
            predicate = msgspec.json.decode(data, type=_Statement).predicate
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise ConfigError(f"cannot read provenance {where}: {err}") from err
    definition = predicate.build_definition
    if definition.build_type != BUILD_TYPE:
        raise ConfigError(
            f"cannot rebuild by provenance {where}: it is of another kind, "
            f"'{definition.build_type[:100]}'",
            hint="nix2oci build --provenance FILE writes one; docs/provenance.md has its form",
        )
    return Claims(
        definition.external_parameters,
        definition.internal_parameters,
        definition.resolved_dependencies,
        predicate.run_details.byproducts,
    )

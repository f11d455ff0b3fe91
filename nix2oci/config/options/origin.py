"""Where store paths come from, and who vouches for them: `--from`, `--closure`, signatures."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from nix2oci.config.options.group import Group, repeated, switch, value
from nix2oci.errors import ConfigError


class OriginOptions(Struct, frozen=True):
    """The store that has what would be built."""

    url: str | None = None
    check_signatures: bool = True
    require_signatures: bool = False
    keys: tuple[str, ...] = ()
    """That are trusted to sign store paths, besides those that Nix's settings have."""

    @classmethod
    def of(
        cls,
        *,
        from_: str | None,
        no_check_sigs: bool,
        require_sigs: bool,
        trusted_public_keys: tuple[str, ...],
    ) -> OriginOptions:
        """From what the flags were given; raises `ConfigError` for what does not go together."""
        if no_check_sigs and not from_:
            raise ConfigError("cannot use --no-check-sigs without --from")
        if no_check_sigs and require_sigs:
            raise ConfigError("cannot use --no-check-sigs with --require-sigs")
        if trusted_public_keys and not from_:
            raise ConfigError("cannot use --trusted-public-keys without --from")
        return cls(from_ or None, not no_check_sigs, require_sigs, trusted_public_keys)

    @property
    def settings(self) -> tuple[str, ...]:
        """The keys as an argument of Nix."""
        return ("--option", "extra-trusted-public-keys", " ".join(self.keys)) if self.keys else ()


NO_ORIGIN = OriginOptions()
"""Everything is built here."""

ORIGIN = Group(
    "origin",
    OriginOptions.of,
    (
        value(
            "--from",
            "URL",
            "Build nothing: take the store paths from this store; a binary cache needs no Nix.",
            "from_",
        ),
        repeated(
            "--trusted-public-keys",
            "KEYS",
            "With --from: trust what these keys signed, too, each NAME:BASE64.",
        ),
        switch("--no-check-sigs", "With --from: take store paths that are not signed."),
        switch("--require-sigs", "Take no store path that is neither signed nor built here."),
    ),
    "Nix",
)


class GivenOptions(Struct, frozen=True):
    """Files that say what Nix would have been asked."""

    closure: str | None = None
    package: str | None = None

    @classmethod
    def of(cls, *, closure: str | None, package: str | None) -> GivenOptions:
        """From what the flags were given; raises `ConfigError` for what does not go together."""
        if package and not closure:
            raise ConfigError("cannot use --package without --closure")
        return cls(closure or None, package or None)

    def check_alone(self, others: Mapping[str, object]) -> None:
        """Raise `ConfigError` for what a closure that is given does not go together with."""
        for what, is_there in others.items() if self.closure else ():
            if is_there:
                raise ConfigError(
                    f"cannot use --closure with {what}: its file is about one image for one machine"
                )


NOTHING_GIVEN = GivenOptions()

GIVEN = Group(
    "given",
    GivenOptions.of,
    (
        value(
            "--closure",
            "FILE",
            "Start no Nix: INSTALLABLE is a store path, and this file says what it refers to.",
        ),
        value("--package", "FILE", "With --closure: what evaluation knows of them."),
    ),
    "Nix",
)

GIVEN_TO_PLAN = Group(
    "given",
    GivenOptions.of,
    (
        value(
            "--closure",
            "FILE",
            "Start no Nix: plan what this file says of INSTALLABLE, a store path, or of all that "
            "is in it; no store is needed.",
        ),
        GIVEN.flags[1],
    ),
    "Nix",
)

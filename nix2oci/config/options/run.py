"""All that `build` is told: how images are made, where they go, and which there are."""

from __future__ import annotations

from msgspec import Struct

from nix2oci.config.options.cache import CacheOptions
from nix2oci.config.options.files import FileOptions
from nix2oci.config.options.group import Group, repeated, switch
from nix2oci.config.options.load import LoadOptions
from nix2oci.config.options.origin import (
    NO_ORIGIN,
    NOTHING_GIVEN,
    GivenOptions,
    OriginOptions,
)
from nix2oci.config.options.plan import PlanOptions
from nix2oci.config.options.platforms import PlatformOptions
from nix2oci.config.options.push import PushOptions
from nix2oci.config.options.trust import TrustOptions
from nix2oci.errors import ConfigError

NO_FILES = FileOptions(None, None, None, None)
NOT_LOADED = LoadOptions(None, None)
NOT_PUSHED = PushOptions((), (), no_reuse=False, trust_reuse="repository")
NO_CACHE = CacheOptions(None, no_cache=True)
NO_TRUST = TrustOptions(None, None)


class Run(Struct, frozen=True):
    """How images are made, and where they go."""

    options: PlanOptions
    push: PushOptions
    platforms: PlatformOptions
    cache: CacheOptions
    files: FileOptions = NO_FILES
    load: LoadOptions = NOT_LOADED
    origin: OriginOptions = NO_ORIGIN
    refresh_base: bool = False
    given: GivenOptions = NOTHING_GIVEN
    trust: TrustOptions = NO_TRUST

    def check_given(self, *, several: bool) -> None:
        """Raise `ConfigError` for what a closure that is given does not go together with."""
        if self.given.closure and self.origin.require_signatures:
            raise ConfigError("cannot use --closure with --require-sigs: no Nix is there to judge")
        self.given.check_alone(
            {
                "--platform": self.platforms.platform,
                "--file": self.options.nix.file,
                "several images": several,
            }
        )

    @property
    def keep_going(self) -> bool:
        """Whether images are made though another one failed, as Nix does with derivations."""
        return "--keep-going" in self.options.nix.passed_on


class Several(Struct, frozen=True):
    """Which images of a flake are meant, where it is not the one that is named by itself."""

    every: bool = False
    names: tuple[str, ...] = ()
    """Of those below `images`."""

    def __bool__(self) -> bool:
        return self.every or bool(self.names)

    def __str__(self) -> str:
        return "--all" if self.every else f"--image {self.names[0]}"


ALL = switch(
    "--all",
    "Every image that nix2oci.yaml has below `images`; without that, every package of the flake "
    "that has a program.",
    "every",
)

SEVERAL = Group(
    "several",
    lambda *, every, image: Several(every, image),
    (ALL, repeated("--image", "NAME", "This image of those below `images`.")),
    "Image",
)

REFRESH_BASE = Group(
    "refresh_base",
    lambda *, refresh_base: refresh_base,
    (
        switch(
            "--refresh-base", "Look up again which image the tag of `base` in nix2oci.yaml means."
        ),
    ),
    "Image",
)

"""Which platforms an image is for: `--platform`, or `--system` with several systems."""

from __future__ import annotations

from msgspec import Struct

from nix2oci.config.options.group import Group, value
from nix2oci.errors import ConfigError


class PlatformOptions(Struct, frozen=True):
    """The platforms that the user named, as one text."""

    platform: str | None

    def systems(self, system: str | None) -> tuple[str, ...]:
        """The systems to evaluate for, none for the one that Nix takes by itself.

        `system` is what Nix is given as `--system`; it counts here where it is a list. Raises
        `ConfigError`.
        """
        from nix2oci.oci.spec import Platform

        if self.platform is not None and system is not None:
            raise ConfigError("cannot use --platform and --system at once: both name the platform")
        if self.platform is not None:
            found = [Platform.parse(text).system for text in self.platform.split(",")]
        elif system is not None and "," in system:
            found = [text.strip() for text in system.split(",")]
            for one in found:
                Platform.of_system(one)
        else:
            return ()
        return tuple(dict.fromkeys(found))


PLATFORMS = Group(
    "platforms",
    PlatformOptions,
    (
        value(
            "--platform",
            "OS/ARCH,...",
            "Build for these platforms; several become one image index. [this machine's]",
        ),
    ),
    "Image",
)

ONE_PLATFORM = value("--platform", "OS/ARCH", "Of an image for several platforms. [this machine's]")
"""Which image of an index is read."""

"""The flags of the image: one for each key of nix2oci.yaml, or for its parts.

Here is what `--help` says of them, quick to load; `nix2oci.config.keys` reads what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

Given = str | bool | Sequence[str] | None
"""What a flag was given: once, several times, or not at all (None or an empty sequence)."""


class Flag(Struct, frozen=True):
    """What a flag takes, and what it is for."""

    metavar: str
    """Empty for a switch, which has no value, and `--no-NAME` beside it."""
    help: str
    repeated: bool = False


def _many(metavar: str, text: str) -> Flag:
    return Flag(metavar, text, repeated=True)


FLAGS: Mapping[str, Flag] = {
    "name": Flag("NAME", "Name of the image, without a tag."),
    "tag": _many(
        "[NAME:]TAG", "Tag of the image, or its name and tag; again for each further tag."
    ),
    "base": Flag("IMAGE", "Image to put this one on: a layout, an archive, or in a registry."),
    "entrypoint": _many(
        "PROGRAM",
        "Program to start: a name in bin/ or an absolute path, none for an image of data; "
        "again for each fixed argument.",
    ),
    "cmd": _many("ARGUMENT", "Argument that `docker run IMAGE ...` may replace."),
    "env": _many("NAME=VALUE", "Environment variable."),
    "env-file": Flag("FILE", "File of the flake with environment variables, NAME=VALUE a line."),
    "user": Flag("USER[:GROUP]", "User that runs the program, by name or number."),
    "arbitrary-uid": Flag(
        "", "Let any user id of group 0 write where the user may, as OpenShift starts images."
    ),
    "workdir": Flag("PATH", "Directory that the program starts in."),
    "ports": _many("PORT[/PROTOCOL]", "Port that the program listens on."),
    "volumes": _many("PATH", "Directory to declare as a volume."),
    "labels": _many("NAME=VALUE", "Label in the image configuration."),
    "annotations": _many("NAME=VALUE", "Annotation of the manifest."),
    "stop-signal": Flag("SIGNAL", "Signal that asks the program to end."),
    "healthcheck": _many(
        "PROGRAM",
        "Program that says whether the container works, none for no check; "
        "again for each argument.",
    ),
    "contents": _many("INSTALLABLE", "Installable to put into the image as well."),
    "users": _many("NAME:UID[:GID[:HOME[:SHELL]]]", "User to add to /etc/passwd."),
    "groups": _many("NAME:GID[:MEMBER,...]", "Group to add to /etc/group."),
    "files": _many("PATH=SOURCE", "File or directory of the flake, or installable, at this path."),
    "view": _many("[no-]SWITCH", "Part of the root file system to switch on or off."),
    "shell": Flag(
        "auto|evident|keep|forbid|drop", "What is done about wrappers and the shell that they need."
    ),
    "slim": Flag(
        "1|2|RULE,...", "What nobody reads is left out of the image: documents, headers and so on."
    ),
    "nix-db": Flag("", "Put a Nix database in, by which Nix knows the image's store paths."),
    "sbom-in-image": Flag("", "Put a list of the store paths in, as an SBOM for scanners."),
    "debug": Flag(
        "", "Make the debug twin, NAME:TAG-debug, as well: the same layers and one more, of tools."
    ),
    "debug-tools": Flag(
        "INSTALLABLE",
        "What the debug twin has in /busybox, instead of the busybox of the flake's nixpkgs.",
    ),
    "max-layers": Flag("NUMBER", "Most layers to make, 1 to 127."),
    "popularity": Flag(
        "FILE", "Plan layers by what other images share, as this popularity index has counted it."
    ),
    "stable": _many("NAME", "A package that rarely changes."),
    "volatile": _many(
        "NAME", "A package that changes as often as the app: it goes into the app's layer."
    ),
    "plan-from": Flag(
        "IMAGE|FILE",
        "Keep the layers of an earlier image, or of what --json printed about one, where they fit.",
    ),
    "compression": Flag(
        "gzip|zstd|zstd:chunked|auto|none",
        "How layers are stored; auto is zstd:chunked for those that are expected to change.",
    ),
    "chunking": Flag(
        "fine|small",
        "How zstd:chunked layers are compressed: fine, quickly; small, to a smaller image.",
    ),
    "created": Flag("TIME", "Time of the image: RFC 3339, seconds since 1970, now."),
}
"""Every flag, without the `--`, in the order of `--help`."""

SHORT: Mapping[str, Sequence[str]] = {"tag": ("-t",)}
"""Other spellings."""

OF_LAYERS = frozenset(
    {"max-layers", "popularity", "stable", "volatile", "plan-from", "compression", "chunking"}
)
"""Those that `--help` shows below *Layers*, the others being below *Image*."""

FIRST_OF_BUILD = (
    *("output", "tag", "push", "load", "platform"),
    *("base", "contents", "entrypoint", "env", "user"),
)
"""What people need first of all flags of `build`, by click's names for them."""

FIRST_OF_PLAN = (
    *("html", "closure", "max_layers", "stable", "volatile"),
    *("popularity", "plan_from", "base", "contents", "as_json"),
)
"""The same of `plan`."""

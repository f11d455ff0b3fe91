"""The keys of nix2oci.yaml, each of which is the flag `--KEY` as well, or has flags for its parts.

A flag's strings become the value that the file would have for the key, so that one reader
serves both and only the place that an error names is different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from nix2oci.config import values
from nix2oci.config.layer_keys import PARTS, layers
from nix2oci.config.reading import (
    Location,
    each_once,
    known,
    nearest,
    number_of,
    one_of,
    plain,
    switch,
    texts,
)
from nix2oci.oci.layer.blob import Compression
from nix2oci.plan.rootfs import ViewSwitches
from nix2oci.plan.shell import Mode

Document = Mapping[str, object]
"""Keys of nix2oci.yaml and what stands under them."""

_SWITCHES = tuple(f.name for f in fields(ViewSwitches))


@dataclass(frozen=True, slots=True)
class Key:
    """A key of nix2oci.yaml, or a part of one, which is the flag `--KEY` too."""

    read: Callable[[object, Location], object]
    metavar: str
    help: str
    from_flag: Callable[[Any, Location], object] = lambda given, _: given
    repeated: bool = False
    """Whether the flag may be given several times: `from_flag` then takes a list of strings."""
    switch: bool = False
    """Whether the flag has no value, and `--no-KEY` beside it: `from_flag` then takes a bool."""


def _pairs_from_flag(given: Sequence[str], location: Location) -> Document:
    found: dict[str, object] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise location.expected("NAME=VALUE", item)
        if not name:
            raise location.wrong("the name before '=' is empty")
        if name in found:
            raise location.wrong(f"'{plain(name)}' is there twice")
        found[name] = value
    return found


def _view_from_flag(given: Sequence[str], location: Location) -> Document:
    """`sh` switches on, `no-zoneinfo` off."""
    found: dict[str, object] = {}
    for item in given:
        name = item.removeprefix("no-")
        if name not in _SWITCHES:
            raise location.wrong(f"unknown switch '{plain(name)}'", nearest(name, _SWITCHES))
        if name in found:
            raise location.wrong(f"'{name}' is there twice")
        found[name] = name == item
    return found


def tag_from_flag(given: str, location: Location) -> Document:
    """`TAG` or `NAME:TAG`: a tag has no colon and no slash, so the last colon tells."""
    name, colon, tag = given.rpartition(":")
    values.image_tag(tag, location)
    if not colon:
        return {"tag": tag}
    return {"name": values.image_name(name, location), "tag": tag}


def _number_from_flag(given: str, _: Location) -> object:
    number = number_of(given)
    return given if number is None else number


def _user_from_flag(given: str, location: Location) -> Document:
    """The order of passwd(5), without the fields that are always the same."""
    parts = given.split(":")
    if not 2 <= len(parts) <= 5:
        raise location.expected("NAME:UID[:GID[:HOME[:SHELL]]]", given)
    fields_ = zip(("name", "uid", "gid", "home", "shell"), parts, strict=False)
    return {key: _id_or_text(key, part) for key, part in fields_ if part or key in ("name", "uid")}


def _group_from_flag(given: str, location: Location) -> Document:
    """As in group(5), without the password."""
    parts = given.split(":")
    if not 2 <= len(parts) <= 3:
        raise location.expected("NAME:GID[:MEMBER,...]", given)
    members = [member for member in "".join(parts[2:]).split(",") if member]
    return {"name": parts[0], "gid": _id_or_text("gid", parts[1]), "members": members}


def _id_or_text(key: str, part: str) -> object:
    number = number_of(part) if key in ("uid", "gid") else None
    return part if number is None else number


def _each(read: Callable[[str, Location], object]) -> Callable[[Sequence[str], Location], object]:
    return lambda given, location: [read(item, location) for item in given]


def _one_or_list(given: Sequence[str], _: Location) -> object:
    return given[0] if len(given) == 1 else list(given)


def _list(given: Sequence[str], _: Location) -> object:
    return list(given)


def _once(read: Callable[[object, Location], str]) -> Callable[[object, Location], object]:
    return lambda value, location: each_once(value, location, read)


def _view(value: object, location: Location) -> ViewSwitches:
    found = known(value, location, _SWITCHES)
    return ViewSwitches(**{name: switch(on, location.at(name)) for name, on in found.items()})


def _compression(value: object, location: Location) -> Compression:
    return Compression(one_of(tuple(Compression))(value, location))


def _shell(value: object, location: Location) -> Mode:
    return Mode(one_of(tuple(Mode))(value, location))


def _many(
    read: Callable[[object, Location], object],
    metavar: str,
    help_text: str,
    from_flag: Callable[[Sequence[str], Location], object] = _list,
) -> Key:
    return Key(read, metavar, help_text, from_flag, repeated=True)


KEYS: Mapping[str, Key] = {
    "name": Key(values.image_name, "NAME", "Name of the image, without a tag."),
    "tag": Key(
        values.image_tag, "[NAME:]TAG", "Tag of the image, or its name and tag.", tag_from_flag
    ),
    "base": Key(
        values.base, "IMAGE", "Image to put this one on: a layout, an archive, or in a registry."
    ),
    "entrypoint": _many(
        values.entrypoint,
        "PROGRAM",
        "Program to start: a name in bin/ or an absolute path; again for each fixed argument.",
        _one_or_list,
    ),
    "cmd": _many(texts, "ARGUMENT", "Argument that `docker run IMAGE ...` may replace."),
    "env": _many(values.environment, "NAME=VALUE", "Environment variable.", _pairs_from_flag),
    "user": Key(values.user, "USER[:GROUP]", "User that runs the program, by name or number."),
    "workdir": Key(values.path, "PATH", "Directory that the program starts in."),
    "ports": _many(_once(values.port), "PORT[/PROTOCOL]", "Port that the program listens on."),
    "volumes": _many(_once(values.volume), "PATH", "Directory to declare as a volume."),
    "labels": _many(
        values.image_labels, "NAME=VALUE", "Label in the image configuration.", _pairs_from_flag
    ),
    "annotations": _many(
        values.image_annotations, "NAME=VALUE", "Annotation of the manifest.", _pairs_from_flag
    ),
    "stop-signal": Key(values.stop_signal, "SIGNAL", "Signal that asks the program to end."),
    "contents": _many(
        _once(values.installable), "INSTALLABLE", "Installable to put into the image as well."
    ),
    "users": _many(
        values.users,
        "NAME:UID[:GID[:HOME[:SHELL]]]",
        "User to add to /etc/passwd.",
        _each(_user_from_flag),
    ),
    "groups": _many(
        values.groups,
        "NAME:GID[:MEMBER,...]",
        "Group to add to /etc/group.",
        _each(_group_from_flag),
    ),
    "view": _many(
        _view, "[no-]SWITCH", "Part of the root file system to switch on or off.", _view_from_flag
    ),
    "shell": Key(
        _shell,
        "auto|keep|forbid|drop",
        "What is done about wrappers and the shell that they need.",
    ),
    "debug": Key(
        switch,
        "",
        "Make the debug twin, NAME:TAG-debug, as well: the same layers and one more, of tools.",
        switch=True,
    ),
    "debug-tools": Key(
        values.installable,
        "INSTALLABLE",
        "What the debug twin has in /busybox, instead of the busybox of the flake's nixpkgs.",
    ),
    "max-layers": Key(
        values.max_layers, "NUMBER", "Most layers to make, 1 to 127.", _number_from_flag
    ),
    "layers": Key(layers, "", "What is known of store paths that their closure does not show."),
    "compression": Key(_compression, "gzip|zstd|none", "How layers are stored."),
    "created": Key(values.created, "TIME", "Time of the image: RFC 3339, seconds since 1970, now."),
}

LAYERS: Mapping[str, Key] = {
    "popularity": Key(
        PARTS["popularity"],
        "FILE",
        "Plan layers by what other images share, as this popularity index has counted it.",
    ),
    "stable": _many(PARTS["stable"], "NAME", "A package that rarely changes."),
    "volatile": _many(
        PARTS["volatile"],
        "NAME",
        "A package that changes as often as the app: it goes into the app's layer.",
    ),
    "plan-from": Key(
        PARTS["plan-from"],
        "IMAGE|FILE",
        "Keep the layers of an earlier image, or of what --json printed about one, where they fit.",
    ),
}
"""The keys below `layers`: each is the flag of its own name."""

FLAGS: Mapping[str, Key] = {
    flag: key
    for name, whole in KEYS.items()
    for flag, key in (LAYERS if name == "layers" else {name: whole}).items()
}
"""Every flag, without the `--`."""

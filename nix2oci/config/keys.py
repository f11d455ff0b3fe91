"""The keys of nix2oci.yaml, each of which is the flag `--KEY` as well, or has flags for its parts.

A flag's strings become the value that the file would have for the key, so that one reader
serves both and only the place that an error names is different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct

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
)
from nix2oci.plan.shell_mode import Mode
from nix2oci.plan.view_switches import ViewSwitches

Document = Mapping[str, object]
"""Keys of nix2oci.yaml and what stands under them."""

_SWITCHES = ViewSwitches.__struct_fields__


class Key(Struct, frozen=True):
    """A key of nix2oci.yaml, or a part of one, which is the flag `--KEY` too."""

    read: Callable[[object, Location], object]
    from_flag: Callable[[Any, Location], object] = lambda given, _: given
    """Takes a string, of a flag that is repeated several, of a switch whether it is on."""


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


def tags_from_flag(given: Sequence[str], location: Location) -> Document:
    """`TAG` or `NAME:TAG`: a tag has no colon and no slash, so the last colon tells.

    An image has one name: all that give one give the same.
    """
    parts = [item.rpartition(":") for item in given]
    values.image_tags([tag for _, _, tag in parts], location)
    names = {values.image_name(name, location) for name, colon, _ in parts if colon}
    if len(names) > 1:
        raise location.wrong(
            f"the image has one name, and not {' and '.join(sorted(map(plain, names)))}",
            "push it under several names: --push NAME:TAG, as often as there are names",
        )
    tags = {"tag": [tag for _, _, tag in parts]}
    return {"name": names.pop(), **tags} if names else tags


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


def _shell(value: object, location: Location) -> Mode:
    return Mode(one_of(tuple(Mode))(value, location))


def _slim(value: object, location: Location) -> object:
    from nix2oci.config.slim_values import slim  # noqa: PLC0415  # few images are slim

    return slim(value, location)


def _slim_from_flag(given: str, location: Location) -> object:
    from nix2oci.config.slim_values import slim_from_flag  # noqa: PLC0415  # few images are slim

    return slim_from_flag(given, location)


def _files(value: object, location: Location) -> object:
    from nix2oci.config.wanted_files import wanted_files  # noqa: PLC0415  # few images have any

    return wanted_files(value, location)


def _files_from_flag(given: Sequence[str], location: Location) -> Document:
    from nix2oci.config.wanted_files import files_from_flag  # noqa: PLC0415  # few images have any

    return files_from_flag(given, location)


def _env_file(value: object, location: Location) -> object:
    from nix2oci.config.env_file import env_file  # noqa: PLC0415  # few images have one

    return env_file(value, location)


def _healthcheck(value: object, location: Location) -> object:
    from nix2oci.config.wanted_healthcheck import healthcheck  # noqa: PLC0415  # few have one

    return healthcheck(value, location)


def _healthcheck_from_flag(given: Sequence[str], _: Location) -> object:
    from nix2oci.config.wanted_healthcheck import healthcheck_from_flag  # noqa: PLC0415  # few do

    return healthcheck_from_flag(given)


def _trust(value: object, location: Location) -> object:
    from nix2oci.config.what_to_attach import trust  # noqa: PLC0415  # few images have it

    return trust(value, location)


KEYS: Mapping[str, Key] = {
    "name": Key(values.image_name),
    "tag": Key(values.image_tags, tags_from_flag),
    "base": Key(values.base),
    "entrypoint": Key(values.entrypoint, _one_or_list),
    "cmd": Key(values.arguments, _list),
    "env": Key(values.environment, _pairs_from_flag),
    "env-file": Key(_env_file),
    "user": Key(values.user),
    "arbitrary-uid": Key(switch),
    "workdir": Key(values.path),
    "ports": Key(_once(values.port), _list),
    "volumes": Key(_once(values.volume), _list),
    "labels": Key(values.image_labels, _pairs_from_flag),
    "annotations": Key(values.image_annotations, _pairs_from_flag),
    "stop-signal": Key(values.stop_signal),
    "healthcheck": Key(_healthcheck, _healthcheck_from_flag),
    "contents": Key(_once(values.installable), _list),
    "users": Key(values.users, _each(_user_from_flag)),
    "groups": Key(values.groups, _each(_group_from_flag)),
    "files": Key(_files, _files_from_flag),
    "view": Key(_view, _view_from_flag),
    "shell": Key(_shell),
    "slim": Key(_slim, _slim_from_flag),
    "nix-db": Key(switch),
    "sbom-in-image": Key(switch),
    "debug": Key(switch),
    "debug-tools": Key(values.installable),
    "max-layers": Key(values.max_layers, _number_from_flag),
    "layers": Key(layers),
    "compression": Key(one_of(get_args(values.CompressionMode))),
    "chunking": Key(one_of(get_args(values.ChunkingMode))),
    "created": Key(values.created),
    "trust": Key(_trust),
}

_FILES = "files, directories and links with an owner and a mode are named in 'files'"
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("openshift", "anyuid", "anyuser", "randomuid"), "it is 'arbitrary-uid: true'"),
    **dict.fromkeys(("file", "extrafiles", "copy", "add", "links", "symlinks"), _FILES),
    "installable": "an image below `images` has one; else it is named where the image is built",
    **dict.fromkeys(("directories", "directory", "dirs", "mkdir"), _FILES),
}
"""What to do instead of keys that other tools have."""

LAYERS: Mapping[str, Key] = {
    "popularity": Key(PARTS["popularity"]),
    "stable": Key(PARTS["stable"], _list),
    "volatile": Key(PARTS["volatile"], _list),
    "plan-from": Key(PARTS["plan-from"]),
}
"""The keys below `layers`: each is the flag of its own name."""

NO_FLAG = frozenset({"trust"})
"""Keys that are not about the image's bytes: flags for them are `config/options/trust.py`."""

BY_FLAG: Mapping[str, Key] = {
    flag: key
    for name, whole in KEYS.items()
    if name not in NO_FLAG
    for flag, key in (LAYERS if name == "layers" else {name: whole}).items()
}
"""The key of every flag, in the order of `nix2oci.config.flags`, which has what `--help` says."""

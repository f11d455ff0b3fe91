"""`files` of nix2oci.yaml: files, directories and links of the image, as they are written there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from nix2oci.config.reading import Location, filled, known, mapping, show, switch, text
from nix2oci.config.values import account_id, path
from nix2oci.model.closure import STORE_DIR

Kind = Literal["directory", "text", "source", "link", "absent"]
_KINDS: tuple[Kind, ...] = ("directory", "text", "source", "link", "absent")
_MODE = "[0-7]{3,4}"
_OWNER = r"([^:\s]+)(?::([^:\s]+))?"


class WantedFile(Struct, frozen=True):
    """One entry of `files`."""

    path: str
    """Absolute, in its shortest form."""
    kind: Kind
    value: str
    """The text, the source or the target of the link; empty for the others."""
    where: str
    """Where it is written, as errors begin."""
    below: str = ""
    """Which path of an installable it is; empty for all of it."""
    copy: bool = False
    """Whether what an installable has is copied, not linked."""
    owner: str = ""
    """`OWNER[:GROUP]`, names or numbers; empty for root's."""
    mode: int | None = None

    @property
    def installable(self) -> str:
        """The installable that the source is, `""` where it is none."""
        return self.value if self.kind == "source" and is_installable(self.value) else ""

    def __eq__(self, other: object) -> bool:
        """Where it is written does not count."""
        return isinstance(other, WantedFile) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (
            *(self.path, self.kind, self.value, self.below, self.copy),
            *(self.owner, self.mode),
        )


class Located(str):
    """A source that is an absolute path of this machine, which may be in the store, too."""

    __slots__ = ()


def is_installable(source: str) -> bool:
    """Whether a source is one, and no path: it has a `#`, or is in the store."""
    if isinstance(source, Located):
        return False
    return "#" in source or source.startswith(f"{STORE_DIR}/")


def wanted_files(value: object, location: Location) -> tuple[WantedFile, ...]:
    """The entries of `files`, in their order. A path is there once: YAML sees to that."""
    return tuple(
        _entry(path(str(name), location.at(name).numbered()), item, location.at(name).numbered())
        for name, item in mapping(value, location.numbered()).items()
    )


def _entry(name: str, value: object, location: Location) -> WantedFile:
    allowed = (*_KINDS, "path", "copy", "owner", "mode")
    found = known(value, location, allowed)
    kinds = [kind for kind in _KINDS if kind in found]
    if len(kinds) != 1:
        said = " and ".join(f"'{kind}'" for kind in kinds) if kinds else "none of them"
        raise location.wrong(
            f"expected one of directory, text, source, link and absent, got {said}"
        )
    (kind,) = kinds
    content = _VALUES[kind](found[kind], location.at(kind).numbered())
    _check_fits(name, kind, found, location)
    wanted = WantedFile(
        *(name, kind, content, location.text),
        _below(found["path"], location.at("path").numbered()) if "path" in found else "",
        switch(found.get("copy", False), location.at("copy").numbered()),
        _owner(found["owner"], location.at("owner").numbered()) if "owner" in found else "",
        _mode(found["mode"], location.at("mode").numbered()) if "mode" in found else None,
    )
    _check_source(wanted, found, location)
    return wanted


def _check_fits(name: str, kind: Kind, found: Mapping[str, object], location: Location) -> None:
    if name == "/" and kind != "source":
        raise location.wrong("the root of the image can only be a source: a directory of files")
    extra = {"link": ("owner", "mode"), "absent": ("owner", "mode")}.get(kind, ())
    of_source = () if kind == "source" else ("path", "copy")
    for key in (*extra, *of_source):
        if key in found:
            raise location.wrong(f"'{key}' has no meaning beside '{kind}'")


def _check_source(wanted: WantedFile, found: Mapping[str, object], location: Location) -> None:
    if wanted.kind != "source":
        return
    if not wanted.installable:
        for key in ("path", "copy"):
            if key in found:
                cause = f"'{key}' is for a source that is an installable, such as nixpkgs#hello"
                raise location.wrong(cause)
    elif not wanted.copy and (wanted.owner or wanted.mode is not None):
        raise location.wrong(
            "what an installable has is linked, and its owner and mode are those of the store",
            "have it copied, with an owner and a mode of its own: copy: true",
        )


def _yes(value: object, location: Location) -> str:
    if value is not True:
        raise location.expected("true", value)
    return ""


def _source(value: object, location: Location) -> str:
    found = filled(value, location)
    if found.startswith("-") or not found.isprintable():
        raise location.expected("a path such as ./public, or an installable", found)
    return found


def _link(value: object, location: Location) -> str:
    found = filled(value, location)
    if not found.isprintable():
        raise location.expected("a path of the image", found)
    return found


_VALUES = {"directory": _yes, "text": text, "source": _source, "link": _link, "absent": _yes}


def _below(value: object, location: Location) -> str:
    found = filled(value, location)
    parts = found.split("/")
    if not found.isprintable() or {"", ".", ".."} & set(parts):
        raise location.expected("a path within the installable, such as share/tool", found)
    return found


def _owner(value: object, location: Location) -> str:
    found = text(value, location)
    parts = re.fullmatch(_OWNER, found)
    if not parts:
        raise location.expected("an owner such as shop, 1000 or 0:2000", found)
    for part in filter(None, parts.groups()):
        if part.isdigit():
            account_id(int(part[:11]), location, part)
    return found


def _mode(value: object, location: Location) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        digits = str(value)
        fits = re.fullmatch(_MODE, digits)
        raise location.wrong(
            f"a mode is text, and YAML reads {show(value)} as a number",
            f'write it in quotes: mode: "{digits.zfill(4) if fits else "0644"}"',
        )
    if not isinstance(value, str) or not re.fullmatch(_MODE, value):
        raise location.expected('a mode in octal digits such as "0644"', value)
    return int(value, 8)


def files_from_flag(given: Sequence[str], location: Location) -> Mapping[str, object]:
    """`PATH=SOURCE`, several times."""
    found: dict[str, object] = {}
    for item in given:
        name, equals, source = item.partition("=")
        if not equals:
            raise location.expected("PATH=SOURCE", item)
        if name in found:
            raise location.at(name).wrong("it is there twice")
        found[name] = {"source": source}
    return found

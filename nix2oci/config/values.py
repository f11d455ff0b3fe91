"""What one value of nix2oci.yaml, or of a flag, may be.

Each reader takes a value as YAML gives it and the place that an error names, and returns what
the image configuration holds.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from nix2oci.config.reading import (
    Location,
    each_once,
    filled,
    items,
    known,
    mapping,
    number_of,
    plain,
    show,
    text,
    texts,
)
from nix2oci.errors import InvalidReferenceError
from nix2oci.model.accounts import NOLOGIN, Group, User
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import MAX_LAYERS

CompressionMode = Literal["gzip", "zstd", "zstd:chunked", "auto", "none"]
ChunkingMode = Literal["fine", "small"]

MAX_LABEL = 1 << 20
"""Bytes of a label, name and value: every engine reads the configuration as a whole."""

MAX_ID = 2**31 - 1
"""The largest uid and gid that engines start a process with: 32-bit systems have no more."""

_USER = r"([^:\s]+)(?::([^:\s]+))?"
_PORT = r"([1-9][0-9]{0,4})(?:/(tcp|udp|sctp))?"
_RFC3339 = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds())

# signal(7): the names that every architecture of Linux has.
_SIGNAL = (
    "SIG(?:HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|CHLD|CONT|STOP"
    "|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS"
    r"|RTMIN|RTMAX|RTM(?:IN\+|AX-)(?:[1-9]|[12][0-9]|30))"
)

# annotations.md, Pre-Defined Annotation Keys. `ref.name` is missing: it names an image within
# a layout, and is valid only there.
_PREDEFINED = (
    r"org\.opencontainers\.image\.(?:created|authors|url|documentation|source|version|revision"
    r"|vendor|licenses|title|description|base\.digest|base\.name)"
)
_RESERVED = "org.opencontainers."


def image_name(value: object, location: Location) -> str:
    """`repository` or `registry/repository` (distribution specification, Pulling manifests)."""
    found = filled(value, location)
    try:
        reference = Reference.parse(found)
    except InvalidReferenceError as err:
        raise location.expected("the name of an image, such as team/app", found, err.hint) from err
    if reference.tag or reference.digest:
        raise location.expected("a name without tag or digest", found, "give the tag with 'tag'")
    return found


def image_tag(value: object, location: Location) -> str:
    found = filled(value, location)
    try:
        reference = Reference.parse(f"name:{found}")
    except InvalidReferenceError as err:
        raise location.expected("a tag: up to 128 letters, digits, '_', '.', '-'", found) from err
    if reference.tag != found:
        raise location.expected("a tag: up to 128 letters, digits, '_', '.', '-'", found)
    return found


def image_tags(value: object, location: Location) -> tuple[str, ...]:
    """One tag, or a list of them, each once."""
    if isinstance(value, list | tuple):
        return each_once(value, location, image_tag)
    return (image_tag(value, location),)


def entrypoint(value: object, location: Location) -> tuple[str, ...]:
    """The program, and its first arguments when it is a list; the empty list leaves it to us."""
    if isinstance(value, str) and len(value.split()) > 1:
        raise location.expected("a program", value, "write a program with arguments as a list")
    found = arguments([value] if isinstance(value, str) else value, location)
    for program in found[:1]:
        if _has_braces(program):
            continue
        bare = "/" not in program and program.strip() == program
        if not program or not (bare or program.startswith("/")):
            hint = None if program else "an image of data that starts nothing has 'none'"
            what = "the name of a program in bin/, or an absolute path"
            raise location.expected(what, program, hint)
        if not bare:
            path(program, location)
    return found


def arguments(value: object, location: Location) -> tuple[str, ...]:
    """Texts, in which braces may name installables."""
    found = texts(value, location)
    for i, each in enumerate(found):
        _has_braces(each, location.at(i))
    return found


def _has_braces(found: str, location: Location | None = None) -> bool:
    """Whether braces of a value name installables; an error where they cannot."""
    if "{" not in found:
        return False
    from nix2oci.config.braces import check_braces, has_braces  # noqa: PLC0415  # start-up counts

    if location:
        check_braces(found, location)
    return has_braces(found)


def path(value: object, location: Location) -> str:
    """An absolute path in its shortest form, in printable characters."""
    found = text(value, location)
    normal = posixpath.normpath(found).replace("//", "/")
    if not found.startswith("/") or not found.isprintable():
        raise location.expected("an absolute path", found)
    if found != normal:
        raise location.expected("an absolute path in its shortest form", found, f"write '{normal}'")
    return found


def volume(value: object, location: Location) -> str:
    found = path(value, location)
    if found == "/":
        raise location.wrong("the root of the image cannot be a volume")
    return found


def port(value: object, location: Location) -> str:
    """`8080/tcp` of `8080`, `"8080"`, `8080/tcp` (config.md, ExposedPorts)."""
    found = re.fullmatch(_PORT, text(value, location))
    if not found or int(found[1]) > 65535:
        raise location.expected("a port from 1 to 65535, or PORT/tcp, PORT/udp, PORT/sctp", value)
    return f"{found[1]}/{found[2] or 'tcp'}"


def stop_signal(value: object, location: Location) -> str:
    """`SIGTERM`, `SIGRTMIN+3`, or a number (config.md, StopSignal); empty for none."""
    found = text(value, location)
    if not found or re.fullmatch(_SIGNAL, found) or 1 <= (number_of(found) or 0) <= 64:
        return found
    named = "SIG" + found.upper().removeprefix("SIG")
    hint = f"write '{named}'" if re.fullmatch(_SIGNAL, named) else None
    raise location.expected("a signal such as SIGTERM, SIGRTMIN+3 or 15", found, hint)


def environment(value: object, location: Location) -> Mapping[str, str]:
    """Variables by name. No message quotes a value: it may be a secret."""
    found = mapping(value, location)
    for name in found:
        if "=" in name:
            raise location.wrong(f"'{plain(name.partition('=')[0])}=' is no name: it holds a '='")
    variables = {str(name): text(item, location.at(name)) for name, item in found.items()}
    for name in found:
        _has_braces(variables[name], location.at(name))
    return variables


def image_labels(value: object, location: Location) -> Mapping[str, str]:
    given = mapping(value, location)
    found = {str(name): text(item, location.at(name)) for name, item in given.items()}
    for name, item in found.items():
        size = len(name.encode()) + len(item.encode())
        if size > MAX_LABEL:
            raise location.at(name).wrong(f"it takes {size} bytes, more than {MAX_LABEL}")
    return found


def image_annotations(value: object, location: Location) -> Mapping[str, str]:
    """Labels whose names keep out of what the image specification reserves (annotations.md)."""
    found = image_labels(value, location)
    for name in found:
        if name == _RESERVED + "image.ref.name":
            raise location.wrong(f"'{name}' is made from the tag", "give the tag with 'tag'")
        if name.startswith(_RESERVED) and not re.fullmatch(_PREDEFINED, name):
            raise location.wrong(
                f"'{plain(name)}' is not an annotation of the OCI image specification,"
                f" which reserves the names that start with '{_RESERVED}'",
                "begin the name with a domain of your own",
            )
    return found


def base(value: object, location: Location) -> str:
    found = filled(value, location)
    if found.startswith("-") or not found.isprintable():
        raise location.expected("an image such as ./base.oci:1.0", found)
    return found


def installable(value: object, location: Location) -> str:
    found = filled(value, location)
    if found.startswith("-") or not found.isprintable():
        raise location.expected("an installable such as .#app or nixpkgs#busybox", found)
    return found


def user(value: object, location: Location) -> str:
    """`USER` or `USER:GROUP`, each a name or a number; `Accounts.run_as` knows the names."""
    found = filled(value, location)
    parts = re.fullmatch(_USER, found)
    if not parts:
        raise location.expected("a user such as 1000, 1000:1000 or nobody", found)
    for part in filter(None, parts.groups()):
        if part[0] in "+-0123456789":
            account_id(number_of(part), location, part)
    return found


def users(value: object, location: Location) -> tuple[User, ...]:
    """Users by their fields; whether names and numbers are free is for `Accounts.of` to say."""
    return tuple(_user(item, location.at(i)) for i, item in enumerate(items(value, location)))


def groups(value: object, location: Location) -> tuple[Group, ...]:
    """Groups by their fields; whether members are users is for `Accounts.of` to say."""
    return tuple(_group(item, location.at(i)) for i, item in enumerate(items(value, location)))


def account_id(value: object, location: Location, written: object = None) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else -1
    if not 0 <= number <= MAX_ID:
        raise location.expected(f"a number from 0 to {MAX_ID}", written or value)
    return number


def _user(value: object, location: Location) -> User:
    found = known(value, location, ("name", "uid", "gid", "home", "shell"))
    uid = account_id(_required(found, "uid", location), location.at("uid"))
    return User(
        filled(_required(found, "name", location), location.at("name")),
        uid,
        account_id(found.get("gid", uid), location.at("gid")),
        path(found["home"], location.at("home")) if "home" in found else "",
        path(found.get("shell", NOLOGIN), location.at("shell")),
    )


def _group(value: object, location: Location) -> Group:
    found = known(value, location, ("name", "gid", "members"))
    return Group(
        filled(_required(found, "name", location), location.at("name")),
        account_id(_required(found, "gid", location), location.at("gid")),
        texts(found.get("members", ()), location.at("members")),
    )


def _required(found: Mapping[str, object], key: str, location: Location) -> object:
    if key not in found:
        raise location.wrong(f"'{key}' is missing")
    return found[key]


def max_layers(value: object, location: Location) -> int:
    """How many layers an image may have, view and all."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if number is None or number < 1:
        raise location.expected(f"a number of layers from 1 to {MAX_LAYERS}", value)
    if number > MAX_LAYERS:
        cause = f"{show(number)} layers are more than the {MAX_LAYERS} that engines can mount"
        raise location.wrong(cause)
    return number


def moment(seconds: int, location: Location) -> datetime:
    """Seconds since 1970, in UTC; an error past the year 9999, which RFC 3339 cannot write."""
    if not 0 <= seconds <= _LAST_SECOND:
        raise location.wrong(f"{show(seconds)} is not within the years 1970 to 9999")
    return _EPOCH + timedelta(seconds=seconds)


def created(value: object, location: Location) -> datetime | Literal["now"]:
    """A date and time as in RFC 3339, seconds since 1970, or `now`. Fractions are dropped."""
    if value == "now":
        return "now"
    seconds = number_of(value)
    if seconds is not None:
        return moment(seconds, location)
    try:
        if isinstance(value, str) and re.fullmatch(_RFC3339, value):
            found = datetime.fromisoformat(value.upper()).astimezone(UTC).replace(microsecond=0)
            return moment(int((found - _EPOCH).total_seconds()), location)
    except (ValueError, OverflowError):
        pass
    what = "a time such as 2024-05-06T07:08:09Z, seconds since 1970, or now"
    raise location.expected(what, value)

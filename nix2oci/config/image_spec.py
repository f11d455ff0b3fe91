"""nix2oci.yaml and flags -> ImageSpec.

A document is what YAML says, as mappings, lists, text, numbers and booleans; flags are turned
into a document too, so that both are read by the same readers. The hard part is YAML: it reads
`1.10`, `no`, `22:22` or `2024-01-01` as numbers, booleans and dates. Here only `true`, `false`,
`null` and plain whole numbers are more than text, so text arrives as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import yaml

from nix2oci.config import values
from nix2oci.config.keys import FLAGS, KEYS, LAYERS, Document
from nix2oci.config.layer_keys import Layers
from nix2oci.config.reading import Location, known, mapping, number_of, one_line, plain
from nix2oci.errors import ConfigError, OutputError
from nix2oci.model.accounts import Accounts, Group, User
from nix2oci.oci.layer.blob import Compression
from nix2oci.plan.rootfs import ViewSwitches
from nix2oci.plan.shell import Mode

FILE_NAME = "nix2oci.yaml"

Given = str | bool | Sequence[str] | None
"""What a flag was given: once, several times, or not at all (None or an empty sequence)."""

MAX_BYTES = 4 << 20
"""A configuration file past this is something else."""

OLDEST = datetime(1980, 1, 1, 0, 0, 1, tzinfo=UTC)
"""`created` where nothing says better: the first second that every archive format can hold."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What the user wants the image to be. The defaults are those of docs/configuration.md."""

    name: str | None = None
    """`repository` or `registry/repository`; None: the package's name."""
    tag: str | None = None
    """None: `latest`."""
    base: str | None = None
    """The image that this one stands on, in a form that `open_image` takes."""
    entrypoint: tuple[str, ...] = ()
    """A name in bin/ or an absolute path, then arguments; empty: the flake decides."""
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """`UID` or `UID:GID`, always numbers; None: the base image's, else 65532:65532."""
    working_dir: str | None = None
    """None: the base image's, else `/`."""
    ports: tuple[str, ...] = ()
    """`8080/tcp`: always with the protocol."""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    contents: tuple[str, ...] = ()
    """Installables beside the main one."""
    users: tuple[User, ...] = ()
    """Beside root, nobody and nonroot."""
    groups: tuple[Group, ...] = ()
    """Beside those that every image has."""
    view: ViewSwitches = field(default_factory=ViewSwitches)
    shell: Mode = Mode.AUTO
    debug: bool = False
    debug_tools: str | None = None
    """An installable; None: busybox of the nixpkgs that the flake uses."""
    max_layers: int = 64
    """1 to 127, all layers counted."""
    layers: Layers = field(default_factory=Layers)
    compression: Compression = Compression.GZIP
    created: datetime | Literal["now"] | None = None
    """None: the rule of `created`."""


def load(path: str) -> Document:
    """Read a file and check every key by itself.

    Raises as `read_document`, and `ConfigError` for a key or value without meaning.
    """
    document = read_document(path)
    _read_keys(document, one_line(path))
    return document


def read_document(path: str) -> Document:
    """What a YAML file says; a file that says nothing is an empty document.

    Raises `OutputError` when the file cannot be read, `ConfigError` when it is no YAML, with line
    and column, or no mapping.
    """
    where = one_line(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise OutputError(f"cannot read {where}: {err.strerror}") from err
    if len(data) > MAX_BYTES:
        raise ConfigError(f"cannot read {where}: it is larger than {MAX_BYTES >> 20} MiB")
    found = _read_yaml(data, where)
    return mapping({} if found is None else found, Location(where))


def flags(options: Mapping[str, Given]) -> Document:
    """The document that flags stand for; `options` is by name, without the `--`.

    `--tag NAME:TAG` gives the name as well. Raises `ConfigError` that names the flag.
    """
    document: dict[str, object] = {}
    below: dict[str, object] = {}
    for key, given in options.items():
        if given is None or (FLAGS[key].repeated and not given):
            continue
        location = Location(f"--{key}", is_flag=True)
        value = FLAGS[key].from_flag(given, location)
        if key in LAYERS:
            FLAGS[key].read(value, location)
            below[key] = value
            continue
        found = value if key == "tag" and isinstance(value, Mapping) else {key: value}
        for part, part_value in found.items():
            KEYS[part].read(part_value, location)
            if document.setdefault(part, part_value) != part_value:
                raise ConfigError(f"--name and --tag give the image different {part}s")
    return {**document, **({"layers": below} if below else {})}


def merge(file: Document, given: Document) -> Document:
    """The file's document with the flags' laid over it.

    Mappings (`env`, `labels`, `annotations`, `view`, `layers`) are joined by key, the flags' values
    winning; `contents` has the file's and then the flags'; all else is replaced.
    """
    merged = dict(file)
    for key, value in given.items():
        below = file.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = {**below, **value}
        elif key == "contents" and isinstance(value, list) and isinstance(below, list):
            merged[key] = [*below, *(item for item in value if item not in below)]
        else:
            merged[key] = value
    return merged


def parse(document: Document, where: str = FILE_NAME) -> ImageSpec:
    """The image that a document describes; `where` names the document in errors.

    Raises `ConfigError` for an unknown key, a value that a key cannot have, and users and
    groups that do not fit together.
    """
    found: dict[str, Any] = {_field(k): v for k, v in _read_keys(document, where).items()}
    accounts = Accounts.of(found.get("users", ()), found.get("groups", ()))
    if "user" in found:
        found["user"] = accounts.run_as(found["user"])
    return ImageSpec(**found)


def created(
    spec_created: datetime | Literal["now"] | None,
    source_date_epoch: str | None,
    last_modified: int | None,
    now: Callable[[], datetime],
) -> datetime:
    """The image's time: what was asked for, else SOURCE_DATE_EPOCH, else the flake's, else 1980.

    `source_date_epoch` is the text of the variable, None when there is none; `last_modified` is
    the flake's, in seconds since 1970, and None when the flake has no revision. `now` is called
    only when the specification says `now`. Raises `ConfigError` for a variable that is not a
    number of seconds, whether or not it is used.
    """
    location = Location("SOURCE_DATE_EPOCH")
    from_variable = None
    if source_date_epoch is not None:
        seconds = number_of(source_date_epoch)
        if seconds is None:
            what = "a number of seconds since 1970"
            raise location.expected(what, source_date_epoch, "unset the variable to do without it")
        from_variable = values.moment(seconds, location)
    if spec_created == "now":
        return now().astimezone(UTC).replace(microsecond=0)
    if spec_created is not None:
        return spec_created
    if from_variable is not None:
        return from_variable
    if last_modified is not None:
        return values.moment(last_modified, Location("lastModified of the flake"))
    return OLDEST


def _field(key: str) -> str:
    return {"workdir": "working_dir"}.get(key, key.replace("-", "_"))


def _read_keys(document: object, where: str) -> Mapping[str, object]:
    found = known(document, Location(where), tuple(KEYS))
    return {key: KEYS[key].read(v, Location(f"{where}: {key}")) for key, v in found.items()}


class _Loader(yaml.BaseLoader):
    """YAML's structure as PyYAML reads it; what a scalar means is decided here."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        if node.tag not in _TAGS:
            raise self._error(node, f"the tag '{plain(node.tag)}' has no meaning here")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        return super().construct_object(node, deep)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        """A mapping by the keys as they are written: `8080:` and `no:` are names, too."""
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be text")
            key = key_node.value
            if key in found:
                raise self._error(key_node, f"the key '{plain(key)}' is there twice")
            found[key] = self.construct_object(value_node, deep)
        return found

    @staticmethod
    def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _scalar(node: yaml.ScalarNode) -> str | int | bool | None:
    """Text, unless it is plain and one of the few things that mean more."""
    written: str = node.value
    if node.style is not None:
        return written
    if _WHOLE_NUMBER.fullmatch(written):
        return int(written)
    return _WORDS.get(written, written)


_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
}


def _read_yaml(data: bytes, path: str) -> object:
    try:
        source = data.decode("utf-8-sig")
        return _Loader(source).get_single_data()
    except UnicodeDecodeError as err:
        raise ConfigError(f"cannot read {path}: byte {err.start} is not UTF-8") from err
    except yaml.reader.ReaderError as err:
        before = data.decode("utf-8-sig")[: err.position]
        line, column = before.count("\n") + 1, err.position - before.rfind("\n")
        character = ascii(chr(err.character))
        raise ConfigError(
            f"cannot read {path}:{line}:{column}: the character {character} is not allowed"
        ) from err
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        context = f"{err.context}, " if str(err.problem).startswith("but ") else ""
        problem = one_line(f"{context}{err.problem}")
        raise ConfigError(f"cannot read {path}{at}: {problem}") from err
    except RecursionError as err:
        raise ConfigError(f"cannot read {path}: it is nested too deeply") from err
    except (ValueError, OverflowError) as err:
        raise ConfigError(f"cannot read {path}: a number or an escape is out of range") from err

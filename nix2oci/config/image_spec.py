"""nix2oci.yaml and flags -> ImageSpec.

A document is what YAML says, as mappings, lists, text, numbers and booleans; flags are turned
into a document too, so that both are read by the same readers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.config import values
from nix2oci.config.flags import Given
from nix2oci.config.keys import BY_FLAG, INSTEAD, KEYS, LAYERS, Document
from nix2oci.config.layer_keys import Layers
from nix2oci.config.reading import Location, known, line_of, mapping, number_of, one_line
from nix2oci.errors import ConfigError, OutputError
from nix2oci.host.regular_files import open_file
from nix2oci.model.accounts import Accounts, Group, User
from nix2oci.plan.shell_mode import Mode
from nix2oci.plan.view_switches import ViewSwitches

if TYPE_CHECKING:
    from nix2oci.config.env_file import EnvFile
    from nix2oci.config.named_images import NamedImage
    from nix2oci.config.wanted_files import WantedFile
    from nix2oci.config.what_to_attach import Attaching
    from nix2oci.oci.healthcheck import Healthcheck
    from nix2oci.oci.layer.compression import Compressions
    from nix2oci.plan.slim import SlimWish

FILE_NAME = "nix2oci.yaml"

MAX_BYTES = 4 << 20
"""A configuration file past this is something else."""

OLDEST = datetime(1980, 1, 1, 0, 0, 1, tzinfo=UTC)
"""`created` where nothing says better: the first second that every archive format can hold."""


STDENV_EPOCH = 315532800
"""The SOURCE_DATE_EPOCH that nixpkgs' stdenv sets in every shell and build: nobody asked for it."""


class ImageSpec(Struct, frozen=True):
    """What the user wants the image to be. The defaults are those of docs/configuration.md."""

    name: str | None = None
    """`repository` or `registry/repository`; None: the package's name."""
    tags: tuple[str, ...] = ()
    """The first one counts where there is room for one; empty: `latest`."""
    base: str | None = None
    """The image that this one stands on, in a form that `open_image` takes."""
    entrypoint: tuple[str, ...] = ()
    """A name in bin/ or an absolute path, then arguments; empty: the flake decides."""
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_file: EnvFile | None = None
    """A file with more variables; those of `env` win."""
    user: str | None = None
    """`UID` or `UID:GID`, always numbers; None: the base image's, else 65532:65532."""
    arbitrary_uid: bool = False
    """Whether any user id of group 0 may write where the user may."""
    working_dir: str | None = None
    """None: the base image's, else `/`."""
    ports: tuple[str, ...] = ()
    """`8080/tcp`: always with the protocol."""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    """None: the base image's, if it has one."""
    contents: tuple[str, ...] = ()
    """Installables beside the main one."""
    users: tuple[User, ...] = ()
    """Beside root, nobody and nonroot."""
    groups: tuple[Group, ...] = ()
    """Beside those that every image has."""
    files: tuple[WantedFile, ...] = ()
    """Files, directories and links of the last layer."""
    view: ViewSwitches = field(default_factory=ViewSwitches)
    shell: Mode = Mode.AUTO
    slim: SlimWish | None = None
    """What is left out of store paths; None: nothing."""
    nix_db: bool = False
    """Whether Nix in the image knows its store paths."""
    sbom_in_image: bool = False
    """Whether the image has a list of its store paths."""
    debug: bool = False
    debug_tools: str | None = None
    """An installable; None: busybox of the nixpkgs that the flake uses."""
    max_layers: int = 64
    """1 to 127, all layers counted."""
    layers: Layers = field(default_factory=Layers)
    compression: values.CompressionMode = "gzip"
    chunking: values.ChunkingMode = "fine"
    """Of layers that are zstd:chunked."""
    created: datetime | Literal["now"] | None = None
    """None: the rule of `created`."""
    named_paths: tuple[str, ...] = ()
    """Store paths that values name without braces, of a closure that is given."""
    trust: Attaching | None = None
    """What goes with the image, and decides none of its bytes."""

    @property
    def compressions(self) -> Compressions:
        """How the layers above the base are stored."""
        from nix2oci.oci.layer.compression import Compressions  # noqa: PLC0415  # start-up counts

        return Compressions.of(self.compression, self.chunking)

    @property
    def added(self) -> tuple[str, ...]:
        """All installables beside the main one."""
        return (*self.contents, *self.named_installables)

    @property
    def named_installables(self) -> tuple[str, ...]:
        """What `files` and braces in values name beside `contents`: each once, in their order."""
        found = [each.installable for each in self.files if each.installable]
        if with_braces := [text for text in self._started if "{" in text]:
            from nix2oci.config.braces import installables_in  # noqa: PLC0415  # start-up counts

            found += [each for text in with_braces for each in installables_in(text)]
        return tuple(dict.fromkeys((*found, *self.named_paths)))

    @property
    def texts(self) -> tuple[str, ...]:
        """All values in which what runs may find a path."""
        shells = [user.shell for user in self.users]
        return (*self._started, *shells, *(each.value for each in self.files))

    @property
    def _started(self) -> tuple[str, ...]:
        test = self.healthcheck.test if self.healthcheck else ()
        return (*self.entrypoint, *self.cmd, *self.env.values(), *test)


def load(path: str) -> Document:
    """Read a file and check every key by itself, those of `images` too; these are left out.

    Raises as `read_document`, and `ConfigError` for a key or value without meaning.
    """
    return load_images(path)[0]


def load_images(path: str) -> tuple[Document, tuple[NamedImage, ...]]:
    """The same, and the images that a file has."""
    document, where = read_document(path), one_line(path)
    if "images" not in document:
        check_keys(document, Location(where))
        return document, ()
    from nix2oci.config.named_images import split  # noqa: PLC0415  # few files have any

    defaults, images = split(document, where)
    check_keys(defaults, Location(where, file=where, numbers=True))
    for image in images:
        check_keys(image.own, image.location)
    return defaults, images


def read_document(path: str) -> Document:
    """What a YAML file says; a file that says nothing is an empty document.

    Raises `OutputError` when the file cannot be read, `ConfigError` when it is no YAML, with line
    and column, or no mapping.
    """
    where = one_line(path)
    try:
        with open_file(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise OutputError(f"cannot read {where}: {err.strerror}") from err
    if len(data) > MAX_BYTES:
        raise ConfigError(f"cannot read {where}: it is larger than {MAX_BYTES >> 20} MiB")
    from nix2oci.config.yaml_file import read_yaml  # noqa: PLC0415  # few builds have a file

    found = read_yaml(data, where)
    return mapping({} if found is None else found, Location(where))


def flags(options: Mapping[str, Given]) -> Document:
    """The document that flags stand for; `options` is by name, without the `--`.

    `--tag NAME:TAG` gives the name as well. Raises `ConfigError` that names the flag.
    """
    document: dict[str, object] = {}
    below: dict[str, object] = {}
    for key, given in options.items():
        if given is None or given in ((), []):
            continue
        location = Location(f"--{key}", is_flag=True)
        value = BY_FLAG[key].from_flag(given, location)
        if key in LAYERS:
            BY_FLAG[key].read(value, location)
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

    Mappings (`env`, `labels`, `annotations`, `files`, `view`, `layers`) are joined by key, the
    flags' values winning; `contents` has the file's and then the flags'; all else is replaced.
    """
    merged = dict(file)
    for key, value in given.items():
        below = file.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            kept = {name: v for name, v in below.items() if name not in value}
            merged[key] = {**kept, **value} if key == "files" else {**below, **value}
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
    found: dict[str, Any] = {_field(k): v for k, v in check_keys(document, Location(where)).items()}
    accounts = Accounts.of(found.get("users", ()), found.get("groups", ()))
    if "user" in found:
        found["user"] = _run_as(accounts, found)
    return ImageSpec(**found)


def _run_as(accounts: Accounts, found: Mapping[str, Any]) -> str:
    """The numbers of the user; a name that is not ours where others may bring accounts."""
    user: str = found["user"]
    try:
        return accounts.run_as(user)
    except ConfigError:
        if found.get("contents") or found.get("base"):
            return user
        raise


def created(
    spec_created: datetime | Literal["now"] | None,
    source_date_epoch: str | None,
    last_modified: int | None,
    now: Callable[[], datetime],
) -> datetime:
    """The image's time: what was asked for, else SOURCE_DATE_EPOCH, else the flake's, else 1980.

    `source_date_epoch` is the text of the variable, None when there is none; `last_modified` is
    the flake's, in seconds since 1970, and None when the flake has no revision. `now` is called
    only when the specification says `now`. A variable of `STDENV_EPOCH` counts for nothing. Raises
    `ConfigError` for one that is not a number of seconds, whether or not it is used.
    """
    location = Location("SOURCE_DATE_EPOCH")
    from_variable = None
    if source_date_epoch is not None:
        seconds = number_of(source_date_epoch)
        if seconds is None:
            what = "a number of seconds since 1970"
            raise location.expected(what, source_date_epoch, "unset the variable to do without it")
        if seconds != STDENV_EPOCH:
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
    return {"workdir": "working_dir", "tag": "tags"}.get(key, key.replace("-", "_"))


def check_keys(document: object, location: Location) -> Mapping[str, object]:
    """What each key of a document that is at `location` means, read by itself; `ConfigError`."""
    found = known(document, location, tuple(KEYS), INSTEAD)
    top = replace(location, file=location.file or location.text)
    return {key: KEYS[key].read(v, _below(top, key)) for key, v in found.items()}


def _below(location: Location, key: str) -> Location:
    """The place of a key. At the top of a file it is behind a colon, as everywhere."""
    if location.text != location.file:
        return location.at(key)
    return replace(location, text=f"{location.text}: {key}", line=line_of(key))

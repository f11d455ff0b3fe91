"""`env-file`: variables in a file of the repository, as `docker run --env-file` reads it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from nix2oci.config.reading import Location, filled
from nix2oci.errors import ConfigError, OutputError
from nix2oci.host.regular_files import read_file
from nix2oci.text import display

_MOST = 1 << 20


class EnvFile(Struct, frozen=True):
    """A file, and where it is named, as errors begin."""

    path: str
    where: str

    def __eq__(self, other: object) -> bool:
        """Where it is named does not count."""
        return isinstance(other, EnvFile) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


def env_file(value: object, location: Location) -> EnvFile:
    found = filled(value, location.numbered())
    if found.startswith("-") or not found.isprintable():
        raise location.numbered().expected("a file such as ./app.env", found)
    return EnvFile(found, location.numbered().text)


def read_env_file(path: str, where: str) -> Mapping[str, str]:
    """The variables of a file: lines `NAME=VALUE`, nothing in them quoted or expanded.

    Empty lines and those that begin with `#` count for nothing. Raises `ConfigError` for any other
    line, without quoting it, and `OutputError` for a file that cannot be read.
    """
    try:
        data = read_file(path, _MOST)
    except OSError as err:
        raise OutputError(f"cannot read {display(path.encode())}: {err.strerror}") from err
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ConfigError(f"{where}: byte {err.start} of the file is not UTF-8") from err
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r").lstrip()  # noqa: PLW2901
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        at = f"{where}: line {number} of the file"
        if not equals or not name or name != name.strip() or "\0" in line:
            raise ConfigError(f"{at} is not NAME=VALUE", hint="a comment begins with '#'")
        if name in found:
            raise ConfigError(f"{at} has a name that is there already: '{display(name.encode())}'")
        found[name] = value
    return found

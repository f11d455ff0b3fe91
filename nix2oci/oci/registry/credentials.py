"""Who we are to a registry: where docker and podman keep it.

The files are those of `docker login` and `podman login`. In each, a helper for the registry comes
before the helper for all, and that before what the file itself holds. The hard part is the names:
`host`, `host:port`, `https://host/v1/`, `host/namespace`, and Docker Hub, which has four.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from nix2oci.host.http.request_error import RequestError
from nix2oci.host.regular_files import open_file
from nix2oci.oci.registry import helpers
from nix2oci.oci.registry.environment import Account, RegistryEnvironment
from nix2oci.oci.registry.helpers import HelperError, HelperMissingError
from nix2oci.oci.registry.repository import HUB_NAMES, registry_name

Json = dict[str, object]

_HUB_SERVER = "https://index.docker.io/v1/"
_IDENTITY = "<token>"
DOCUMENT = "DOCKER_AUTH_CONFIG"
"""The variable that has what a file would."""
_MAX_BYTES = 4 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What neither a user name nor a password has (RFC 7617, 2)."""


class Credentials(Struct, frozen=True):
    """What is shown to a registry, or to the token server that it names."""

    source: str
    """Where they come from, in words."""
    username: str = ""
    password: str = ""
    identity_token: str = ""
    """It is exchanged for tokens (OAuth2 refresh token)."""
    registry_token: str = ""
    """It is a token."""

    def __repr__(self) -> str:  # without what is secret
        return f"Credentials(source={self.source!r})"

    @property
    def basic(self) -> str:
        """`user:password` as `Authorization: Basic` wants it; `""` where there is none."""
        if not self.username and not self.password:
            return ""
        text = f"{self.username}:{self.password}"
        return base64.b64encode(text.encode(errors="surrogatepass")).decode()


class Asked(Struct, frozen=True):
    """For what credentials are looked up."""

    registry: str
    """As in a reference: `host` or `host:port`."""
    repository: str

    def keys(self) -> Iterator[str]:
        """The keys under which a file may have it, the most particular first."""
        hosts = sorted(HUB_NAMES) if self.registry in HUB_NAMES else [self.registry]
        parts = self.repository.split("/")
        for end in range(len(parts), -1, -1):
            yield from ("/".join([host, *parts[:end]]) for host in hosts)

    @property
    def server(self) -> str:
        """What a credential helper is asked for."""
        return _HUB_SERVER if self.registry in HUB_NAMES else self.registry


def find(
    asked: Asked,
    environment: RegistryEnvironment,
    note: Callable[[str], None],
    seconds: float = 30.0,
) -> Credentials | None:
    """The credentials for a repository, None when there are none anywhere.

    `note` is told in a line of what was passed over and of a file that others can read; a helper
    has `seconds` to answer. Raises `RequestError` when what was found cannot be used.
    """
    if account := _account(asked, environment, note):
        return Credentials(
            "NIX2OCI_USERNAME and NIX2OCI_PASSWORD", account.username, account.password
        )
    for name, document in _documents(environment):
        found = _File(name, document, environment, note, seconds).look_up(asked)
        if found is not None:
            return found
    return None


def _account(
    asked: Asked, environment: RegistryEnvironment, note: Callable[[str], None]
) -> Account | None:
    """The account from the environment, where it is for the registry that asks."""
    account = environment.account
    if account is None:
        return None
    if account.registry is None:
        note(
            f"NIX2OCI_USERNAME and NIX2OCI_PASSWORD are not used for {asked.registry}: they are "
            "for the registry of --push or REF, or the one that NIX2OCI_REGISTRY names"
        )
    return account if account.registry == registry_name(asked.registry) else None


def _documents(environment: RegistryEnvironment) -> Iterator[tuple[str, Json]]:
    """What holds credentials, by name, in the order in which it is believed."""
    named, given = environment.explicit_file, environment.credential_document
    if named and (document := _read(named)) is not None:
        yield named, document
    if given:
        yield DOCUMENT, _parsed(given.encode(errors="surrogateescape"), DOCUMENT)
    for path in environment.credential_files:
        if (document := _read(path)) is not None:
            yield path, document


class _File(Struct, frozen=True):
    path: str
    document: Json
    environment: RegistryEnvironment
    note: Callable[[str], None]
    seconds: float

    def look_up(self, asked: Asked) -> Credentials | None:
        own = _matching(self._section("credHelpers"), asked)
        if own is not None:
            try:
                # An empty name means that there is no helper, not even the one for all.
                return self._from_helper(str(own), asked) if own else self._own(asked)
            except HelperError as err:
                raise _unusable(f"the credential helper of {self.path}: {err}") from None
        if (general := self.document.get("credsStore")) and isinstance(general, str):
            try:
                found = self._from_helper(general, asked)
            except HelperMissingError as err:
                self.note(f"warning: the credential helper of {self.path} is passed over: {err}")
            except HelperError as err:
                raise _unusable(f"the credential helper of {self.path}: {err}") from None
            else:
                if found is not None:
                    return found
        return self._own(asked)

    def _section(self, name: str) -> Json:
        section = self.document.get(name) or {}
        if not isinstance(section, dict):
            raise _unusable(f"{self.path}: '{name}' is not an object")
        return section

    def _from_helper(self, name: str, asked: Asked) -> Credentials | None:
        found = helpers.ask(
            name,
            asked.server,
            path=self.environment.search_path,
            env=self.environment.helper_environment,
            seconds=self.seconds,
        )
        if found is None:
            return None
        source = f"the credential helper 'docker-credential-{name}', named in {self.path}"
        if found.username == _IDENTITY:
            return Credentials(source, identity_token=found.secret)
        return Credentials(source, found.username, found.secret)

    def _own(self, asked: Asked) -> Credentials | None:
        entry = _matching(self._section("auths"), asked)
        if not isinstance(entry, dict):
            return None
        username, password = self._decoded(entry, asked)
        found = Credentials(
            self.path,
            username,
            password,
            identity_token=_text(entry, "identitytoken"),
            registry_token=_text(entry, "registrytoken"),
        )
        if not (found.basic or found.identity_token or found.registry_token):
            return None  # `docker login` with a helper leaves an empty entry
        if self.path != DOCUMENT and os.stat(self.path).st_mode & 0o004:
            self.note(f"warning: others can read the credentials in {self.path}: chmod 600")
        return found

    def _decoded(self, entry: Json, asked: Asked) -> tuple[str, str]:
        encoded = _text(entry, "auth")
        if not encoded:
            return _text(entry, "username"), _text(entry, "password")
        try:
            # Line ends are what `base64` puts in, and what `echo` puts behind.
            joined = encoded.translate({10: None, 13: None})
            text = base64.b64decode(joined, validate=True).decode().rstrip("\r\n")
        except (binascii.Error, ValueError):
            raise _unusable(
                f"{self.path}: 'auth' of {asked.registry} is not text in base64"
            ) from None
        username, colon, password = text.rstrip("\0").partition(":")
        if _CONTROL.search(username + password):
            raise _unusable(f"{self.path}: 'auth' of {asked.registry} has control characters")
        if not colon:
            raise _unusable(f"{self.path}: 'auth' of {asked.registry} has no colon")
        return username, password


def _text(entry: Json, key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _matching(section: Json, asked: Asked) -> object | None:
    by_key = {_normal(key): value for key, value in reversed(section.items())}
    return next((by_key[key] for key in asked.keys() if key in by_key), None)  # noqa: SIM118


def _normal(key: str) -> str:
    """A key without what older versions of docker put around the host."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    return bare.removesuffix("/v1").removesuffix("/v2") if bare != key else bare


def _read(path: str) -> Json | None:
    try:
        with open_file(path) as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return None
    except PermissionError as err:
        if not os.access(os.path.dirname(path), os.X_OK):
            return None  # it belongs to somebody else
        raise _unusable(f"{path}: {err.strerror}") from None
    except OSError as err:
        raise _unusable(f"{path}: {err.strerror}") from None
    return _parsed(data, path)


def _parsed(data: bytes, path: str) -> Json:
    try:
        document = json.loads(data or b"{}")
    except json.JSONDecodeError as err:
        # Its text is kept out: it may hold what it should not.
        raise _unusable(f"{path}: line {err.lineno} is not JSON") from None
    except (ValueError, RecursionError):
        raise _unusable(f"{path}: it is not JSON") from None
    if not isinstance(document, dict):
        raise _unusable(f"{path}: it is not a JSON object")
    return document


def _unusable(cause: str) -> RequestError:
    return RequestError(f"its credentials cannot be read: {cause}", denied=True)

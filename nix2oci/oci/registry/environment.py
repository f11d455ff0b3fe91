"""What the machine says about registries: where credentials and certificates are, which proxy.

Only values: the command line hands over the environment, nothing is read here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.errors import ConfigError, InvalidReferenceError
from nix2oci.host.http.authorities import ca_file
from nix2oci.host.http.proxies import Proxies
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.repository import registry_name


class Account(Struct, frozen=True):
    """A user name and password that were handed to us for one registry."""

    username: str
    password: str
    registry: str | None = None
    """As `Place.registry` has it; None as long as nobody said for which it is: for none."""

    def __repr__(self) -> str:  # without what is secret
        return f"Account(username={self.username!r})"


class RegistryEnvironment(Struct, frozen=True):
    """All of it."""

    account: Account | None = None
    credential_files: tuple[str, ...] = ()
    """The first that knows a registry is believed; those that are not there are passed over."""
    credential_document: str = ""
    """A document as such a file has, from the environment; it comes after `explicit_file`."""
    explicit_file: str = ""
    """A file that comes before all others, where the user named one."""
    search_path: str = ""
    """Where programs are, such as credential helpers: directories with colons between them."""
    helper_environment: Mapping[str, str] = field(default_factory=dict)
    """All that a credential helper gets of the environment."""
    certificate_directories: tuple[str, ...] = ()
    """Each has a directory for a registry, by host or `host:port`."""
    registries_files: tuple[str, ...] = ()
    """registries.conf; the first that is there counts."""
    registries_directories: tuple[str, ...] = ()
    """Whose files `*.conf` are read after it."""
    docker_files: tuple[str, ...] = ()
    """daemon.json; the first that is there counts."""
    ca_file: str | None = None
    """Certificates that are trusted instead of those of the system."""
    proxies: Proxies = Proxies()
    user_agent: str = "nix2oci"

    def __repr__(self) -> str:  # without what is secret
        return (
            "RegistryEnvironment("
            f"account={self.account!r}, "
            f"credential_files={self.credential_files!r}, "
            f"explicit_file={self.explicit_file!r}, "
            f"search_path={self.search_path!r}, "
            f"certificate_directories={self.certificate_directories!r}, "
            f"registries_files={self.registries_files!r}, "
            f"registries_directories={self.registries_directories!r}, "
            f"docker_files={self.docker_files!r}, "
            f"ca_file={self.ca_file!r}, "
            f"proxies={self.proxies!r}, "
            f"user_agent={self.user_agent!r})"
        )

    @classmethod
    def of(
        cls, env: Mapping[str, str], user_agent: str = "nix2oci", uid: int = 0
    ) -> RegistryEnvironment:
        """What the environment of a user says; raises `ConfigError` for half an account."""
        home = env.get("HOME", "")
        config = env.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
        config_certificates = f"{config}/containers/certs.d" if config else ""
        return cls(
            account=_account(env),
            credential_files=tuple(filter(None, _credential_files(env, home, config, uid))),
            credential_document=env.get("DOCKER_AUTH_CONFIG", ""),
            explicit_file=env.get("REGISTRY_AUTH_FILE", ""),
            search_path=env.get("PATH", os.defpath),
            helper_environment={k: v for k, v in env.items() if not k.startswith("NIX2OCI_")},
            certificate_directories=tuple(
                filter(
                    None,
                    (config_certificates, "/etc/containers/certs.d", "/etc/docker/certs.d"),
                )
            ),
            registries_files=_registries_files(env, config),
            registries_directories=(
                "/etc/containers/registries.conf.d",
                *((f"{config}/containers/registries.conf.d",) if config else ()),
            ),
            docker_files=(
                *((f"{config}/docker/daemon.json",) if config else ()),
                "/etc/docker/daemon.json",
            ),
            ca_file=ca_file(env),
            proxies=Proxies.named_in(env),
            user_agent=user_agent,
        )

    def for_registry(self, registry: str | None) -> RegistryEnvironment:
        """The same, where an account that nobody bound to a registry is for this one."""
        if self.account is None or self.account.registry is not None:
            return self
        return replace(self, account=replace(self.account, registry=registry))


def _account(env: Mapping[str, str]) -> Account | None:
    username, password = env.get("NIX2OCI_USERNAME", ""), env.get("NIX2OCI_PASSWORD", "")
    if bool(username) != bool(password):
        given, missing = ("USERNAME", "PASSWORD") if username else ("PASSWORD", "USERNAME")
        raise ConfigError(f"NIX2OCI_{given} is set and NIX2OCI_{missing} is not")
    return Account(username, password, _registry(env)) if username else None


def _registry(env: Mapping[str, str]) -> str | None:
    """The registry that NIX2OCI_REGISTRY names, None where it names none; `ConfigError`."""
    text = env.get("NIX2OCI_REGISTRY", "")
    if not text:
        return None
    try:
        reference = Reference.parse(f"{text}/name")
    except InvalidReferenceError:
        reference = None
    if reference is None or reference.registry != text:
        raise ConfigError(
            f"cannot use NIX2OCI_REGISTRY: '{text}' is not HOST or HOST:PORT",
            hint="such as NIX2OCI_REGISTRY=registry.example.com",
        )
    return registry_name(text)


def _registries_files(env: Mapping[str, str], config: str) -> tuple[str, ...]:
    """One that the user names stands for all others; containers-registries.conf(5)."""
    if named := env.get("CONTAINERS_REGISTRIES_CONF"):
        return (named,)
    own = (f"{config}/containers/registries.conf",) if config else ()
    return (*own, "/etc/containers/registries.conf")


def _credential_files(env: Mapping[str, str], home: str, config: str, uid: int) -> tuple[str, ...]:
    """Where docker and podman have them; containers-auth.json(5) for `/run/containers`."""
    docker, runtime = env.get("DOCKER_CONFIG"), env.get("XDG_RUNTIME_DIR")
    return (
        f"{docker}/config.json" if docker else "",
        f"{runtime}/containers/auth.json" if runtime else f"/run/containers/{uid}/auth.json",
        f"{config}/containers/auth.json" if config else "",
        f"{home}/.docker/config.json" if home else "",
    )

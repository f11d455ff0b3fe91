"""How to talk to registries."""

from __future__ import annotations

import click
from msgspec import Struct

from nix2oci.config.options.group import BARE, Group, optional_value


class RegistryOptions(Struct, frozen=True):
    """How to talk to registries, and which of them a flag is for that does not name one."""

    plain_http: tuple[str, ...]
    """Registries that are spoken to without TLS; `BARE` stands for `registry`."""
    tls_verify: bool
    cert_dir: str | None
    registry: str | None = None
    """The one that is pushed to, or the only one that is read."""
    named: bool = False
    """Whether the user named it for this command: then an account in the environment is for it."""
    jobs: int | None = None
    """How many blobs are moved at once, where the user said so."""

    @property
    def bare(self) -> tuple[str, ...]:
        """The flags that do not say for which registry they are."""
        given = {
            "--plain-http": BARE in self.plain_http,
            "--no-tls-verify": not self.tls_verify,
            "--cert-dir": self.cert_dir is not None,
        }
        return tuple(flag for flag, is_given in given.items() if is_given)


REGISTRY = Group(
    "registry",
    RegistryOptions,
    (
        click.Option(
            ["--cert-dir"],
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="Trust *.crt here, show NAME.cert with NAME.key.",
        ),
        click.Option(
            ["--tls-verify/--no-tls-verify"],
            default=True,
            help="Whether the certificate of the registry is checked.",
        ),
        optional_value(
            "--plain-http",
            "HOST",
            "Speak HTTP without TLS, to HOST or to the registry that is pushed to or read; "
            "only this machine needs no flag.",
        ),
    ),
    "Registries",
)

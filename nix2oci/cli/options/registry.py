"""How to talk to a registry."""

from __future__ import annotations

import click
from msgspec import Struct

from nix2oci.cli.options.group import Group, switch


class RegistryOptions(Struct, frozen=True):
    """How to talk to a registry."""

    plain_http: bool
    tls_verify: bool
    cert_dir: str | None


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
        switch("--plain-http", "Speak HTTP without TLS; only this machine needs no flag."),
    ),
)

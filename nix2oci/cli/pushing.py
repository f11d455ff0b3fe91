"""`build --push`: the options, and where an image goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import click

from nix2oci.cli import options, registries
from nix2oci.errors import ConfigError, InvalidReferenceError
from nix2oci.oci.reference import Reference

F = Callable[..., Any]
Trust = Literal["repository", "registry"]

VARIABLE = "NIX2OCI_REPO"


def push_options(function: F) -> F:
    """The options that put an image into a registry."""
    function = click.option(
        "--trust-reuse",
        type=click.Choice(["repository", "registry"]),
        default="repository",
        show_default=True,
        help="Whose word on layers is taken: of images in the same repository or registry.",
    )(function)
    function = click.option(
        "--no-reuse", is_flag=True, help="With --push: make all layers, whatever is there."
    )(function)
    function = click.option(
        "--reuse",
        metavar="REF",
        multiple=True,
        help="With --push: do not make layers that this image has. [what is pushed over]",
    )(function)
    return click.option(
        "--push",
        metavar="[REF]",
        is_flag=False,
        flag_value="",
        help=f"Push the image, and print its reference there. [${VARIABLE}/NAME:TAG]",
    )(function)


@dataclass(frozen=True, slots=True)
class Push:
    """How an image is pushed, as far as the user said."""

    to: Reference | None
    prefix: str
    """What stands before the image's name where there is no `to`; may be empty."""
    reuse: tuple[Reference, ...] = ()
    anew: bool = False
    """Whether all layers are made, whatever is there."""
    trust: Trust = "repository"

    def target(self, name: Reference, main: Reference | None = None) -> Reference:
        """Where the image `name` goes; one beside `main` has only its tag from its name.

        Raises `InvalidReferenceError`.
        """
        main = main or name
        if self.to is not None:
            found = replace(self.to, tag=self.to.tag or main.tag or "latest")
        elif self.prefix:
            found = Reference.parse(f"{self.prefix}/{main.repository}:{main.tag or 'latest'}")
        else:
            found = main.tagged()
        suffix = str(name).removeprefix(str(main))
        return Reference.parse(f"{found}{suffix}")


def push(
    values: dict[str, Any], output: str | None, form: str | None, *, loaded: bool
) -> Push | None:
    """How to push, if at all; takes the options of `push_options` but the registry's out.

    `output` and `form` are what the user said of them, `loaded` is whether an engine gets the image
    as well. Raises `ConfigError` for what does not go
    together or is no reference.
    """
    text, reuse = values.pop("push"), values.pop("reuse")
    anew, trust = values.pop("no_reuse"), values.pop("trust_reuse")
    if text is None:
        _refuse_alone(bool(reuse), "--reuse")
        _refuse_alone(anew, "--no-reuse")
        return None
    if output == "-":
        raise ConfigError(
            "cannot push with -o -: stdout has either the archive or the reference",
            hint="use -o PATH.tar",
        )
    if form is not None and output is None:
        raise ConfigError("cannot use --format with --push: no file is written", hint="add -o PATH")
    if reuse and anew:
        raise ConfigError("cannot use --reuse with --no-reuse: each says the other")
    if reuse and (output is not None or loaded):
        other = "-o" if output is not None else "--load"
        raise ConfigError(
            f"cannot use --reuse with {other}: the image here has to have all of its layers"
        )
    prefix = options.environment().get(VARIABLE, "")
    to = _target(text) if text else None
    if to is None and prefix:
        _check_prefix(prefix)
    return Push(to, prefix, tuple(map(registries.reference, reuse)), anew, trust)


def _refuse_alone(given: bool, flag: str) -> None:  # noqa: FBT001
    if given:
        raise ConfigError(f"cannot use {flag}: nothing is pushed", hint="add --push REF")


def _target(text: str) -> Reference:
    try:
        to = registries.reference(text)
    except InvalidReferenceError as err:
        err.hint = err.hint or "what follows --push is where the image goes"
        raise
    if to.digest is not None:
        raise ConfigError(
            f"cannot push to {to}: the digest is not known before the image", hint="name a tag"
        )
    return to


def _check_prefix(prefix: str) -> None:
    try:
        Reference.parse(f"{prefix}/name")
    except InvalidReferenceError as err:
        raise ConfigError(
            f"cannot use {VARIABLE}: '{prefix}' is not REGISTRY/PATH",
            hint=f"such as {VARIABLE}=registry.example.com/team",
        ) from err


def check_named(push: Push | None, name: str | None) -> None:
    """Raise `ConfigError` where neither the user nor the image's name says where to push."""
    if push is None or push.to is not None or push.prefix:
        return
    if name is None or Reference.parse(name).registry is None:
        raise ConfigError(
            "cannot push: nothing says where to",
            hint=f"use --push REGISTRY/REPOSITORY:TAG, or set {VARIABLE}=REGISTRY/PATH",
        )

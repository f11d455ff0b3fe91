"""`build --push`: where an image goes, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nix2oci.config.options.files import FileOptions
from nix2oci.config.options.push import VARIABLE, PushOptions
from nix2oci.errors import ConfigError, InvalidReferenceError
from nix2oci.oci.reference import SCHEME, Reference, parse_reference

if TYPE_CHECKING:
    from nix2oci.publish.image_target import PushTarget


def push_target(
    options: PushOptions, files: FileOptions, prefix: str, *, loaded: bool, several: bool = False
) -> PushTarget | None:
    """How to push, if at all.

    `prefix` is what `VARIABLE` has, `loaded` whether an engine gets the image as well; of `several`
    images each has its own name below what was named. Raises `ConfigError` for what does not go
    together or is no reference.
    """
    force = options.no_reuse
    if not options.push:
        _refuse_alone("--reuse", given=bool(options.reuse))
        _refuse_alone("--no-reuse", given=force)
        return None
    _check_files(files)
    if options.reuse and force:
        raise ConfigError("cannot use --reuse with --no-reuse: they contradict each other")
    if options.reuse and (files.output is not None or loaded):
        other = "-o" if files.output is not None else "--load"
        raise ConfigError(
            f"cannot use --reuse with {other}: the image here has to have all of its layers"
        )
    from nix2oci.publish.image_target import PushTarget  # noqa: PLC0415  # start-up counts

    to = tuple(_target(text, prefix, several=several) for text in options.push)
    reuse = tuple(map(parse_reference, options.reuse))
    return PushTarget(to, reuse, force, options.trust_reuse == "registry")


def _check_files(files: FileOptions) -> None:
    if files.output == "-":
        raise ConfigError(
            "cannot push with -o -: stdout has either the archive or the reference",
            hint="use -o PATH.tar",
        )
    if files.output_format is not None and files.output is None:
        raise ConfigError("cannot use --format with --push: no file is written", hint="add -o PATH")


def _refuse_alone(flag: str, *, given: bool) -> None:
    if given:
        raise ConfigError(f"cannot use {flag}: nothing is pushed", hint="add --push REF")


def _target(text: str, prefix: str, *, several: bool) -> Reference | str:
    if not text:
        return _checked_prefix(prefix, f"use {VARIABLE}") if prefix else ""
    if several:
        return _checked_prefix(text.removesuffix("/"), "push several images")
    try:
        to = parse_reference(text)
    except InvalidReferenceError as err:
        err.hint = err.hint or "what follows --push is where the image goes"
        raise
    if to.digest is not None:
        raise ConfigError(
            f"cannot push to {to}: the digest is not known before the image", hint="name a tag"
        )
    return to


def _checked_prefix(prefix: str, action: str) -> str:
    prefix = prefix.removeprefix(SCHEME)
    try:
        Reference.parse(f"{prefix}/name")
    except InvalidReferenceError as err:
        example = "registry.example.com/team"
        raise ConfigError(
            f"cannot {action}: '{prefix}' is not REGISTRY/PATH",
            hint=f"such as {VARIABLE}={example}"
            if action.startswith("use")
            else f"each goes to its own name below it: --push {example}",
        ) from err
    return prefix


def check_named(push: PushTarget | None, name: str | None) -> None:
    """Raise `ConfigError` where neither the user nor the image's name says where to push."""
    if push is None or "" not in push.to:
        return
    if name is None or Reference.parse(name).registry is None:
        raise ConfigError(
            "cannot push: nothing says where to",
            hint=f"use --push REGISTRY/REPOSITORY:TAG, or set {VARIABLE}=REGISTRY/PATH",
        )

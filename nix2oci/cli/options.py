"""Options that several commands share, and what they become: values without click.

Each key of nix2oci.yaml is a flag of the same name: `nix2oci.config.keys` has both.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import click

from nix2oci.cli import ui
from nix2oci.config import image_spec as config
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.keys import FLAGS
from nix2oci.config.layer_keys import Layers
from nix2oci.config.lock import LOCK_NAME
from nix2oci.config.relative_paths import document_beside
from nix2oci.errors import ConfigError
from nix2oci.nix.client import NixClient, Package
from nix2oci.nix.installable import Installable
from nix2oci.nix.options import Origin

if TYPE_CHECKING:
    from nix2oci.model.closure import Closure
    from nix2oci.plan.layers.layering import LayerHints, Plan

F = Callable[..., Any]
Form = Literal["oci", "archive"]

_NIX_SWITCHES = {
    "impure": "Let evaluation see the environment and mutable paths.",
    "offline": "Do not use the network.",
    "refresh": "Look again at flakes and tarballs that were fetched before.",
    "no-write-lock-file": "Do not write the flake's lock file.",
    "no-update-lock-file": "Fail when the flake's lock file is not up to date.",
    "accept-flake-config": "Accept the Nix settings of the flake.",
    "keep-going": "Build the others when one derivation fails.",
}
_NIX_VALUES = {
    "store": ("URL", "The store to use: a URL, or a directory that holds nix/store."),
    "eval-store": ("URL", "The store that holds derivations."),
    "system": ("SYSTEM", "Build for this system, such as aarch64-linux."),
    "max-jobs": ("N", "How many derivations Nix builds at once."),
    "builders": ("SPEC", "Remote machines that Nix builds on."),
}
_NIX_PAIRS = {
    "override-input": ("INPUT FLAKE-REF", "Use another flake for an input."),
    "option": ("NAME VALUE", "A Nix setting."),
    "arg": ("NAME EXPR", "With --file: an argument, as a Nix expression."),
    "argstr": ("NAME TEXT", "With --file: an argument, as text."),
}


def nix_options(function: F) -> F:
    """Options that are passed on to Nix, under the names that Nix has for them."""
    for name, help_ in reversed(_NIX_SWITCHES.items()):
        function = click.option(f"--{name}", is_flag=True, help=help_)(function)
    for name, (metavar, help_) in reversed(_NIX_PAIRS.items()):
        pair = click.option(f"--{name}", nargs=2, multiple=True, metavar=metavar, help=help_)
        function = pair(function)
    for name, (metavar, help_) in reversed(_NIX_VALUES.items()):
        function = click.option(f"--{name}", metavar=metavar, help=help_)(function)
    return click.option(
        "-f", "--file", metavar="FILE", help="Installables are attributes of this Nix file."
    )(function)


def nix_arguments(values: dict[str, Any]) -> tuple[str, ...]:
    """The options of `nix_options` as Nix's own arguments; takes them out of `values`."""
    found: list[str] = []
    for name in _NIX_VALUES:
        value = values.pop(name.replace("-", "_"))
        found += [f"--{name}", value] if value is not None else []
    for name in _NIX_PAIRS:
        for pair in values.pop(name.replace("-", "_")):
            found += [f"--{name}", *pair]
    for name in _NIX_SWITCHES:
        found += [f"--{name}"] if values.pop(name.replace("-", "_")) else []
    return tuple(found)


def origin_options(function: F) -> F:
    """Where store paths come from when they are not built here."""
    function = click.option(
        "--no-check-sigs", is_flag=True, help="With --from: take store paths that nobody signed."
    )(function)
    return click.option(
        "--from",
        "from_",
        metavar="URL",
        help="Build nothing: take the store paths from this store, such as a binary cache.",
    )(function)


def _origin(values: dict[str, Any]) -> Origin | None:
    """The store of `origin_options`; takes them out of `values`. Some commands have none."""
    url, unchecked = values.pop("from_", None), values.pop("no_check_sigs", False)
    if unchecked and not url:
        raise ConfigError("--no-check-sigs: there is no --from that it could be about")
    return Origin(url, check_signatures=not unchecked) if url else None


def output_options(function: F) -> F:
    """How much is said on stderr, and in which form on stdout."""
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(
        function
    )
    function = click.option(
        "-v",
        "--verbose",
        count=True,
        help="Say more: -v shows Nix's full log, -vv tracebacks, -vvv every request to a registry.",
    )(function)
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")(function)


def spec_options(function: F) -> F:
    """A flag for each key of nix2oci.yaml, or for its parts, and one that names the file."""
    for name, key in reversed(list(FLAGS.items())):
        options: dict[str, Any] = {"metavar": key.metavar, "multiple": key.repeated}
        if key.switch:
            options = {"is_flag": True, "default": None}
        spelling = f"--{name}/--no-{name}" if key.switch else f"--{name}"
        function = click.option(spelling, help=key.help, **options)(function)
    return click.option(
        "--config",
        metavar="FILE",
        help=f"Use this file instead of the {config.FILE_NAME} beside the flake.",
    )(function)


def image_spec(values: dict[str, Any], installable: Installable | None) -> ImageSpec:
    """The image spec of the file and the flags; takes the options of `spec_options` out."""
    path = values.pop("config") or (_beside(installable) if installable else None)
    document = document_beside(config.load(path), os.path.dirname(path)) if path else {}
    flags = config.flags({name: values.pop(name.replace("-", "_")) for name in FLAGS})
    spec = config.parse(config.merge(document, flags), path or config.FILE_NAME)
    if "debug-tools" in flags and not spec.debug:
        raise ConfigError("--debug-tools: there is no debug twin to have them", hint="add --debug")
    return spec


def hints(spec: ImageSpec, values: dict[str, Any]) -> LayerHints | None:
    """What the user knows of store paths, read from the files that the image spec names."""
    if spec.layers == Layers():
        return None
    from nix2oci.cli.hints import read  # noqa: PLC0415  # seldom needed

    return read(spec, values)


def say_remarks(
    closure: Closure, plan: Plan, hints: LayerHints | None, values: dict[str, Any]
) -> None:
    """Tell the user what became of wishes."""
    if hints is None:
        return
    from nix2oci.cli.hints import remarks  # noqa: PLC0415  # seldom needed

    for line in remarks(closure, plan, hints):
        progress(values).step(line)


def lock_path(values: dict[str, Any], installable: Installable) -> str | None:
    """The file that holds what a tag in the configuration file meant; None without that file.

    What a flag names is not locked: then there is none, either.
    """
    path: str | None = values["config"] or _beside(installable)
    if path is None or values["base"] is not None:
        return None
    return os.path.join(os.path.dirname(path), LOCK_NAME)


def _beside(installable: Installable) -> str | None:
    """The configuration file in the directory that holds the flake or the Nix file, if any."""
    if installable.kind == "path":
        return None
    if installable.kind == "file":
        directory: str | None = os.path.dirname(installable.file)
    else:
        directory = _flake_directory(installable.flake_ref)
    path = os.path.join(directory, config.FILE_NAME) if directory is not None else ""
    return path if os.path.isfile(path) else None


def _flake_directory(flake_ref: str) -> str | None:
    """Where a local flake is: as Nix does, upwards from a path that has no scheme."""
    scheme, colon, rest = flake_ref.partition(":")
    path = (rest if colon and scheme == "path" else flake_ref).partition("?")[0]
    if not os.path.isdir(path):
        return None
    directory = path
    while not os.path.exists(os.path.join(directory, "flake.nix")):
        above = os.path.join(directory, "..")
        if os.path.samefile(directory, above) or colon:
            return None
        directory = above
    return os.path.normpath(directory)


def named(nix: NixClient, texts: tuple[str, ...], file: str | None) -> list[Installable]:
    """What the user named, or the flake here when that is nothing."""
    return [nix.installable(text, file=file) for text in texts or ("." if file is None else "",)]


def evaluate(
    nix: NixClient,
    installables: Sequence[Installable],
    values: dict[str, Any],
    *,
    meanwhile: str = "nix2oci.pipeline.build",
) -> tuple[Package, ...]:
    """What Nix knows of installables.

    Nix works in processes of its own: while it does, the module `meanwhile` is loaded, which has
    what comes next.
    """
    progress(values).step(f"evaluating {', '.join(item.text for item in installables)}")
    loading = threading.Thread(target=importlib.import_module, args=(meanwhile,))
    loading.start()
    try:
        return tuple(nix.evaluate(item) for item in installables)
    finally:
        loading.join()


def created(spec: ImageSpec) -> Callable[[int | None], datetime]:
    """The image's time as a function of the flake's `lastModified`.

    Raises `ConfigError` for a SOURCE_DATE_EPOCH that has no meaning.
    """
    epoch = environment().get("SOURCE_DATE_EPOCH")
    decide = partial(config.created, spec.created, epoch, now=lambda: datetime.now(UTC))
    decide(None)
    return decide


def nix(values: dict[str, Any]) -> NixClient:
    """Nix as `nix_options`, `origin_options` and `output_options` ask for it.

    On a terminal Nix draws its own progress; else its lines are passed on as they come.
    """
    loud = ("--print-build-logs",) if values["verbose"] else ()
    return NixClient(
        environment(),
        (*nix_arguments(values), *loud),
        show=(lambda _: None) if values["quiet"] else ui.echo_line,
        terminal=sys.stderr.fileno() if sys.stderr.isatty() and not values["quiet"] else None,
        origin=_origin(values),
    )


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment() -> dict[str, str]:
    """A copy of the environment, for what is told of it."""
    return dict(os.environ)  # noqa: TID251  # this is the one place


def progress(values: dict[str, Any]) -> ui.Lines | ui.Bars:
    """What tells the user how far the work is."""
    return ui.progress(quiet=values["quiet"])


def standard_output() -> BinaryIO:
    """Standard output, for bytes."""
    return sys.stdout.buffer


def output_form(output: str | None, form: Form | None) -> tuple[str | None, Form]:
    """Where an image goes and as what, where the user did not say; `-` is stdout."""
    if output == "-" and form == "oci":
        raise ConfigError(
            "cannot write an image layout to stdout: it is a directory",
            hint="use --format archive",
        )
    if form is None:
        form = "archive" if output == "-" or (output or "").endswith(".tar") else "oci"
    return output, form

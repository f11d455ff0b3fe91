"""The base image of a build: of a file, or looked up in a registry before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from nix2oci.cache.directory import Cache
from nix2oci.cli.render import console
from nix2oci.config.image_settings import Settings
from nix2oci.config.options.plan import PlanOptions
from nix2oci.errors import ConfigError
from nix2oci.publish.write_file import write_file

if TYPE_CHECKING:
    from nix2oci.pipeline.on_base import Opener


@contextmanager
def _local() -> Iterator[Opener]:
    from nix2oci.pipeline.on_base import LOCAL

    yield LOCAL


def locate_base(
    settings: Settings,
    options: PlanOptions,
    *,
    write_lock: bool = False,
    refresh: bool = False,
    cache: Cache | None = None,
) -> Callable[[], AbstractContextManager[Opener]]:
    """What opens the base image that is meant, once packages are evaluated.

    Where it is in a registry, its manifest is read now. Raises as `base_source.locate_base`.
    """
    base = settings.spec.base
    if base is None and not refresh:
        return _local
    if refresh and not settings.may_lock:
        raise ConfigError(
            f"--refresh-base: {settings.lock} is in the source of a flake that was fetched",
            hint="refresh it where the flake is, and commit it",
        )
    from nix2oci.cli.steps.registry import open_base_reference
    from nix2oci.oci.layout.source import reference_in_registry
    from nix2oci.pipeline import base_source

    reference = reference_in_registry(base) if base else None
    if base is None or reference is None:
        if refresh:
            raise base_source.nothing_to_refresh()
        return _local
    return base_source.locate_base(
        base,
        reference,
        partial(open_base_reference, registry=options.registry, output=options.output),
        console.progress(options.output),
        lock=settings.lock,
        write=write_file if write_lock and settings.may_lock else None,
        refresh=refresh,
        cache=cache,
    ).opener

"""Where what is kept for the next build is, and how much of it."""

from __future__ import annotations

import os
import re

from nix2oci.cache.directory import Cache
from nix2oci.cli import context
from nix2oci.cli.options.cache import DEFAULT_SIZE, VARIABLE, CacheOptions
from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.render import console
from nix2oci.errors import ConfigError

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def cache_for_build(options: CacheOptions, output: OutputOptions) -> Cache | None:
    """The cache as the user asks for it; None where nothing is kept.

    Raises `ConfigError` for a size that has no meaning.
    """
    limit = cache_limit(options.cache_size)
    if options.no_cache or not limit:
        return None
    progress = console.progress(output)
    said: list[str] = []

    def explain(text: str) -> None:
        """The same disk is full for every layer: that is said only once."""
        if not said and output.verbose:
            progress.step(text)
        said.append(text)

    directory = cache_directory()
    if directory is None:
        explain("nothing is kept in a cache: neither HOME nor XDG_CACHE_HOME is set")
        return None
    return Cache(directory, limit, progress.step, explain)


def cache_directory() -> str | None:
    """Where the cache is (XDG Base Directory Specification: a relative path counts for nothing)."""
    env = context.environment()
    base, home = env.get("XDG_CACHE_HOME", ""), env.get("HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(home, ".cache") if os.path.isabs(home) else ""
    return os.path.join(base, "nix2oci") if base else None


def cache_limit(given: str | None) -> int:
    """Bytes: what the flag was given, else the environment's, else the default; `ConfigError`."""
    text, where = given, "--cache-size"
    if text is None:
        text, where = context.environment().get(VARIABLE) or DEFAULT_SIZE, VARIABLE
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{where}: '{text}' is no size", hint="write it as 500M or 20G")
    return int(found[1]) * _UNITS[found[2].upper()]

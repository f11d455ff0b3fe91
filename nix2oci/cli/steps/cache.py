"""Where what is kept for the next build is, and how much of it."""

from __future__ import annotations

from collections.abc import Callable

from nix2oci.cache.directory import Cache, default_directory, parse_size, why_not_private
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config.options.cache import DEFAULT_SIZE, VARIABLE, CacheOptions
from nix2oci.config.options.output import OutputOptions
from nix2oci.errors import ConfigError


def cache_for_build(options: CacheOptions, output: OutputOptions) -> Cache | None:
    """The cache as the user asks for it; None where nothing is kept.

    Raises `ConfigError` for a size that has no meaning.
    """
    limit = cache_limit(options.cache_size)
    if options.no_cache or not limit:
        return None
    step = console.progress(output).step
    explain = _first_line(step) if output.verbose else (lambda _: None)
    directory = default_directory(context.environment())
    if directory is None:
        explain("nothing is kept in a cache: neither HOME nor XDG_CACHE_HOME names a place")
        return None
    if why := why_not_private(directory):
        step(f"the cache at {directory} is not used: {why}")
        return None
    return Cache(directory, limit, step, explain)


def _first_line(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say` for the first line alone: the same disk is full for every layer."""
    said: list[str] = []

    def say_first(text: str) -> None:
        if not said:
            say(text)
        said.append(text)

    return say_first


def cache_limit(given: str | None) -> int:
    """Bytes: what the flag was given, else the environment's, else the default; `ConfigError`."""
    text, where = given, "--cache-size"
    if text is None:
        text, where = context.environment().get(VARIABLE) or DEFAULT_SIZE, VARIABLE
    limit = parse_size(text)
    if limit is None:
        raise ConfigError(f"{where}: '{text}' is not a size", hint="write it as 500M or 20G")
    return limit

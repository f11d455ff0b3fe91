"""What builds keep for the next one, as `--json` prints it."""

from __future__ import annotations

from nix2oci.cache.bound import Item, size
from nix2oci.cache.directory import ANSWERS, FACTS, Cache


def facts(kept: tuple[Item, ...]) -> int:
    """How many store paths something is known of."""
    return sum(item.name.startswith(f"{FACTS}/") for item in kept)


def answers(kept: tuple[Item, ...]) -> int:
    """How many answers of Nix there are."""
    return sum(item.name.startswith(f"{ANSWERS}/") for item in kept)


def cache_document(
    cache: Cache, kept: tuple[Item, ...], gone: tuple[Item, ...]
) -> dict[str, object]:
    """What is kept, and what was removed; sizes in bytes, times in seconds since 1970."""
    return {
        "directory": cache.directory,
        "limit": cache.limit,
        "size": size(kept),
        "removed": size(gone),
        "facts": facts(kept),
        "answers": answers(kept),
        "layers": [
            {
                "digest": f"sha256:{item.blob}",
                "size": item.blob_size,
                "used": item.used // 10**9,
                "paths": list(item.paths),
            }
            for item in kept
            if item.blob
        ],
    }

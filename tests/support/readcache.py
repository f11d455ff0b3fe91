"""A small binary cache, and all of it read as a build reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakecache import FakeCache, Key
from support.fakestore import Node, Program, store_path
from support.pushing import FakeClock

from nix2oci.errors import Nix2OCIError
from nix2oci.model.closure import Closure
from nix2oci.nix.binary_caches.cache import BinaryCache
from nix2oci.nix.binary_caches.cache_files import Web
from nix2oci.nix.binary_caches.direct import open_cache
from nix2oci.nix.options import Origin
from nix2oci.nix.remote import remote_store

APP = store_path("app-1.0")
LIBRARY = store_path("library-1.2")
BIG = bytes(range(256)) * 4096
NODE: Node = {b"bin": {b"app": Program(b"\x7fELF a program")}, b"share": {b"big": BIG}}


def made(directory: Path) -> FakeCache:
    """A cache of an app of 1 MB and its library, of which the app is not compressed."""
    cache = FakeCache(directory)
    cache.add("library-1.2", b"a library\n", compression="xz")
    cache.add("app-1.0", NODE, [LIBRARY, APP], "none")
    return cache


def opened(url: str, key: Key, **env: str) -> BinaryCache:
    """A cache whose key is trusted, and no other; waiting for it takes no time."""
    web = Web(env, FakeClock().clock, "test/1", lambda _: None)
    options = ("--option", "trusted-public-keys", key.public)
    return open_cache(Origin(url), {"NIX_CONF_DIR": "/nowhere", **env}, options, web)


def read(source: BinaryCache) -> Closure:
    """The graph, then each NAR."""
    closure = source.closure([APP])
    with remote_store(source, closure) as store:
        store.skeleton.materialize()
        assert Path(f"{store.root}{APP}/bin/app").read_bytes() == b"\x7fELF a program"
    return closure


def failure(url: str, key: Key, **env: str) -> Nix2OCIError:
    """What comes of reading it."""
    with pytest.raises(Nix2OCIError) as caught:
        read(opened(url, key, **env))
    return caught.value

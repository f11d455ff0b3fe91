"""The appendix of docs/layering.md, and how chunkah plans and changes are made for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.layering.bumps import APP, EVERYTHING, LIBRARY, moved
from bench.layering.chunkah import chunkah
from bench.layering.page import page
from bench.layering.results import Results
from support.graphs import closure, info
from support.paths import DOCS

from nix2oci.model.closure import StorePath
from nix2oci.model.tree import Directory, Entry, File

MB = 1_000_000


@pytest.mark.pages
def test_the_page_is_what_was_measured() -> None:
    assert (DOCS / "layering-figures.md").read_text() == page(Results.read())


# Components: app 1 MB, python 60, openssl 6 with its output, a and b 1, c and d 2.
WHOLE = closure(
    info("app", MB, "python-3.13", "a-1", "b-1", "c-1", "d-1"),
    info("python-3.13", 60 * MB, "openssl-3.0", "openssl-3.0-bin"),
    info("openssl-3.0", 5 * MB),
    info("openssl-3.0-bin", MB, "openssl-3.0"),
    *(info(f"{name}-1", size * MB) for name, size in (("a", 1), ("b", 1), ("c", 2), ("d", 2))),
)


def test_chunkah_has_what_is_large_and_what_changes_alone() -> None:
    layers = [{path.name for path in layer} for layer in chunkah(WHOLE, 4)]
    assert {"python-3.13"} in layers
    assert {"openssl-3.0", "openssl-3.0-bin"} in layers
    assert layers[-1] == {"app"}
    assert len(layers) == 4
    assert sum(map(len, layers)) == len(WHOLE)


@pytest.mark.parametrize("budget", [2, 3, 5, 7, 20])
def test_chunkah_keeps_every_path_and_the_budget(budget: int) -> None:
    layers = chunkah(WHOLE, budget)
    assert sorted(path for layer in layers for path in layer) == list(WHOLE)
    assert len(layers) <= budget
    assert all(layers)


def test_after_a_rebuild_of_everything_only_chunks_with_hashes_move() -> None:
    whole = closure(info("app", MB, "libssl-3"), info("libssl-3", MB))

    def read(path: StorePath) -> Iterator[Entry]:
        uses = b"".join(str(other).encode() for other in whole.references(path))
        words = b"".join(b"%d %s\n" % (n * n, path.name.encode()) for n in range(20_000))
        content = words + uses + words[::-1]
        yield Directory(f"nix/store/{path.base}".encode())
        yield File(f"nix/store/{path.base}/file".encode(), len(content), (content,))

    found = moved(whole, read, {"alone": lambda c, _: [[path] for path in c]}, 9)
    assert list(found) == [APP, LIBRARY, EVERYTHING]
    assert found[APP]["alone"]["layers"] < found[EVERYTHING]["alone"]["layers"]
    assert found[EVERYTHING]["alone"]["ours"] < found[EVERYTHING]["alone"]["files"]

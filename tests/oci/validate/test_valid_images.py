"""Images that are good, in all the ways in which an image may be made."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from support.smallimage import (
    STORE_LAYER,
    VIEW_LAYER,
    Layer,
    SmallImage,
    directory,
    entry,
    link,
    packed,
    tar,
)
from support.spoiled import findings, in_two, setting, view, without, zstd


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(SmallImage(), id="gzip"),
        pytest.param(
            SmallImage([replace(STORE_LAYER, pack=in_two(packed)), VIEW_LAYER]), id="gzip members"
        ),
        pytest.param(
            SmallImage([replace(STORE_LAYER, pack=in_two(zstd), suffix="+zstd"), VIEW_LAYER]),
            id="zstd frames",
        ),
        pytest.param(
            SmallImage([replace(STORE_LAYER, pack=bytes, suffix=""), VIEW_LAYER]), id="plain tar"
        ),
        pytest.param(SmallImage([STORE_LAYER, VIEW_LAYER, VIEW_LAYER]), id="one layer twice"),
        pytest.param(SmallImage(config=without("history")), id="no history"),
        pytest.param(
            SmallImage(
                config=lambda c: c["history"].insert(0, {"created_by": "ENV", "empty_layer": True})
            ),
            id="a step that made no layer",
        ),
        pytest.param(SmallImage(config=without("config")), id="nothing to run"),
        pytest.param(
            SmallImage(config=setting("config", "Entrypoint", to=["app"])), id="a bare name"
        ),
        pytest.param(
            SmallImage(config=setting("config", to={"Cmd": ["bin/app"], "WorkingDir": "/"})),
            id="a relative command",
        ),
        pytest.param(
            SmallImage(index=without("manifests", 0, "platform")), id="no platform listed"
        ),
        pytest.param(view(entry("f" * 200)), id="a long name, in PAX"),
        pytest.param(view(directory("./")), id="an entry for the root"),
        pytest.param(view(entry("empty", b"#!\n")), id="a script that names no interpreter"),
        pytest.param(view(entry("ünï", mode=0o644)), id="a name in UTF-8"),
        pytest.param(view(link("loop", "loop"), link("up", "../../../bin")), id="relative links"),
        pytest.param(view(link("mtab", "/proc/mounts")), id="a link that is good at run time"),
        pytest.param(
            view(entry("hard", type=tarfile.LNKTYPE, linkname="etc/passwd")), id="hard link"
        ),
        pytest.param(
            SmallImage(
                [STORE_LAYER, VIEW_LAYER, Layer(tar(directory("etc"), entry("etc/.wh.passwd")))]
            ),
            id="a whiteout that hides something",
        ),
        pytest.param(
            SmallImage(
                [STORE_LAYER, VIEW_LAYER, Layer(tar(directory("etc"), entry("etc/.wh..wh..opq")))]
            ),
            id="an opaque whiteout",
        ),
    ],
)
def test_nothing_is_found_in_a_good_image(tmp_path: Path, image: SmallImage) -> None:
    assert findings(image, tmp_path / "image") == []

"""The file system of all layers together: what hides what, where links lead."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.elf_heads import elf_with_interpreter
from support.smallimage import (
    STORE_LAYER,
    STORE_PATH,
    VIEW_LAYER,
    Layer,
    SmallImage,
    directory,
    entry,
    link,
    tar,
)
from support.spoiled import findings, setting, view

from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.oci.validate.merged import merge_layers, resolve

ELF_WITH_INTERPRETER = elf_with_interpreter(b"/lib/ld.so.1")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(
            view(link("a", "/opt/x"), link("b", "/opt/x"), link("c", "/opt/x")),
            "warning: /a: the link leads to '/opt/x', which is not in the image,"
            " as do 2 more [link]",
            id="links to nothing, told once for each target",
        ),
        pytest.param(
            view(link("a", "/b"), link("b", "/a")),
            "warning: /a: the link leads to '/b', which is not in the image [link]\n"
            "warning: /b: the link leads to '/a', which is not in the image [link]",
            id="links in a circle",
        ),
        pytest.param(
            view(link("a", "/etc/passwd/x")),
            "warning: /a: the link leads to '/etc/passwd/x', which is not in the image [link]",
            id="a link through a file",
        ),
        pytest.param(
            view(entry("run", b"#! /bin/sh -e\n"), entry("run2", b"#!/bin/sh")),
            "warning: /run: its interpreter '/bin/sh' is not in the image [interpreter]",
            id="scripts without their shell, told once",
        ),
        pytest.param(
            view(entry("run", b"#!sh\n")),
            "warning: /run: its interpreter 'sh' is no absolute path [interpreter]",
            id="an interpreter that the kernel looks for in the working directory",
        ),
        pytest.param(
            view(entry("run", ELF_WITH_INTERPRETER)),
            "warning: /run: its interpreter '/lib/ld.so.1' is not in the image [interpreter]",
            id="a program without its dynamic linker",
        ),
        pytest.param(
            SmallImage(
                [STORE_LAYER, VIEW_LAYER, Layer(tar(directory("bin"), directory("bin/app")))]
            ),
            "warning: layer 3: /bin/app: a directory replaces a link of a lower layer [replaced]",
            id="a directory over a link",
        ),
        pytest.param(
            SmallImage([STORE_LAYER, VIEW_LAYER, Layer(tar(link("etc", "bin")))]),
            "warning: layer 3: /etc: a link replaces a directory of a lower layer [replaced]",
            id="a link over a directory",
        ),
        pytest.param(
            SmallImage(
                [STORE_LAYER, VIEW_LAYER, Layer(tar(directory("bin"), entry("bin/.wh.app")))]
            ),
            "",
            id="a whiteout of what nobody needs",
        ),
        pytest.param(
            SmallImage(
                [STORE_LAYER, VIEW_LAYER, Layer(tar(directory("bin"), entry("bin/.wh.app")))],
                config=setting("config", "Entrypoint", to=["app"]),
            ),
            "error: config: 'app' is not in the image [entrypoint]",
            id="a whiteout of the entrypoint",
        ),
        pytest.param(
            SmallImage(
                [STORE_LAYER, VIEW_LAYER, Layer(tar(directory("bin"), entry("bin/.wh..wh..opq")))],
                config=setting("config", "Entrypoint", to=["app"]),
            ),
            "error: config: 'app' is not in the image [entrypoint]",
            id="an opaque whiteout of the directory of the entrypoint",
        ),
        pytest.param(
            SmallImage(
                [STORE_LAYER, VIEW_LAYER, Layer(tar(entry(".wh.nix")))],
                config=setting("config", to={}),
            ),
            f"warning: /bin/app: the link leads to '{STORE_PATH}/bin/app',"
            " which is not in the image [link]",
            id="a whiteout of a whole directory",
        ),
    ],
)
def test_what_is_wrong_with_the_layers_together(
    tmp_path: Path, image: SmallImage, expected: str
) -> None:
    assert "\n".join(findings(image, tmp_path / "image")) == expected


LAYER = Layer(
    tar(
        directory("a"),
        entry("a/file"),
        link("a/up", "../b"),
        directory("b"),
        link("b/absolute", "/a"),
        link("b/loop", "loop"),
        link("b/through", "absolute/up/absolute/file"),
        entry("implied/directory/file"),
    )
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/", b"5"),
        (b"/a", b"5"),
        (b"/a/file", b"0"),
        (b"//a/./../a/file", b"0"),
        (b"/../../a", b"5"),
        (b"/a/file/", b"0"),
        (b"/a/file/x", None),
        (b"/a/up", b"5"),
        (b"/a/up/absolute/file", b"0"),
        (b"/b/through", b"0"),
        (b"/b/loop", None),
        (b"/nothing", None),
        (b"/implied/directory", b"5"),
    ],
)
def test_a_path_leads_where_the_kernel_would_go(path: bytes, kind: bytes | None) -> None:
    contents = LayerContents("layer 1")
    contents.read([LAYER.plain])
    files, found = merge_layers([contents])
    assert found == []
    node = resolve(files, path)
    assert (node.kind if node else None) == kind

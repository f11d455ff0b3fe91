"""What a name stands for, and what an image is when it is read for its store paths."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.fakestore import FakeStore, Program
from support.smallimage import Json, Layer, SmallImage, directory, entry, link, tar

from nix2oci.compare.inputs import (
    InputKind,
    Reasons,
    image_contents,
    image_reasons,
    kind_of,
    planned_reasons,
)
from nix2oci.config.image_spec import ImageSpec
from nix2oci.model.closure import StorePath
from nix2oci.model.closure_contents import ClosureContents
from nix2oci.model.shell_references import ReferenceKind as MentionKind
from nix2oci.model.shell_references import ShellReference
from nix2oci.model.tree import Tree
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.store import LocalStore
from nix2oci.oci.layout.source import open_image
from nix2oci.pipeline.prepared import Prepared
from nix2oci.plan.layers.layering import Plan
from nix2oci.plan.shell import RemainingShell, ShellDecision, keep_all

PARTS = ["0123456789abcdfghijklmnpqrsvwxyz", *(digit * 32 for digit in "abcd")]
APP, LIB, CERTS, TOOL, STRAY = (
    f"/nix/store/{part}-{name}"
    for part, name in zip(PARTS, ("app-1.0", "lib-2", "certs", "tool", "stray"), strict=True)
)
STORE = (directory("nix"), directory("nix/store"))


def base(path: str, text: str) -> Layer:
    return Layer(tar(*STORE, directory(path[1:], 0o555), entry(f"{path[1:]}/file", text.encode())))


VIEW = Layer(
    tar(
        directory("bin"),
        link("bin/tool", f"{TOOL}/file"),
        directory("usr"),
        directory("usr/bin"),
        link("usr/bin/tool", f"{TOOL}/file"),
    )
)
LAYERS = (
    base(LIB, "nothing"),
    base(CERTS, "nothing"),
    base(TOOL, f"#!{LIB}"),
    base(STRAY, STRAY),
    base(APP, f"{LIB}/file and {APP}"),
    VIEW,
)


def configured(document: Json) -> None:
    document["config"] = {
        "Entrypoint": [f"{APP}/file"],
        "Env": [f"CERTS={CERTS}/file"],
        "Labels": {"stray": STRAY},
    }


@pytest.fixture
def image(tmp_path: Path) -> str:
    return str(SmallImage(LAYERS, configured).write(tmp_path / "image"))


def test_contents_of_an_image(image: str) -> None:
    found = image_contents(open_image(image))
    assert sorted(map(str, found.paths)) == sorted([APP, LIB, CERTS, TOOL, STRAY])
    assert [[str(path) for path in layer.paths] for layer in found.layers] == [
        *([LIB], [CERTS], [TOOL], [STRAY], [APP]),
        [],
    ]
    assert all(layer.digest and layer.diff_id and layer.size for layer in found.layers)
    assert found.settings is not None
    assert found.settings["env CERTS"] == f"{CERTS}/file"


def test_a_store_path_belongs_to_the_first_layer_that_has_it(tmp_path: Path) -> None:
    over = Layer(tar(entry(f"{APP[1:]}/file", b"launcher")))
    path = str(SmallImage([base(APP, ""), over]).write(tmp_path / "image"))
    layers = image_contents(open_image(path)).layers
    assert [len(layer.paths) for layer in layers] == [1, 0]


def test_diff_ids_may_be_missing(tmp_path: Path) -> None:
    spoiled = SmallImage(config=lambda document: document.pop("rootfs")).write(tmp_path / "image")
    assert [layer.diff_id for layer in image_contents(open_image(str(spoiled))).layers] == ["", ""]


def reasons(image: str) -> Reasons:
    return image_reasons(open_image(image))


def test_references_of_an_image_are_those_in_its_files(image: str) -> None:
    graph = reasons(image).graph
    found = {str(path): [str(other) for other in to] for path, to in graph.references.items()}
    assert found == {APP: [LIB], TOOL: [LIB], LIB: [], CERTS: [], STRAY: []}


def test_roots_of_an_image_are_what_it_starts_and_links_to(image: str) -> None:
    graph = reasons(image).graph
    assert {str(path): why for path, why in graph.roots.items()} == {
        APP: ("entrypoint",),
        CERTS: ("env CERTS",),
        TOOL: ("/bin/tool", "/usr/bin/tool"),
        STRAY: ("nothing refers to it",),
    }


def test_a_layer_is_shared_out_by_size(tmp_path: Path) -> None:
    both = Layer(
        tar(
            *STORE, entry(APP[1:], b"x" * 3000, mode=0o444), entry(LIB[1:], b"x" * 1000, mode=0o444)
        ),
        pack=bytes,
        suffix="",
    )
    found = reasons(str(SmallImage([base(TOOL, ""), both]).write(tmp_path / "image")))
    tool, app, lib = (StorePath.parse(text) for text in (TOOL, APP, LIB))
    source = open_image(str(tmp_path / "image"))
    sizes = [layer.size for layer in source.layers()]
    assert found.packed is not None
    assert found.packed[tool] == sizes[0]
    assert sizes[1] - 1 <= found.packed[app] + found.packed[lib] <= sizes[1]
    assert found.packed[app] == sizes[1] * (3000 + 112) // (4000 + 224)
    assert found.graph.sizes[app] == 3000 + 112


def test_files_that_hold_a_reference(image: str) -> None:
    naming = reasons(image).naming
    app, lib, certs = (StorePath.parse(text) for text in (APP, LIB, CERTS))
    assert naming(lib, app) == (b"file",)
    assert naming(certs, app) == ()


def test_a_launcher_no_longer_refers_to_the_shell_of_its_wrapper(store: FakeStore) -> None:
    """Another path keeps the shell, so Nix's record of the reference stays in the closure."""
    shell = store.add("sh", b"shell").path
    python = store.add("python", str(shell).encode(), [shell]).path
    script = {b"run": Program(f"#!{shell} {python}".encode())}
    app = store.add("app", script, [shell, python]).path
    closure = store.closure(app)
    kept = ShellReference(python, str(python).encode(), shell, MentionKind.TEXT)

    def references(shells: ShellDecision) -> list[str]:
        planned = Prepared(
            (),
            ImageSpec(),
            shells,
            Plan(()),
            ClosureContents(),
            Tree({}),
            LocalStore(store.root),
            FactCache(),
        )
        return [path.name for path in planned_reasons(planned).graph.references[app]]

    whole = keep_all(closure)
    assert references(whole) == ["python", "sh"]
    launchers = {f"{app}/run".encode(): str(python).encode()}
    replaced = replace(whole, launchers=launchers, staying=(RemainingShell(shell, "", (kept,)),))
    assert references(replaced) == ["python"]
    mine = ShellReference(app, f"{app}/other".encode(), shell, MentionKind.TEXT)
    still = replace(replaced, staying=(RemainingShell(shell, "", (kept, mine)),))
    assert references(still) == ["python", "sh"]


# --- what a name stands for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("layout", InputKind.IMAGE, id="an image layout"),
        pytest.param("layout:1.0", InputKind.IMAGE, id="an image layout and a tag"),
        pytest.param("oci:nothing:1.0", InputKind.IMAGE, id="what build prints"),
        pytest.param("oci-archive:nothing", InputKind.IMAGE, id="what build prints of an archive"),
        pytest.param("archive", InputKind.IMAGE, id="a tar archive"),
        pytest.param(
            "archive.gz", InputKind.IMAGE, id="a compressed archive, which is told apart later"
        ),
        pytest.param("missing.oci", InputKind.IMAGE, id="a layout that is not there"),
        pytest.param("missing.tar", InputKind.IMAGE, id="an archive that is not there"),
        pytest.param("closure", InputKind.CLOSURE, id="a JSON document"),
        pytest.param("empty.json", InputKind.CLOSURE, id="an empty file with the name of one"),
        pytest.param("missing.json", InputKind.CLOSURE, id="a closure that is not there"),
        pytest.param(".", InputKind.INSTALLABLE, id="a directory"),
        pytest.param(".#app", InputKind.INSTALLABLE, id="an attribute of a flake"),
        pytest.param("nixpkgs#hello", InputKind.INSTALLABLE, id="a flake of the registry"),
        pytest.param("path:./layout#app", InputKind.INSTALLABLE, id="a flake with a scheme"),
        pytest.param("localhost/app", InputKind.IMAGE, id="an image in a registry"),
        pytest.param(
            "h.io:5000/a/b@sha256:" + "0" * 64, InputKind.IMAGE, id="an image by its digest"
        ),
        pytest.param("docker://app", InputKind.IMAGE, id="an image of Docker Hub"),
        pytest.param("github:NixOS/nixpkgs", InputKind.INSTALLABLE, id="a flake of GitHub"),
        pytest.param("git+https://h.io/app", InputKind.INSTALLABLE, id="a flake by its address"),
        pytest.param("nixpkgs/nixos-24.05#app", InputKind.INSTALLABLE, id="a branch of a flake"),
        pytest.param("./app", InputKind.INSTALLABLE, id="a directory that is not there"),
        pytest.param("result", InputKind.INSTALLABLE, id="a link to a file in the store"),
        pytest.param("result-tar", InputKind.IMAGE, id="a link to an archive in the store"),
        pytest.param("text", InputKind.IMAGE, id="any other file, for the error that names it"),
    ],
)
def test_what_a_name_stands_for(
    text: str, kind: InputKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SmallImage().write(tmp_path / "layout")
    archive = tar(entry("oci-layout", b"{}"))
    files = {
        "archive": archive,
        "archive.gz": gzip.compress(archive),
        "closure": b'\n {"path": 1}',
        "empty.json": b"",
        "text": b"text",
        f"{PARTS[0]}-file": b"\x7fELF",
        f"{PARTS[0]}-file.tar": archive,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.symlink(f"{PARTS[0]}-file", "result")
    os.symlink(f"{PARTS[0]}-file.tar", "result-tar")
    assert kind_of(text) is kind

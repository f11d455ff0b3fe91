"""What other people's tools and the specifications say of an image, from end to end."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.docker_registry import registry
from real.engines import ClientEngine, Runc, output
from real.images import TAG, Images, Layout, nix2oci
from support.tools import require

PROGRAM = "python3-flask"
TREE = ("diff", "--recursive", "--no-dereference", "--brief")


def layers(layout: Layout) -> Iterator[list[tarfile.TarInfo]]:
    """The entries of each layer, base layer first."""
    for digest in layout.layers:
        with tarfile.open(layout.blob(digest), errors="surrogateescape") as tar:
            yield tar.getmembers()


def facts(entry: tarfile.TarInfo) -> tuple[str, int, int, int, str, str, float]:
    names = (entry.uname, entry.gname)
    return (entry.name, entry.mode, entry.uid, entry.gid, *names, entry.mtime)


def test_every_store_layer_begins_with_the_same_parents(images: Images) -> None:
    *store_layers, view = layers(images.layout(PROGRAM))
    parents = [(name, 0o755, 0, 0, "", "", 1) for name in ("nix", "nix/store")]
    assert [[facts(entry) for entry in entries[:2]] for entries in store_layers] == [
        parents for _ in store_layers
    ]
    below = {entry.name: (entry.type, entry.mode) for entries in store_layers for entry in entries}
    over = {entry.name: (entry.type, entry.mode) for entry in view if entry.name[:3] == "nix"}
    assert over.items() <= below.items(), "a launcher is not like the wrapper that it lies over"
    assert [entry.name[-10:] for entry in view if entry.name in over and entry.isreg()] == [
        "/bin/flask"
    ]


def test_layers_hold_what_every_tool_can_unpack(images: Images) -> None:
    for entries in layers(images.layout(PROGRAM)):
        names = [entry.name for entry in entries]
        assert len(set(names)) == len(names), "a name is there twice"
        seen = {"", "."}
        for entry in entries:
            assert entry.isreg() or entry.isdir() or entry.issym(), entry.name
            assert not entry.name.startswith("/")
            assert not any(part.startswith(".wh.") for part in entry.name.split("/"))
            assert entry.name in seen or entry.name.rpartition("/")[0] in seen, entry.name
            if entry.isdir():
                seen.add(entry.name)


def test_an_ordinary_user_unpacks_every_layer_in_order_with_tar(
    images: Images, runc_engine: Runc, share: Path
) -> None:
    require("setpriv", "tar")
    layout = images.layout(PROGRAM)
    root = share / "root"
    as_user = ("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups")
    output(*as_user, "mkdir", root)
    # Nobody but root may write into the directories of a store path: tar has to be told to
    # change their mode for as long as it takes to put a launcher there.
    for digest in layout.layers:
        output(*as_user, "tar", "--no-overwrite-dir", "-xpf", layout.blob(digest), "-C", root)
    unpacked = runc_engine.rootfs(images.loaded(runc_engine, PROGRAM))
    output(*TREE, root / "nix", unpacked / "nix")


def test_podman_mounts_what_umoci_unpacks(
    images: Images, runc_engine: Runc, podman_engine: ClientEngine
) -> None:
    unpacked = runc_engine.rootfs(images.loaded(runc_engine, PROGRAM))
    name = images.loaded(podman_engine, PROGRAM)
    mounted = output(*podman_engine.client, "image", "mount", name).strip()
    try:
        output(*TREE, mounted, unpacked)
    finally:
        output(*podman_engine.client, "image", "unmount", name)


def test_oci_image_tool_finds_nothing_wrong(images: Images) -> None:
    require("oci-image-tool")
    path = images.layout(PROGRAM).path
    output("oci-image-tool", "validate", "--type", "image", "--ref", f"name={TAG}", path)


def test_our_own_validator_finds_nothing_wrong(images: Images) -> None:
    for image in (images.layout(PROGRAM).path, images.archive(PROGRAM)):
        assert f"{image} is valid: 0 errors" in nix2oci("validate", image)


def test_an_image_keeps_its_digest_through_a_registry(images: Images, tmp_path: Path) -> None:
    require("skopeo")
    layout = images.layout(PROGRAM)
    back = tmp_path / "back"
    copy = ("skopeo", "copy", "--insecure-policy", "--quiet", "--preserve-digests")
    with registry(tmp_path) as host:
        there = f"docker://{host}/team/app:{TAG}"
        output(*copy, "--dest-tls-verify=false", f"oci:{layout.path}:{TAG}", there)
        output(*copy, "--src-tls-verify=false", there, f"oci:{back}:{TAG}")
    assert Layout(back).descriptor["digest"] == layout.descriptor["digest"]
    assert Layout(back).layers == layout.layers


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_skopeo_reads_the_archive_both_ways(transport: str, images: Images, tmp_path: Path) -> None:
    require("skopeo")
    source = f"{transport}:{images.archive(PROGRAM)}"
    output("skopeo", "copy", "--insecure-policy", "--quiet", source, f"dir:{tmp_path / 'out'}")
    names = {f"sha256:{file.name}" for file in (tmp_path / "out").iterdir()}
    layout = images.layout(PROGRAM)
    # A docker-archive is read as plain tars, whatever they are in the file.
    expected = layout.layers if transport == "oci-archive" else layout.config["rootfs"]["diff_ids"]
    assert names >= set(expected)

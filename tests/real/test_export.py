"""`ls`, `cat` and `export` see in an image what umoci unpacks and podman exports of it.

The image is on a base whose layers delete, replace and link files, and have what only root can
make: devices, owners, extended attributes.
"""

import hashlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.bases import GROUP, PASSWD, TAG, umoci
from real.distro import sample
from real.engines import ClientEngine, output
from real.images import nix2oci
from support.tools import require, require_root

pytestmark = pytest.mark.slow

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
LONG = "d" * 120 + "/" + "n" * 200

OF_THE_ENGINE = {"dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"}
"""What podman makes in each container: places to mount on, and files that it fills in."""


def fill(root: Path) -> None:
    """The first layer: one of each kind of file."""
    for name in ("bin", "etc", "usr/lib", "srv/gone", "srv/emptied", "srv/file-later", LONG[:120]):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "lib").symlink_to("usr/lib")
    for name in ("srv/gone/a", "srv/emptied/b", "srv/file-later/c", "srv/deleted", "srv/owned"):
        (root / name).write_text(name)
    os.chown(root / "srv/owned", 33, 33)
    (root / "srv/set").write_bytes(b"#!\n")
    (root / "srv/set").chmod(0o6755)
    (root / "srv").chmod(0o1777)
    (root / LONG).write_text("long")
    (root / "srv/caf\udce9\n").write_text("not UTF-8")
    (root / "srv/one").write_bytes(b"content" * 100_000)
    for name in ("srv/two", "bin/three"):
        (root / name).hardlink_to(root / "srv/one")
    os.setxattr(root / "srv/set", "security.capability", CAPABILITY)
    os.setxattr(root / "srv/one", "user.note", b"a\0b=\n\xff")
    os.setxattr(root / "usr/lib", "user.note", b"of a directory")
    os.mknod(root / "srv/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "srv/disk", stat.S_IFBLK | 0o640, os.makedev(259, 70000))
    os.mkfifo(root / "srv/pipe", 0o600)
    os.utime(root / "srv/owned", (1, 1_234_567_890))


def change(root: Path) -> None:
    """The second: what is deleted, replaced and changed in it."""
    shutil.rmtree(root / "srv/gone")
    (root / "srv/deleted").unlink()
    (root / "bin/three").unlink()
    shutil.rmtree(root / "srv/file-later")
    (root / "srv/file-later").write_text("a file now")
    (root / "lib").unlink()
    (root / "lib").mkdir()
    (root / "lib/own").write_text("no link any more")
    (root / "srv/owned").chmod(0o600)


def opaque_layer(path: Path) -> None:
    """The third, which umoci would not make: a directory emptied by one mark, and filled again.

    Entries for the directories are there, as engines write them: without them podman forgets the
    modes that these have in layers below, and umoci does not.
    """
    with tarfile.open(path, "w") as tar:
        for name, kind, mode, content in (
            ("srv", tarfile.DIRTYPE, 0o1777, b""),
            ("srv/emptied", tarfile.DIRTYPE, 0o755, b""),
            ("srv/emptied/new", tarfile.REGTYPE, 0o640, b"new"),
            ("srv/emptied/.wh..wh..opq", tarfile.REGTYPE, 0o644, b""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.mtime = kind, mode, len(content), 7
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture(scope="module")
def image(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of an image on such a base; its tag is 1."""
    require_root()
    require("umoci", "tar")
    directory = tmp_path_factory.mktemp("export")
    base, bundle = directory / "base", directory / "bundle"
    umoci(base, "init", "--layout")
    umoci(base, "new", "--image", tag=TAG)
    output("umoci", "unpack", "--image", f"{base}:{TAG}", bundle)
    for edit in (fill, change):
        edit(bundle / "rootfs")
        output("umoci", "repack", "--refresh-bundle", "--image", f"{base}:{TAG}", bundle)
    opaque_layer(directory / "opaque.tar")
    output("umoci", "raw", "add-layer", "--image", f"{base}:{TAG}", directory / "opaque.tar")
    built = directory / "image.tar"
    tag = ("--tag", "nix2oci.test/export:1", "-o", built)
    nix2oci("build", *sample(distro, "hello-c"), "--base", f"{base}:{TAG}", *tag)
    return built


@pytest.fixture(scope="module")
def unpacked(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the image, by umoci."""
    directory = tmp_path_factory.mktemp("unpacked")
    layout = directory / "layout"
    layout.mkdir()
    output("tar", "-xf", image, "-C", layout)
    output("umoci", "unpack", "--image", f"{layout}:1", directory / "bundle")
    return directory / "bundle/rootfs"


@dataclass(frozen=True)
class Facts:
    """All that a file system knows of a file, without its names."""

    mode: int
    owner: tuple[int, int]
    content: str
    mtime: int
    device: int
    attributes: tuple[tuple[str, bytes], ...]
    names: tuple[str, ...]
    """All hard links of it."""


def facts(root: Path) -> dict[str, Facts]:
    """Of everything in a directory, by its path in it."""
    names: dict[int, list[str]] = {}
    paths = {"."} | {os.path.relpath(p, root) for p in walk(root)}
    for name in sorted(paths):
        status = (root / name).lstat()
        names.setdefault(status.st_ino, []).append(name)
    return {name: fact(root / name, names) for name in paths}


def walk(root: Path) -> Iterator[str]:
    for directory, directories, files in os.walk(root):
        yield from (os.path.join(directory, name) for name in directories + files)


def fact(path: Path, names: dict[int, list[str]]) -> Facts:
    status = path.lstat()
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    attributes = os.listxattr(path, follow_symlinks=False)
    return Facts(
        status.st_mode,
        (status.st_uid, status.st_gid),
        content,
        0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns,
        status.st_rdev,
        tuple(
            (name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(attributes)
        ),
        tuple(names[status.st_ino]),
    )


def test_an_export_unpacks_to_what_umoci_unpacks(
    image: Path, unpacked: Path, tmp_path: Path
) -> None:
    """Everything but the times of directories: names, modes, owners, links, attributes, devices."""
    nix2oci("export", image, "-o", tmp_path / "root.tar")
    root = tmp_path / "root"
    root.mkdir()
    keep = ("--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner")
    output(
        "tar", "--extract", "--preserve-permissions", *keep, "-f", tmp_path / "root.tar", "-C", root
    )
    ours, theirs = facts(root), facts(unpacked)
    assert ours == theirs
    assert {"srv/deleted", "srv/gone", "srv/emptied/b", "bin/three"}.isdisjoint(ours)
    assert ours["srv/one"].names == ("srv/one", "srv/two")
    assert ours["srv/set"].attributes == (("security.capability", CAPABILITY),)
    assert ours["srv/disk"].device == os.makedev(259, 70000)
    assert ours["srv/emptied/new"].content == hashlib.sha256(b"new").hexdigest()


def entries(tar: tarfile.TarFile) -> dict[str, tuple[object, ...]]:
    """Types, modes, owners and contents of a tar, hard links as files of their own."""
    found: dict[str, tuple[object, ...]] = {}
    for member in tar:
        name = os.path.normpath(member.name)
        kind = tarfile.REGTYPE if member.islnk() else member.type
        stream = tar.extractfile(member) if kind == tarfile.REGTYPE else None
        content = hashlib.sha256(stream.read()).hexdigest() if stream else member.linkname
        device = (member.devmajor, member.devminor) if member.isdev() else ()
        found[name] = (kind, stat.S_IMODE(member.mode), member.uid, member.gid, content, device)
    return found


def test_an_export_has_what_podman_exports(
    image: Path, podman_engine: ClientEngine, tmp_path: Path
) -> None:
    name = podman_engine.load(image)
    container = output(*podman_engine.client, "create", name).strip()
    try:
        output(*podman_engine.client, "export", "-o", tmp_path / "podman.tar", container)
    finally:
        output(*podman_engine.client, "rm", container)
    nix2oci("export", image, "-o", tmp_path / "root.tar")
    with (
        tarfile.open(tmp_path / "podman.tar") as theirs,
        tarfile.open(tmp_path / "root.tar") as ours,
    ):
        exported, by_podman = entries(ours), entries(theirs)
    made = by_podman.keys() - exported.keys()
    assert made <= OF_THE_ENGINE
    exported.pop(".", None)
    by_podman.pop(".", None)
    assert exported == {path: entry for path, entry in by_podman.items() if path not in made}

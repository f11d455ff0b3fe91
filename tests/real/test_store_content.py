"""What a store can hold and an image must too, byte for byte; and what an image cannot hold."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real.images import NIX2OCI, Layout, nix2oci
from support.tools import require, require_root

pytestmark = pytest.mark.nix

# The names of files, which a store has as bytes; Nix itself forbids only `/` and NUL.
NAMES = {
    "not UTF-8": b"caf\xe9\xff",
    "UTF-8": "naïve 雪".encode(),
    "a newline and a tab": b"a\nb\tc",
    "spaces at both ends": b" a ",
    "a quote, a dollar and a backslash": b"a'\"$\\",
    "255 bytes": b"n" * 255,
    "like a tar option": b"--checkpoint=1",
}


def run(*argv: str | Path, data: bytes = b"") -> bytes:
    """What a program prints; it must succeed."""
    return subprocess.run(argv, input=data, check=True, capture_output=True).stdout


def add(directory: Path) -> str:
    """Add files to the store as they are; the store path."""
    return run("nix-store", "--add", directory).decode().strip()


def add_or_skip(directory: Path) -> str:
    """The same of directories so deep that a recent Nix refuses them; 2.26 ends by a signal."""
    argv = ("nix-store", "--add", directory)
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode < 0 or "exceeds maximum NAR directory depth" in done.stderr:
        pytest.skip("this Nix takes no directories that are as deep")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def unpacked(layout: Path, into: Path) -> Path:
    """The root of the image, by umoci."""
    require("umoci")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    run("umoci", "unpack", *rootless, "--image", f"{layout}:latest", into)
    return into / "rootfs"


def nar(path: Path) -> bytes:
    """The NAR of files anywhere, by Nix."""
    return run("nix-store", "--dump", path)


def image(tmp_path: Path, path: str, *options: str) -> Path:
    layout = tmp_path / "image"
    nix2oci("build", path, "-o", layout, "--entrypoint", f"{path}/run", *options)
    return layout


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "hostile"
    directory.mkdir()
    (directory / "run").write_bytes(b"\x7fELF x")
    (directory / "run").chmod(0o755)
    return directory


def test_every_name_arrives_as_it_is(files: Path, tmp_path: Path) -> None:
    require("nix")
    for what, name in NAMES.items():
        Path(os.fsdecode(os.fsencode(files) + b"/" + name)).write_text(what)
    path = add(files)
    root = unpacked(image(tmp_path, path), tmp_path / "bundle")
    assert nar(Path(f"{root}{path}")) == nar(Path(path))


def test_podman_mounts_every_name(files: Path, tmp_path: Path, scratch: Path) -> None:
    require("nix", "podman")
    require_root()
    for name in NAMES.values():
        Path(os.fsdecode(os.fsencode(files) + b"/" + name)).write_text("x")
    path = add(files)
    archive = tmp_path / "image.tar"
    nix2oci("build", path, "-o", archive, "--entrypoint", f"{path}/run", "--tag", "names:1")
    state = scratch / "names"  # podman takes no long path for it
    podman = ("podman", f"--root={state}/root", f"--runroot={state}/run")
    run(*podman, "load", "--quiet", "--input", archive)
    mount = run(*podman, "image", "mount", "names:1").decode().strip()
    try:
        assert nar(Path(f"{mount}{path}")) == nar(Path(path))
    finally:
        run(*podman, "image", "unmount", "names:1")
        run(*podman, "rmi", "--force", "names:1")


@pytest.mark.parametrize("depth", [1, 3, 20], ids=lambda n: f"{n * 200} bytes and more")
def test_long_paths_arrive(depth: int, files: Path, tmp_path: Path) -> None:
    require("nix")
    deep = files.joinpath(*["d" * 199] * min(depth, 15))
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    (files / "link").symlink_to("/" + "t" * (200 * depth))
    path = add(files)
    root = unpacked(image(tmp_path, path), tmp_path / "bundle")
    assert nar(Path(f"{root}{path}")) == nar(Path(path))


def test_directories_are_as_deep_as_a_path_is_long(files: Path, tmp_path: Path) -> None:
    """Nothing recurses: Python ends that at a depth of 1,000. The same from another store."""
    require("nix")
    try:
        deep = f"{files}"
        for _ in range(1700):
            deep += "/d"
            os.mkdir(deep)
        Path(f"{deep}/file").write_text("x")
        path = add_or_skip(files)
        layout = image(tmp_path, path)
        (tmp_path / "root").mkdir()
        local = Layout(layout).manifest
        for blob in map(Layout(layout).blob, Layout(layout).layers):
            run("tar", "-xzf", blob, "--delay-directory-restore", "-C", tmp_path / "root")
        assert nar(Path(f"{tmp_path}/root{path}")) == nar(Path(path))
        run("nix", "copy", "--to", f"file://{tmp_path}/cache", path)
        image(tmp_path, path, "--from", f"file://{tmp_path}/cache", "--no-check-sigs")
        assert Layout(layout).manifest == local
    finally:
        run("chmod", "-R", "u+w", tmp_path)
        run("rm", "-rf", files, tmp_path / "root")  # pytest recurses


@pytest.mark.parametrize("name", [".wh.run", ".wh..wh..opq", ".wh.", "d/.wh.d/x"])
def test_a_name_that_means_deletion_is_refused(name: str, files: Path, tmp_path: Path) -> None:
    require("nix")
    (files / name).parent.mkdir(parents=True, exist_ok=True)
    (files / name).write_text("x")
    path = add(files)
    argv = [NIX2OCI, "build", "-q", path, "-o", f"{tmp_path}/image", "--entrypoint", f"{path}/run"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    shown = name.removesuffix("/x")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        f"error: cannot put {path}/{shown} into a layer: "
        "names that start with '.wh.' mark deletions\n"
    )
    assert not (tmp_path / "image").exists()


@contextmanager
def collecting(store: Path) -> Iterator[list[int]]:
    """Collect garbage in a store again and again; the list has one item for each time."""
    times: list[int] = []
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            run("nix-store", "--store", store, "--gc")
            times.append(1)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield times
    finally:
        done.set()
        thread.join()


def test_what_is_read_is_not_collected(tmp_path: Path) -> None:
    """The outputs are held by a root, which is gone afterwards."""
    require("nix")
    files, store = tmp_path / "files", tmp_path / "store"
    files.mkdir()
    (files / "large").write_bytes(os.urandom(40 << 20))
    (files / "run").write_bytes(b"\x7fELF x")
    (files / "run").chmod(0o755)
    path = add(files)
    run("nix-store", "--store", store, "--import", data=run("nix-store", "--export", path))
    root = tmp_path / "root"
    run("nix-store", "--store", store, "--realise", path, "--add-root", root)
    with collecting(store) as times:
        while not times:
            threading.Event().wait(0.05)
        argv = [NIX2OCI, "build", "-q", path, "--store", str(store), "-o", f"{tmp_path}/image"]
        build = subprocess.Popen([*argv, "--entrypoint", f"{path}/run"])
        while build.poll() is None and not any(tmp_path.glob("image/.nix2oci-*")):
            threading.Event().wait(0.01)
        root.unlink()  # from here on only the build's own root is there
        assert build.wait(timeout=300) == 0
    run("nix-store", "--store", store, "--gc")
    assert len(times) > 1
    assert not Path(f"{store}{path}").exists()


def test_thousands_of_store_paths_are_one_small_manifest(tmp_path: Path) -> None:
    """An annotation for each layer, not for each store path: registries take 4 MiB."""
    require("nix")
    expression = tmp_path / "many.nix"
    expression.write_text(
        """
        let paths = builtins.genList (n: builtins.toFile "path-${toString n}" "${toString n}") 3000;
        in derivation {
          name = "many"; system = builtins.currentSystem; builder = "/bin/sh"; inherit paths;
          passAsFile = [ "paths" ];
          args = [ "-c" "read -r all < $pathsPath; echo $all > $out" ];
        }
        """
    )
    path = run("nix-build", "--no-out-link", expression).decode().strip()
    (program := tmp_path / "program").write_bytes(b"\x7fELF x")
    program.chmod(0o755)
    main = add(program)
    layout = Layout(tmp_path / "image")
    nix2oci("build", main, path, "-o", layout.path, "--entrypoint", main)
    assert len(layout.layers) == 64
    assert layout.descriptor["size"] < 32_000
    assert nix2oci("validate", "-q", layout.path) == ""

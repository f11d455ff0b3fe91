"""Base images as other people's tools make them: a Debian root, packed by umoci and skopeo."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from real.engines import output
from real.images import Layout, nix2oci
from support.tools import require

PACKAGES = ("base-files", "bash", "coreutils")
TAG = "12"
PATH = "/usr/local/bin:/usr/bin:/bin"
PASSWD = "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33:www:/srv:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nwww:x:33:\n"
MANY = 120


def with_libraries(debs: Path) -> list[Path]:
    """The packages, and the libraries that they and these depend on, in this release."""
    found: dict[str, Path] = {}
    queue = list(PACKAGES)
    while queue:
        package = queue.pop()
        (found[package],) = debs.glob(f"{package}_*.deb")
        relations = output("dpkg-deb", "--field", found[package], "Pre-Depends", "Depends")
        queue += set(re.findall(r"(?<![\w-])lib[\w.+-]+", relations)) - found.keys()
    return [found[package] for package in sorted(found)]


def debian_root(debs: Path, root: Path) -> Path:
    """Unpack packages of Debian as a system has them: /bin, /lib and /sbin are links into /usr."""
    require("dpkg-deb", "tar")
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for deb in with_libraries(debs):
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE
        ) as unpacking:
            argv = ["tar", "--extract", "--keep-directory-symlink", "--directory", str(root)]
            subprocess.run(argv, stdin=unpacking.stdout, check=True)
        assert unpacking.returncode == 0, deb
    (root / "usr/bin/sh").symlink_to("bash")
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    return root


@dataclass(frozen=True, slots=True)
class Bases:
    """Bases by kind, and images on them; each is made once."""

    debs: Path
    directory: Path
    hello: tuple[str, ...]
    """The sample flake hello-c, and the options that it is built with."""

    def base(self, kind: str) -> str:
        """What `--base` takes."""
        path = self.directory / kind
        if not path.exists():
            make: Callable[[Path], object] = getattr(self, f"_{kind}")
            make(path)
        return f"{path}:{TAG}"

    def build(self, kind: str, form: str, *more: str) -> Path:
        """An image of hello on a base: named `nix2oci.test/hello-KIND:1`."""
        path = self.directory / f"hello-{kind}.{form}"
        if not path.exists():
            tag = ("--tag", f"nix2oci.test/hello-{kind}:1", "--max-layers", "127")
            base = ("--base", self.base(kind))
            nix2oci("build", *self.hello, *base, *tag, "-o", path, "--format", form, *more)
        return path

    def layout(self, kind: str) -> Layout:
        return Layout(self.build(kind, "oci"))

    def _debian(self, path: Path) -> None:
        """One layer, made by umoci, which leaves out the end mark of the tar."""
        require("umoci")
        root = debian_root(self.debs, self.directory / "root")
        umoci(path, "init", "--layout")
        umoci(path, "new", "--image", tag=TAG)
        output("umoci", "insert", "--image", f"{path}:{TAG}", root, "/")
        shutil.rmtree(root)
        set_up = ("--config.env", f"PATH={PATH}", "--config.cmd", "bash", "--config.workingdir")
        output("umoci", "config", "--image", f"{path}:{TAG}", *set_up, "/srv")

    def _docker(self, path: Path) -> None:
        """The same with a Docker manifest, which skopeo writes into a directory of its own form."""
        require("skopeo")
        plain = self.directory / "dir"
        output("skopeo", "copy", "--format", "v2s2", f"oci:{self.base('debian')}", f"dir:{plain}")
        blobs = path / "blobs/sha256"
        blobs.mkdir(parents=True)
        manifest = (plain / "manifest.json").read_bytes()
        digest = output("sha256sum", plain / "manifest.json").split()[0]
        (plain / "manifest.json").rename(blobs / digest)
        for blob in plain.glob("?" * 64):
            blob.rename(blobs / blob.name)
        described = {
            "mediaType": json.loads(manifest)["mediaType"],
            "digest": f"sha256:{digest}",
            "size": len(manifest),
            "annotations": {"org.opencontainers.image.ref.name": TAG},
        }
        index = {"schemaVersion": 2, "manifests": [described]}
        (path / "index.json").write_text(json.dumps(index))
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def _saved(self, path: Path) -> None:
        """The same as `docker save` wrote it before version 25: plain tars, no manifest."""
        require("skopeo")
        target = f"docker-archive:{path}:example.com/debian:{TAG}"
        output("skopeo", "copy", f"oci:{self.base('debian')}", target)

    def _zstd(self, path: Path) -> None:
        """The same with a zstd layer."""
        require("skopeo")
        packed = ("--dest-compress-format", "zstd")
        output("skopeo", "copy", *packed, f"oci:{self.base('debian')}", f"oci:{path}:{TAG}")

    def _linked(self, path: Path) -> None:
        """Busybox in a /bin of its own, and /etc a link to /data/etc."""
        require("umoci", "dpkg-deb")
        (deb,) = self.debs.glob("busybox-static_*.deb")
        root = self.directory / "linked-root"
        output("dpkg-deb", "--extract", deb, root)
        (busybox,) = root.glob("**/bin/busybox")  # Debian 13 has it in /usr
        (root / "bin").mkdir(exist_ok=True)
        busybox.rename(root / "bin/busybox")
        shutil.rmtree(root / "usr")
        (root / "bin/sh").symlink_to("busybox")
        (root / "data/etc").mkdir(parents=True)
        (root / "data/etc/passwd").write_text(PASSWD)
        (root / "etc").symlink_to("data/etc")
        umoci(path, "init", "--layout")
        umoci(path, "new", "--image", tag=TAG)
        output("umoci", "insert", "--image", f"{path}:{TAG}", root, "/")

    def _many(self, path: Path) -> None:
        """The same with 119 layers more, each of one file."""
        shutil.copytree(self.base("debian").rpartition(":")[0], path)
        file = self.directory / "file"
        for number in range(1, MANY):
            file.write_text(f"{number}\n")
            output("umoci", "insert", "--image", f"{path}:{TAG}", file, f"/srv/{number}")


def umoci(path: Path, command: str, option: str, tag: str = "") -> None:
    output("umoci", command, option, f"{path}:{tag}" if tag else path)

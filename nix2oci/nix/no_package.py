"""What an output is that is no package: an image that some tool made already, or one file.

Asked where an image has nothing to start: builders of images and of scripts stand beside packages
in many flakes, and their outputs have no `bin/`.
"""

from __future__ import annotations

import os
import stat

from nix2oci.model.closure import StorePath
from nix2oci.nix.store_files import StoreFiles, unreadable

_HEAD = 1 << 16
_DOCUMENTS = frozenset({"manifest.json", "index.json", "oci-layout"})
_ENDS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz")

_IN_IT = "name the package that is in it"


def kind_of_output(files: StoreFiles, path: StorePath) -> tuple[str, str] | None:
    """What an output is, and what can be done with it; None where it may well be a package.

    Raises `StoreError` for what cannot be read.
    """
    try:
        real, mode = files.follow(b"", str(path).encode())
        if stat.S_ISDIR(mode):
            is_layout = {b"oci-layout", b"index.json"} <= set(files.names(real))
            return ("an image already (a layout)", _sent(path, "oci")) if is_layout else None
        if not stat.S_ISREG(mode):
            return None
        with open(files.content(real), "rb") as file:
            head = file.read(_HEAD)
        if _is_image_archive(os.fsdecode(files.at(real)), path.name):
            return "an image already (an archive)", _sent(path, "docker-archive")
        return _script_or_file(path, head, executable=bool(mode & stat.S_IXUSR))
    except OSError as err:
        raise unreadable(err) from err


def _sent(path: StorePath, transport: str) -> str:
    return f"{_IN_IT}; the image itself: nix2oci push {path} REF, or --base {transport}:{path}"


def _script_or_file(path: StorePath, head: bytes, *, executable: bool) -> tuple[str, str]:
    if executable and (path.name.startswith("stream-") or b"stream_layered_image" in head):
        made = f"{_IN_IT}; the image itself: {path} > image.tar, then nix2oci push image.tar REF"
        return "a script that writes an image", made
    if path.name.endswith(".json") and b"layers" in head:
        return "the description of an image already, as nix2container makes it", _IN_IT
    if head.startswith(b"#!"):
        in_bin = "writeShellScriptBin in place of writeShellScript makes a package of it"
        return "a script, not a package with bin/", in_bin
    return "a file, not a package with bin/", "name a package that has the program in bin/"


def _is_image_archive(file: str, name: str) -> bool:
    """Whether a file is a tar that has the documents of an image, compressed or not."""
    import tarfile  # noqa: PLC0415  # start-up counts

    try:
        with tarfile.open(file, mode="r|*") as tar:
            return any(os.path.normpath(member.name) in _DOCUMENTS for member in tar)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, MemoryError):
        return name.endswith(_ENDS) and name.startswith("docker-image-")

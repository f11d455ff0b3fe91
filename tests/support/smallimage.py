"""A small image, made without the project's own tar and layout code, that can be spoiled.

Every part can be edited before what depends on it is computed, so that each image is wrong in the
one way that a test is about.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Node = bytes | str | Mapping[str, Any]
"""A store object: the content of a file, the target of a link, a directory."""

Entry = tuple[tarfile.TarInfo, bytes]

STORE_PATH = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-app-1.0"
_TAR = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def packed(data: bytes) -> bytes:
    """gzip, the same bytes every time."""
    return gzip.compress(data, mtime=0)


def entry(name: str, content: bytes = b"", **fields: Any) -> Entry:
    """A tar entry, by default an executable file of mode 0555 and mtime 1."""
    info = tarfile.TarInfo(name)
    info.mode, info.mtime, info.size = 0o555, 1, len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def directory(name: str, mode: int = 0o755) -> Entry:
    return entry(name, type=tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str) -> Entry:
    return entry(name, type=tarfile.SYMTYPE, linkname=target, mode=0o777)


def tar(*entries: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        for info, content in entries:
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def nar_hash(node: Node) -> bytes:
    """The hash of a NAR as the Nix manual's grammar has it, all in memory."""

    def text(*values: bytes) -> bytes:
        return b"".join(len(v).to_bytes(8, "little") + v + bytes(-len(v) % 8) for v in values)

    def dump(node: Node) -> bytes:
        if isinstance(node, bytes):
            mode = (b"executable", b"") if node.startswith((b"#!", b"\x7f")) else ()
            return text(b"(", b"type", b"regular", *mode, b"contents", node, b")")
        if isinstance(node, str):
            return text(b"(", b"type", b"symlink", b"target", node.encode(), b")")
        entries = b"".join(
            text(b"entry", b"(", b"name", name.encode(), b"node") + dump(child) + text(b")")
            for name, child in sorted(node.items())
        )
        return text(b"(", b"type", b"directory") + entries + text(b")")

    return hashlib.sha256(text(b"nix-archive-1") + dump(node)).digest()


PROGRAM = b"\x7fELF, as far as a test cares"
STORE_OBJECT: Node = {
    "bin": {"app": PROGRAM},
    "empty": {},
    "lib": {"a.txt": b"text", "b.so": "a.txt"},
}
STORE_ENTRIES = (
    directory("nix"),
    directory("nix/store"),
    directory(STORE_PATH[1:], 0o555),
    directory(STORE_PATH[1:] + "/bin", 0o555),
    entry(STORE_PATH[1:] + "/bin/app", PROGRAM),
    directory(STORE_PATH[1:] + "/empty", 0o555),
    directory(STORE_PATH[1:] + "/lib", 0o555),
    entry(STORE_PATH[1:] + "/lib/a.txt", b"text", mode=0o444),
    link(STORE_PATH[1:] + "/lib/b.so", "a.txt"),
)
VIEW_ENTRIES = (
    directory("bin"),
    link("bin/app", STORE_PATH + "/bin/app"),
    directory("etc"),
    entry("etc/passwd", b"root:x:0:0::/:\n", mode=0o644),
)


def recorded(node: Node = STORE_OBJECT) -> dict[str, str]:
    """The annotation of a layer that holds the store object."""
    line = f"{STORE_PATH} {nar_hash(node).hex()}\n".encode()
    return {"nix2oci.store-paths": digest_of(line)}


@dataclass(frozen=True)
class Layer:
    """A layer as it is to be written; `suffix` is what its media type ends with."""

    plain: bytes
    pack: Callable[[bytes], bytes] = packed
    suffix: str = "+gzip"
    annotations: Mapping[str, str] = field(default_factory=dict)


STORE_LAYER = Layer(tar(*STORE_ENTRIES), annotations=recorded())
VIEW_LAYER = Layer(tar(*VIEW_ENTRIES))


def nothing(_: Any) -> None:
    """Leave it as it is."""


@dataclass(frozen=True)
class SmallImage:
    """An image of one store layer and one view; each function edits a document in place."""

    layers: Sequence[Layer] = (STORE_LAYER, VIEW_LAYER)
    config: Callable[[Json], object] = nothing
    manifest: Callable[[Json], object] = nothing
    index: Callable[[Json], object] = nothing
    layout: Callable[[Json], object] = nothing
    files: Callable[[Path], object] = nothing

    def write(self, root: Path) -> Path:
        """Write the layout, which must not be there yet."""
        blobs = root / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def blob(data: bytes, media_type: str, annotations: Mapping[str, str]) -> Json:
            digest = digest_of(data)
            (blobs / digest[7:]).write_bytes(data)
            notes = {"annotations": dict(annotations)} if annotations else {}
            return {"mediaType": media_type, "digest": digest, "size": len(data), **notes}

        def document(made: Json, edit: Callable[[Json], object]) -> bytes:
            edit(made)
            return json.dumps(made).encode()

        config = document(_config(self.layers), self.config)
        manifest: Json = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(config, "application/vnd.oci.image.config.v1+json", {}),
            "layers": [
                blob(layer.pack(layer.plain), _TAR + layer.suffix, layer.annotations)
                for layer in self.layers
            ],
        }
        data = document(manifest, self.manifest)
        described = blob(data, manifest["mediaType"], {"org.opencontainers.image.ref.name": "1.0"})
        described["platform"] = {"os": "linux", "architecture": "amd64"}
        index = {"schemaVersion": 2, "manifests": [described]}
        (root / "index.json").write_bytes(document(index, self.index))
        (root / "oci-layout").write_bytes(document({"imageLayoutVersion": "1.0.0"}, self.layout))
        self.files(root)
        return root


def write_index(directory: Path) -> Path:
    """A layout whose one entry is an index of two images, for amd64 and for arm64."""
    root = SmallImage().write(directory / "index")
    other = SmallImage(layers=(VIEW_LAYER,), config=_for_arm).write(directory / "other")
    shutil.copytree(other / "blobs", root / "blobs", dirs_exist_ok=True)
    entries = [json.loads((x / "index.json").read_text())["manifests"][0] for x in (root, other)]
    entries[1]["platform"]["architecture"] = "arm64"
    for entry in entries:
        del entry["annotations"]
    kind = "application/vnd.oci.image.index.v1+json"
    data = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    (root / "blobs/sha256" / digest_of(data)[7:]).write_bytes(data)
    described = {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return root


def _for_arm(config: Json) -> None:
    config["architecture"] = "arm64"


def _config(layers: Sequence[Layer]) -> Json:
    created = "1980-01-01T00:00:01Z"
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {"Entrypoint": [STORE_PATH + "/bin/app"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer.plain) for layer in layers]},
        "history": [{"created": created, "created_by": "test"} for _ in layers],
    }

"""Images that somebody changed after they were made, by hands that know neither us nor our code."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _put(layout: Path, data: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    blob(layout, digest).write_bytes(data)
    return {"digest": digest, "size": len(data)}


def change_byte(layout: Path, name: str) -> None:
    """Change a byte of the file whose name ends so, and every digest that would tell of it."""
    index = json.loads((layout / "index.json").read_text())
    (entry,) = index["manifests"]
    manifest = json.loads(blob(layout, entry["digest"]).read_text())
    config = json.loads(blob(layout, manifest["config"]["digest"]).read_text())
    number, tar = next(
        (number, changed)
        for number, layer in enumerate(manifest["layers"])
        if (changed := _changed(blob(layout, layer["digest"]).read_bytes(), name))
    )
    manifest["layers"][number] |= _put(layout, gzip.compress(tar, mtime=0))
    config["rootfs"]["diff_ids"][number] = f"sha256:{hashlib.sha256(tar).hexdigest()}"
    manifest["config"] |= _put(layout, json.dumps(config).encode())
    entry |= _put(layout, json.dumps(manifest).encode())
    (layout / "index.json").write_text(json.dumps(index))


def _changed(packed: bytes, name: str) -> bytes | None:
    data = bytearray(gzip.decompress(packed))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
    for member in members:
        if member.isfile() and member.size and member.name.endswith(name):
            data[member.offset_data + member.size // 2] ^= 1
            return bytes(data)
    return None


def damage(layout: Path, change: Callable[[bytes], bytes], number: int = 0) -> None:
    """Change what is kept as a layer, and nothing that says what it should be."""
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(layout, entry["digest"]).read_text())
    file = blob(layout, manifest["layers"][number]["digest"])
    file.write_bytes(change(file.read_bytes()))

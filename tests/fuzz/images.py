"""Images to be changed: in one place of one part, either before all digests are made or behind."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed
from typing import Any

import zstandard
from support.chunkedblob import chunked
from support.smallimage import (
    STORE_ENTRIES,
    STORE_PATH,
    Entry,
    digest_of,
    directory,
    entry,
    link,
    recorded,
)

from fuzz.mutation import Mutate, mutate_bytes, mutate_json, mutate_tar, with_checksum

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
KINDS = {"index": f"{_OCI}index.v1+json", "manifest": f"{_OCI}manifest.v1+json"}


def elf(order: str = "<", *, wide: bool = True) -> bytes:
    """A program with an interpreter, as far as its first bytes go."""
    ident = b"\x7fELF" + bytes([1 + wide, 1 if order == "<" else 2, 1]) + bytes(9)
    name = b"/lib/ld.so\0"
    if wide:
        head = struct.pack(f"{order}HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        table = struct.pack(f"{order}IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1)
    else:
        head = struct.pack(f"{order}HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        table = struct.pack(f"{order}IIIIIIII", 3, 84, 0, 0, len(name), len(name), 4, 1)
    return ident + head + table + name


_BIN = STORE_PATH[1:] + "/bin"
_VIEW: tuple[Entry, ...] = (
    directory("bin"),
    link("bin/app", STORE_PATH + "/bin/app"),
    entry("bin/wide", elf()),
    entry("bin/narrow", elf(">", wide=False)),
    entry("bin/script", f"#!{STORE_PATH}/bin/app -x\n".encode()),
    entry("bin/odd", b"#!sh\n"),
    directory("etc"),
    entry("etc/passwd", b"root:x:0:0::/:\n", mode=0o644),
    entry("etc/same", type=tarfile.LNKTYPE, linkname="etc/passwd"),
    entry("etc/" + "long" * 60, b"long", mode=0o644),
    entry("etc/gone", mode=0o644),
    entry("lib/here/x", b"x", uid=2**31, gid=3),
)
_TOP: tuple[Entry, ...] = (
    directory("etc"),
    entry("etc/.wh.gone", mode=0o644),
    entry("lib/.wh..wh..opq", mode=0o644),
    directory("nix"),
    entry("bin/wide", b"over"),
)


_CHUNKED: tuple[Entry, ...] = (
    directory("y"),
    entry("y/long", b"0123456789" * 150, mode=0o644),
    entry("y/short", b"short", mode=0o644),
    link("y/link", "short"),
)


def _tar(entries: tuple[Entry, ...], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        for info, content in entries:
            file.addfile(info, io.BytesIO(content))
        end = file.offset
    return out.getvalue()[:end] + bytes(1024)


def _sparse() -> bytes:
    """A file with holes, as GNU tar writes it."""
    head = bytearray(_tar((entry("etc/sparse", b"data"),), tarfile.GNU_FORMAT)[:512])
    head[156:157] = b"S"
    head[386:397], head[398:409] = b"00000000002", b"00000000004"  # four bytes behind a hole
    head[482] = 1  # the map goes on in a block of its own, and has nothing more there
    head[483:494] = b"00000000010"
    extension = bytes(512)
    return with_checksum(bytes(head)) + extension + b"data".ljust(512, b"\0") + bytes(1024)


@cache
def layers() -> tuple[bytes, ...]:
    """Plain tars, base layer first."""
    return (
        _tar(STORE_ENTRIES),
        _tar(_VIEW, tarfile.GNU_FORMAT),
        _tar(_TOP)[:-1024] + _sparse(),
        _tar((directory("x"), *((entry(f"x/{n}", b"x", mode=0o644)) for n in range(3)))),
    )


_PACK: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("+gzip", lambda data: gzip.compress(data, 1, mtime=0)),
    ("", bytes),
    ("+zstd", zstandard.ZstdCompressor(write_checksum=True).compress),
    ("+gzip", lambda data: gzip.compress(data[:700], 1, mtime=0) + gzip.compress(data[700:], 1)),
)

PARTS = (
    *("oci-layout", "index.json", "index", "manifest", "manifest", "config", "config"),
    *("plain0", "plain1", "plain1", "plain2", "plain3", "packed0", "packed1", "packed2", "packed3"),
    *("table", "table", "split", "packed4"),
)


def mutation_of(part: str) -> Mutate:
    """How a part is changed."""
    if part.startswith("plain"):
        return mutate_tar
    return mutate_bytes if part.startswith(("packed", "split")) else mutate_json


Edit = Callable[[str, bytes], bytes]
"""Called with the name of a part and its bytes."""


def unchanged(_: str, data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Written:
    """An image as bytes: of its files, by name, and what a registry calls them."""

    files: Mapping[str, bytes]
    digests: Mapping[str, str]
    """By part."""

    def blob(self, part: str) -> bytes:
        return self.files[f"blobs/sha256/{self.digests[part][7:]}"]

    def write(self, root: Path) -> Path:
        for name, data in self.files.items():
            place = root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return root

    def tar(self) -> bytes:
        """An archive of it."""
        return _tar(tuple(entry(name, data, mode=0o644) for name, data in self.files.items()))


def written(edit: Edit = unchanged, *, nested: bool = False, docker: bool = False) -> Written:
    """An image of five layers, each part edited before anything is said of it.

    `nested` puts it into an index with an attestation, `docker` gives it the types of Docker.
    """
    files: dict[str, bytes] = {}
    digests: dict[str, str] = {}

    def blob(part: str, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        made = edit(part, data)
        digests[part] = digest_of(made)
        files[f"blobs/sha256/{digests[part][7:]}"] = made
        return {"mediaType": kind, "digest": digests[part], "size": len(made), **more}

    plain = [edit(f"plain{n}", data) for n, data in enumerate(layers())]
    described = []
    for number, data in enumerate(plain):
        ending, pack = _PACK[number]
        kind = f"{_OCI}layer.v1.tar{ending}"
        if docker:
            kind = f"{_DOCKER}image.rootfs.diff.tar{ending.replace('+', '.')}"
        more = {"annotations": recorded()} if not number else {}
        described.append(blob(f"packed{number}", pack(data), kind, **more))
    plain.append(_tar(_CHUNKED))
    packed, notes = chunked(
        plain[-1], raw_table=partial(edit, "table"), raw_lines=partial(edit, "split")
    )
    kind = f"{_OCI}layer.v1.tar+zstd"
    described.append(blob("packed4", packed, kind, annotations=notes))
    config_kind = f"{_DOCKER}container.image.v1+json" if docker else f"{_OCI}config.v1+json"
    manifest_kind = f"{_DOCKER}distribution.manifest.v2+json" if docker else KINDS["manifest"]
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_kind,
        "config": blob("config", _json(_config(plain)), config_kind),
        "layers": described,
        "annotations": {"nix2oci.shell": json.dumps(_SHELL), "x": "y"},
    }
    top = blob("manifest", _json(manifest), manifest_kind, platform=_PLATFORM)
    if nested:
        about = blob("about", _json(_attestation(top)), KINDS["manifest"])
        about["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
        listed = {"schemaVersion": 2, "mediaType": KINDS["index"], "manifests": [top, about]}
        top = blob("index", _json(listed), KINDS["index"])
    top["annotations"] = {
        "org.opencontainers.image.ref.name": "1.0",
        "io.containerd.image.name": "docker.io/library/web:1.0",
    }
    index = {"schemaVersion": 2, "manifests": [top]}
    files["index.json"] = edit("index.json", _json(index))
    files["oci-layout"] = edit("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    return Written(files, digests)


_PLATFORM = {"os": "linux", "architecture": "amd64"}
_SHELL = {"mode": "auto", "launchers": ["/bin/app"], "dropped": [], "staying": []}


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _config(plain: list[bytes]) -> dict[str, Any]:
    created = "1980-01-01T00:00:01Z"
    return {
        **_PLATFORM,
        "created": created,
        "author": "x",
        "config": {
            "User": "1000:1000",
            "ExposedPorts": {"80/tcp": {}},
            "Env": ["PATH=/bin", f"X={STORE_PATH}"],
            "Entrypoint": [STORE_PATH + "/bin/app"],
            "Cmd": ["x"],
            "Volumes": {"/data": {}},
            "WorkingDir": "/",
            "Labels": {"a": "b"},
            "StopSignal": "SIGTERM",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in plain]},
        "history": [{"created": created, "created_by": "test"} for _ in plain],
    }


def _attestation(subject: dict[str, Any]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": KINDS["manifest"],
        "artifactType": "application/vnd.in-toto+json",
        "config": subject,
        "layers": [subject],
        "subject": subject,
    }


def docker_archive(edit: Edit = unchanged) -> bytes:
    """What `docker save` wrote before version 25."""
    config = edit("config", _json(_config(list(layers()))))
    listed = [
        {
            "Config": "c.json",
            "RepoTags": ["web:1.0"],
            "Layers": [f"{n}/layer.tar" for n in range(4)],
        }
    ]
    entries = [
        *(entry(f"{n}/layer.tar", edit(f"plain{n}", data)) for n, data in enumerate(layers()[:3])),
        link("3/layer.tar", "../2/layer.tar"),
        entry("c.json", config),
        entry("manifest.json", edit("manifest", _json(listed))),
    ]
    return _tar(tuple(entries))


def changed(random: Random) -> tuple[Written, str]:
    """An image with one part changed, half of the time so that every digest is right; and how."""
    part = random.choice(PARTS)
    nested, docker = random.random() < 0.4 or part == "index", random.random() < 0.1
    change, sealed = mutation_of(part), random.random() < 0.5
    if sealed:
        edit: Edit = lambda name, data: change(random, data) if name == part else data  # noqa: E731
        return written(edit, nested=nested, docker=docker), f"{part}, resealed"
    found = written(nested=nested, docker=docker)
    part = "packed4" if part in ("table", "split") else part.replace("plain", "packed")
    name = f"blobs/sha256/{found.digests[part][7:]}" if part in found.digests else part
    how = mutation_of(part)
    return Written({**found.files, name: how(random, found.files[name])}, found.digests), part

"""A flake of several packages, each of which is one output with files of its own."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.fakenix import FakeNix, value
from support.fakestore import Node, nar, sri, store_path, write
from support.terminal import Terminal

from nix2oci.oci.base_image import read_base_image
from nix2oci.oci.documents import RunConfig
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.spec import Platform
from nix2oci.oci.validate.check_image import validate_layout


def out_of(name: str) -> str:
    """The output of a package."""
    return str(store_path(f"{name}-1.0"))


def flake_of(
    scratch: Path,
    packages: Mapping[str, Node],
    settings: str = "",
    *,
    priorities: Mapping[str, int] | None = None,
) -> Terminal:
    """A terminal beside a flake of these packages, with these settings."""
    for name in ("nix", "here"):
        (scratch / name).mkdir()
    fake = FakeNix(scratch / "nix")
    built, infos = [], {}
    for name, node in packages.items():
        out = out_of(name)
        drv = str(store_path(f"{name}-1.0.drv"))
        place = fake.place(out)
        place.unlink()
        write(os.fsencode(place), node)
        fake.place(drv)
        more: dict[str, Any] = {"name": f"{name}-1.0", "drv": drv}
        if priorities and name in priorities:
            more["priority"] = priorities[name]
        fake.answer(f"-- .#{name}", value(**more))
        built.append({"drvPath": drv, "outputs": {"out": out}})
        infos[out] = {"narHash": sri(node), "narSize": len(nar(node)), "references": []}
    fake.answer("build --json", json.dumps(built))
    fake.answer("path-info", json.dumps(infos))
    fake.nix()
    terminal = Terminal(scratch / "here", fake)
    (terminal.directory / "flake.nix").write_text("{}")
    (terminal.directory / "nix2oci.yaml").write_text(settings)
    return terminal


def flags_of(packages: Mapping[str, Node]) -> tuple[str, ...]:
    """What builds an image of all packages, the first being the main one."""
    main, *others = packages
    return (f".#{main}", *(flag for name in others for flag in ("--contents", f".#{name}")))


def image_of(terminal: Terminal) -> RunConfig:
    """How the image is started that was listed last."""
    source = open_image(str(terminal.directory / "../x"))
    return read_base_image(source, Platform("amd64")).config.run


def listed(terminal: Terminal, *flags: str) -> dict[str, str]:
    """What an image has: by path, `mode uid:gid content`, of a link its target.

    What every image has and store paths are left out.
    """
    done = terminal.run("build", *flags, "-o", "../x")
    assert done.returncode == 0, done.stderr
    assert [str(finding) for finding in validate_layout(str(terminal.directory / "../x"))] == []
    assert terminal.run("export", "../x", "-o", "../x.tar").returncode == 0
    found = {}
    with tarfile.open(fileobj=io.BytesIO((terminal.directory / "../x.tar").read_bytes())) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            what = file.read().decode("latin-1") if file else "dir"
            said = f"{member.mode:04o} {member.uid}:{member.gid} {what}"
            name = "/" + member.name.removeprefix("./").rstrip("/")
            found[name] = f"-> {member.linkname}" if member.issym() else said
    return found

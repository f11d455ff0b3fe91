"""A closure with a shell, what was found in its files, and what is decided about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from support.fakestore import store_path

from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.shell_references import ReferenceKind, Scan, ShellReference
from nix2oci.pipeline.templates import launcher_template
from nix2oci.plan.shell import (
    ShellDecision,
    decide,
    make_launchers,
)
from nix2oci.plan.shell_mode import Mode
from nix2oci.wrappers.chain import File as ChainFile
from nix2oci.wrappers.chain import follow

APP, LIB, TOOL, BASH, DASH, READLINE = (
    store_path(name) for name in ("app-1", "lib-1", "tool-1", "bash-5", "dash-1", "readline-8")
)
TEMPLATE = launcher_template("x86_64")
ELF = ChainFile(b"\x7fELF\x02\x01")
HEAD = f"#! {BASH}/bin/bash -e".encode()


def closure(edges: Mapping[StorePath, Iterable[StorePath]], *roots: StorePath) -> Closure:
    """A closure by its references; each path has 100 bytes."""
    paths = {*edges, *(other for others in edges.values() for other in others)}
    infos = (
        PathInfo(path, bytes(32), 100, tuple(sorted(edges.get(path, ())))) for path in sorted(paths)
    )
    return Closure.of(infos, roots or (APP,))


# app is a wrapper; bash needs readline, and nobody else does.
SMALL = closure({APP: [BASH, LIB], BASH: [READLINE, LIB], READLINE: [LIB]})


def mention(
    owner: StorePath, name: str, kind: ReferenceKind, shell: StorePath = BASH
) -> ShellReference:
    line = {ReferenceKind.SHEBANG: 1, ReferenceKind.TEXT: 7}.get(kind)
    return ShellReference(owner, f"{owner}/{name}".encode(), shell, kind, line, b"text")


def scan_of(
    files: Mapping[str, bytes],
    mentions: Iterable[ShellReference] = (),
    shells: tuple[StorePath, ...] = (BASH,),
) -> Scan:
    """A scan in which app has these files, each of them a script, beside a program `real`."""
    found = {f"{APP}/{name}".encode(): ChainFile(data) for name, data in files.items()}
    found[f"{APP}/real".encode()] = ELF
    scripts = {path: follow(path, found.get) for path in found if found[path] is not ELF}
    own = [mention(APP, name, ReferenceKind.SHEBANG) for name in files]
    return Scan(shells, (*own, *mentions), scripts)


def wrapper(*lines: str, target: str = f"{APP}/real") -> bytes:
    return b"\n".join((HEAD, *map(str.encode, lines), f'exec "{target}"  "$@" '.encode(), b""))


WRAPPER = wrapper("export A='1'")
RUNS = wrapper("mkdir x")
WRAPPED = scan_of({"bin/app": WRAPPER})


def decided(
    whole: Closure = SMALL,
    scan: Scan = WRAPPED,
    mode: Mode = Mode.AUTO,
    wanted: Mapping[StorePath, str] | None = None,
) -> ShellDecision:
    return decide(whole, scan, make_launchers(scan, "x86_64", TEMPLATE), mode, wanted or {})

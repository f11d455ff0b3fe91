"""`nix2oci wrapper`: what a wrapper does, in words, and the launcher that does the same."""

from __future__ import annotations

import errno
import os
from functools import partial

import click

from nix2oci import text
from nix2oci.cli.render import console
from nix2oci.config.options.group import argument, command, switch, value
from nix2oci.errors import OutputError, RepresentationError
from nix2oci.host.differences import here
from nix2oci.launcher.encoder import MACHINES, encode
from nix2oci.nix.wrapper_files import host_facts, look_up
from nix2oci.pipeline.templates import launcher_template
from nix2oci.publish.write_file import write_file
from nix2oci.text import display
from nix2oci.wrappers.binary import BinaryWrapper
from nix2oci.wrappers.chain import Chain, follow
from nix2oci.wrappers.explain import refusal_document, wrapper_document, wrapper_text
from nix2oci.wrappers.refusal import Refusal
from nix2oci.wrappers.script import Wrapper, read


@command(
    "wrapper",
    argument("file", "FILE"),
    value("-o", "LAUNCHER", "Write the launcher that does the same.", "output"),
    click.Option(
        ["--machine"],
        type=click.Choice(tuple(MACHINES)),
        help="What the launcher runs on. [this machine's]",
    ),
    switch("--json", "Print JSON on stdout.", "as_json"),
)
def wrapper(*, file: str, output: str | None, machine: str | None, as_json: bool) -> None:
    """Explain a wrapper script or wrapper binary, and write its launcher.

    FILE is one that makeWrapper, makeBinaryWrapper, writeShellScript or writeShellApplication
    wrote, or a script like theirs. Exits with 5, and names the line, where nothing can be proved.
    """
    path = os.path.abspath(os.fsencode(file))
    if not os.path.lexists(path):
        raise OutputError(f"cannot read {file}: {os.strerror(errno.ENOENT)}")
    chain = follow(path, look_up, partial(read, host=host_facts()))
    what = chain.steps[0].what
    found = next((step.what for step in chain.steps if not isinstance(step.what, bytes)), what)
    if not isinstance(found, Wrapper | BinaryWrapper):
        raise _not_explained(file, found, as_json=as_json)
    written = _launcher(file, found, chain, machine or here().processor) if output else None
    if output and written is not None:
        write_file(output, written, executable=True)
    if as_json:
        document = {"path": display(path)} | wrapper_document(found, chain)
        console.result_json(
            document | {"launcher": output, "launcher_size": written and len(written)}
        )
    else:
        console.result_text(wrapper_text(found, chain).splitlines())
        if output and written is not None:
            console.result(f"the launcher {output} does the same ({text.size(len(written))})")


def _not_explained(file: str, found: object, *, as_json: bool) -> RepresentationError | OutputError:
    if not isinstance(found, Refusal):
        cause = getattr(found, "value", "a link")
        return RepresentationError(f"cannot explain {file}: it is {cause}, not a wrapper")
    if as_json:
        console.result_json({"path": display(found.path), "refusal": refusal_document(found)})
    line = f" line {found.line}:" if found.line else ""
    return RepresentationError(f"cannot explain {file}:{line} {found.cause}")


def _launcher(file: str, found: Wrapper | BinaryWrapper, chain: Chain, machine: str) -> bytes:
    if isinstance(found, BinaryWrapper):
        raise RepresentationError(
            f"cannot make a launcher for {file}: it is a wrapper binary, which needs no shell"
        )
    if chain.target:
        raise RepresentationError(f"cannot make a launcher for {file}: {chain.target}")
    return encode(found.launch, machine, launcher_template(machine))

"""Wrappers in the file system of this machine: what a chain of them leads to."""

from __future__ import annotations

import os

from nix2oci.errors import OutputError
from nix2oci.text import display
from nix2oci.wrappers.chain import File
from nix2oci.wrappers.script import HostFacts
from nix2oci.wrappers.variables import path_preset


def look_up(path: bytes) -> File | None:
    """What is at a path; None for nothing. Raises `OutputError` where it cannot be read."""
    try:
        if os.path.islink(path):
            return File(link=os.readlink(path))
        if not os.path.lexists(path):
            return None
        if not os.path.isfile(path):
            return File()
        with open(path, "rb") as file:
            return File(file.read(), executable=os.access(path, os.X_OK))
    except OSError as err:
        raise OutputError(f"cannot read {display(path)}: {err.strerror}") from err


def host_facts() -> HostFacts:
    """What this machine has of interpreters and programs."""

    def preset(shell: bytes) -> bytes | None:
        try:
            with open(shell, "rb") as file:
                return path_preset(file.read())
        except OSError:
            return None

    def is_program(path: bytes) -> bool:
        return os.path.isfile(path) and os.access(path, os.X_OK)

    return HostFacts(path_preset=preset, is_program=is_program)

"""What the package brings as files: templates of launchers and pages, a schema."""

from __future__ import annotations

import hashlib

from nix2oci.errors import RepresentationError
from nix2oci.launcher.encoder import MACHINES


def launcher_template(machine: str) -> bytes:
    """The template that `launcher.encoder.encode` takes, for a machine as Nix names it.

    Raises `RepresentationError` for a machine that the launcher is not made for, and
    `FileNotFoundError` where the package was not built but only unpacked.
    """
    if machine not in MACHINES:
        raise RepresentationError(
            f"cannot make a launcher for {machine}: there is one for {' and '.join(MACHINES)}"
        )
    return _file("launcher", f"launcher-{machine}")


def launcher_digest(machine: str) -> str:
    """The SHA-256 of `launcher_template`, in hex: it decides the bytes of each launcher."""
    return hashlib.sha256(launcher_template(machine)).hexdigest()


def is_other_launcher(machine: str) -> bool:
    """Whether it is another than the one that nix2oci is released with, see `hatch_build.py`."""
    known = _file("launcher", "launchers.sha256").decode()
    return f"{launcher_digest(machine)}  launcher-{machine}" not in known.splitlines()


def page_template(main: str) -> str:
    """The template of a page: the frame, and in it `main`, which is "image" or "fleet"."""
    frame, inside = (_file("report.page", f"{each}.html").decode() for each in ("page", main))
    return frame.replace("{{main}}", inside)


def settings_schema() -> bytes:
    """The JSON schema of nix2oci.yaml."""
    return _file("config", "nix2oci.schema.json")


def _file(package: str, name: str) -> bytes:
    from pkgutil import get_data  # noqa: PLC0415  # start-up counts

    found = get_data(f"nix2oci.{package}", name)
    assert found is not None, "what loads Python's modules here can load no files"
    return found

"""What speaks for store paths and derivations: deriver, signatures, and the hash of a `.drv`.

Nix is asked nothing for it: what it said of a closure while an image was made has all but the last,
which is that of a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from msgspec import Struct

from nix2oci.errors import StoreError
from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.nix.client import NixClient
from nix2oci.nix.json_output import path_entries, path_infos
from nix2oci.nix.options import setting, store_root
from nix2oci.nix.signatures import signatures_of


class Evidence(Struct, frozen=True):
    """What Nix recorded of one store path beside what is in it."""

    info: PathInfo
    deriver: str
    """The base name of the derivation that made it, `""` where Nix does not know."""
    signatures: tuple[str, ...]
    """`KEY-NAME:BASE64`, sorted."""
    is_ultimate: bool
    """Whether it was built in this store."""
    content_address: str
    """`""` where the path does not prove itself."""


def evidence(nix: NixClient) -> dict[StorePath, Evidence]:
    """All that Nix said of store paths in this run; nothing where none was started."""
    return {
        each.info.path: each for answer in nix.all_said_of_paths() for each in _evidence(answer)
    }


def _evidence(answer: str) -> Iterable[Evidence]:
    infos = {str(info.path): info for info in path_infos(answer)}
    for text, found in path_entries(answer):
        entry, info = found or {}, infos[text]
        deriver = str(entry.get("deriver") or "").rpartition("/")[2]
        yield Evidence(
            info,
            "" if deriver.startswith("unknown-deriver") else deriver,
            tuple(sorted(signatures_of(info, entry.get("signatures")))),
            entry.get("ultimate") is True,
            _content_address(entry.get("ca")),
        )


def _content_address(found: object) -> str:
    """As text; format 3 of path-info has it in parts, which say no more than that there is one."""
    return found if isinstance(found, str) else "content-addressed" if found else ""


def derivation_digests(nix: NixClient, paths: Iterable[str]) -> dict[str, str]:
    """The SHA-256, in hex, of each `.drv` that is in a file system of this machine.

    A `.drv` names its inputs by their hashes, so this pins all that it is built from.
    """
    try:
        elsewhere = setting(nix.options, "eval-store")
        root = store_root(("--store", elsewhere), {}) if elsewhere else nix.physical()
    except StoreError:
        return {}
    found = {}
    for path in sorted(set(paths)):
        try:
            with open(f"{root}{path}", "rb") as file:
                found[path] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            continue  # collected since, or in a store elsewhere
    return found

"""Whether somebody vouches for store paths: whether they are signed by a key that Nix trusts.

The hard part with another store is to ask Nix about what was told, and not about what the store
might tell next time: the records are written down as a binary cache of their own, with nothing but
what is used, and `nix store verify` judges those. Keys and policy are Nix's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from nix2oci.errors import NixOutputError, StoreError
from nix2oci.host.scratch import temporary_directory
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.nix.client import NixClient
from nix2oci.nix.failure import Finished, failure
from nix2oci.nix.json_output import path_entries, path_infos, read_json
from nix2oci.nix.options import Origin, store_options
from nix2oci.text import and_more

_UNTRUSTED = 2
"""Bit of the exit code of `nix store verify` (src/nix/verify.cc)."""

_IS_UNTRUSTED = re.compile(r"path '(/[^']+)' is untrusted")
_SIGNATURE = re.compile(r"[^\s:]+:[0-9A-Za-z+/]+={0,2}")
_SHOWN = 3


def check_signatures(nix: NixClient, origin: Origin, answer: str) -> None:
    """Raise `StoreError` when a path of `answer`, by `nix path-info`, is signed by no trusted key.

    Content-addressed paths prove themselves where their hash is the NAR hash. All pass when
    `require-sigs` is off, or the origin is trusted.
    """
    if origin.is_trusted and not nix.requires_signatures:
        return
    paths = tuple(str(info.path) for info in path_infos(answer))
    with temporary_directory() as scratch:
        directory = os.path.join(scratch, "cache")
        os.mkdir(directory)
        _write_records(answer, directory)
        argv = ("store", "verify", "--no-contents", "--sigs-needed", "1")
        options = store_options(nix.options, store=f"file://{directory}")
        done = nix.run((*argv, *options, "--", *paths), quiet=True)
    if done.returncode == 0:
        return
    if done.returncode != _UNTRUSTED:
        raise failure(done, f"cannot check the signatures of {origin}")
    if not (nix.requires_signatures or _required(nix)):
        return
    otherwise = "" if nix.requires_signatures else ", or use --no-check-sigs"
    raise StoreError(
        f"cannot use {origin}: no key that Nix trusts has signed {_named(done)}",
        hint=f"add the key of that store to trusted-public-keys{otherwise}",
    )


def closure_with_signatures(nix: NixClient, roots: Sequence[StorePath]) -> Closure:
    """The closure of store paths of this machine's store, for which somebody vouches if required.

    A path was built in this store, proves itself by its content address, or is signed by a key that
    Nix trusts. Raises `StoreError` for another one, and as `NixClient.closure`.
    """
    closure = nix.closure(roots)
    if not nix.requires_signatures:
        return closure
    argv = ("store", "verify", "--no-contents", "--recursive", *store_options(nix.options))
    done = nix.run((*argv, "--", *map(str, closure.roots)), quiet=True)
    if done.returncode == _UNTRUSTED:
        raise StoreError(
            f"cannot use {_named(done)}: not built in this store, and signed by no key that Nix "
            "trusts",
            hint="add the key of where it comes from to trusted-public-keys; "
            "nix store copy-sigs brings signatures from there",
        )
    if done.returncode:
        raise failure(done, "cannot check the signatures of the closure")
    return closure


def _named(done: Finished) -> str:
    return _join(sorted(map(StorePath.parse, _IS_UNTRUSTED.findall(done.said))))


def _join(paths: list[StorePath]) -> str:
    if not paths:
        return "what it has"
    return and_more([str(path) for path in paths], _SHOWN)


def _required(nix: NixClient) -> bool:
    """What Nix's setting `require-sigs` says."""
    command = ("config", "show") if nix.version.has_config_show else ("show-config",)
    done = nix.run((*command, "--json", *store_options(nix.options)), quiet=True)
    if done.returncode:
        raise failure(done, "cannot read the configuration of Nix")
    answer = read_json(done.stdout, " ".join(command))
    setting = answer.get("require-sigs") if isinstance(answer, dict) else None
    return not (isinstance(setting, dict) and setting.get("value") is False)


def _write_records(answer: str, directory: str) -> None:
    infos = {str(info.path): info for info in path_infos(answer)}
    store_dir = next(iter(infos.values())).path.store_dir
    _write(directory, "nix-cache-info", [f"StoreDir: {store_dir}"])
    for text, entry in path_entries(answer):
        info = infos[text]
        _write(directory, f"{info.path.hash_part}.narinfo", _record(info, entry or {}))


def _write(directory: str, name: str, lines: list[str]) -> None:
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def _record(info: PathInfo, entry: Mapping[str, object]) -> list[str]:
    """The record of a path as a binary cache has it, of the values that the image is made from."""
    return [
        f"StorePath: {info.path}",
        "URL: nar/none",
        "Compression: none",
        f"NarHash: sha256:{info.nar_hash.hex()}",
        f"NarSize: {info.nar_size}",
        f"References: {' '.join(path.base for path in info.references)}",
        *(f"Sig: {signature}" for signature in signatures_of(info, entry.get("signatures"))),
        *_content_address(info, entry.get("ca")),
    ]


def signatures_of(info: PathInfo, found: object) -> Iterator[str]:
    """`name:base64`, as all versions print it; format 3 has it in two parts."""
    for each in found if isinstance(found, list) else ():
        text = f"{each.get('keyName')}:{each.get('sig')}" if isinstance(each, dict) else str(each)
        if not _SIGNATURE.fullmatch(text):
            raise NixOutputError(
                f"cannot read `nix path-info` output: {text!r} is no signature of {info.path}"
            )
        yield text


def _content_address(info: PathInfo, found: object) -> Iterator[str]:
    """Where a path is said to be content-addressed: the address that its NAR hash would give it.

    Nix compares that with the store path. An address of another kind, such as that of a flat
    file, proves nothing about the NAR, so there a signature is needed.
    """
    if found:
        yield f"CA: fixed:r:sha256:{info.nar_hash.hex()}"

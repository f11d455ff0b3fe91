"""What was done about shells, as a document, and what else an image carries of its making.

An image without its shell should say what was replaced and left out, so the document is an
annotation of its manifest, unless it is larger than registries like.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nix2oci.model.annotation_keys import POPULARITY, SHELL
from nix2oci.model.closure import PathInfo
from nix2oci.model.shell_references import CallSite, Discounted, ShellReference
from nix2oci.plan.layers.popularity import Popularity
from nix2oci.plan.shell import ShellDecision
from nix2oci.plan.shell_mode import Mode
from nix2oci.plan.shell_uses import known
from nix2oci.text import count, display, size
from nix2oci.wrappers.binary import BinaryWrapper
from nix2oci.wrappers.chain import Chain
from nix2oci.wrappers.explain import chain_document, refusal_document, wrapper_document
from nix2oci.wrappers.refusal import Refusal
from nix2oci.wrappers.script import Wrapper

Json = dict[str, object]

_MAX_RECORD = 1 << 18
"""Bytes: a manifest is fetched with every pull, and registries take 4 MiB."""


def annotations_of(shells: ShellDecision, fleet: Popularity | None = None) -> dict[str, str]:
    """What the manifest records of how the image was made."""
    return _shell(shells) | ({POPULARITY: fleet.digest} if fleet else {})


def _shell(shells: ShellDecision) -> dict[str, str]:
    """The annotation that records all of it; none where nothing was looked at or found."""
    if shells.mode is Mode.KEEP or not (shells.scripts or shells.dropped or shells.staying):
        return {}
    text = json.dumps(_lean(shell_document(shells)), sort_keys=True, separators=(",", ":"))
    return {SHELL: text} if len(text) <= _MAX_RECORD else {}


_MORE = {"discounted": [], "hidden": [], "modules": 0}
"""What a record has only where there is something, so that others stay as they were."""


def _lean(document: Json) -> Json:
    found = {key: value for key, value in document.items() if value or key not in _MORE}
    staying = document["staying"]
    assert isinstance(staying, list)
    kept = [{k: v for k, v in each.items() if v or k != "calls"} for each in staying]
    return {**found, "staying": kept}


def whole_record(record: Mapping[str, object] | None) -> dict[str, object] | None:
    """The record of an image with all the keys of `shell_document`; anyone may have written it."""
    if record is None:
        return None
    staying = record.get("staying")
    if isinstance(staying, list):
        staying = [{"calls": [], **each} if isinstance(each, dict) else each for each in staying]
        record = {**record, "staying": staying}
    return {**_MORE, **record}


def shell_document(shells: ShellDecision) -> Json:
    """Wrappers and what became of them, what was dropped, and what still names a shell."""
    return {
        "mode": str(shells.mode),
        "wrappers": [*_wrappers(shells)],
        "dropped": [_path(info) for info in shells.dropped],
        "saved": shells.saved,
        "staying": [
            {
                "path": str(each.shell),
                "nar_size": shells.closure.infos[each.shell].nar_size,
                "wanted": each.wanted or None,
                "files": [_mention(mention) for mention in each.mentions],
                "calls": [_call(call) for call in each.calls],
            }
            for each in shells.staying
        ],
        "droppable": [_path(info) for info in shells.droppable],
        "broken": [_mention(mention) for mention in shells.broken],
        "discounted": [_discounted(each) for each in shells.discounted],
        "hidden": [display(path) for path in shells.hidden],
        "modules": shells.modules,
        "calls": {display(path): list(names) for path, names in shells.calls.items()},
    }


def _wrappers(shells: ShellDecision) -> Iterator[Json]:
    """Every script whose first line names a shell, and the wrapper binaries among the programs."""
    binaries = {p: c for p, c in shells.programs.items() if isinstance(_first(c), BinaryWrapper)}
    for path, chain in sorted({**binaries, **shells.scripts}.items()):
        first = _first(chain)
        was = first if isinstance(first, Wrapper | BinaryWrapper) else None
        refusal = chain.target or (first if isinstance(first, Refusal) else None)
        yield {
            "file": display(path),
            "became": "launcher" if path in shells.launchers else None,
            "refusal": refusal_document(refusal) if refusal else None,
            "obstacle": shells.unmade.get(path),
            "was": wrapper_document(was, chain) if was else None,
            "chain": chain_document(chain),
        }


def _first(chain: Chain) -> object:
    """What the first file of a chain is that is no link."""
    return next((s.what for s in chain.steps if not isinstance(s.what, bytes)), None)


def _mention(mention: ShellReference) -> Json:
    kind = known(mention)
    return {
        "file": display(mention.file),
        "kind": str(mention.kind),
        "line": mention.line,
        "text": display(mention.text),
        "shell": str(mention.shell),
        "loss": kind.loss if kind else None,
    }


def _discounted(each: Discounted) -> Json:
    return {
        **_mention(each.mention),
        "rule": each.rule,
        "reason": each.reason,
        "proof": each.is_proof,
    }


def _call(call: CallSite) -> Json:
    return {
        "file": display(call.file),
        "line": call.line,
        "call": call.what,
        "certain": call.certain,
        "function": call.function,
        "feature": call.feature,
    }


def _path(info: PathInfo) -> Json:
    return {"path": str(info.path), "nar_size": info.nar_size}


def recorded(record: Mapping[str, object] | None) -> list[str]:
    """The document in words; anyone may have written the image."""
    try:
        return [*_recorded({**record})] if record else []
    except (KeyError, TypeError, AttributeError, OverflowError):
        return ["what the image records of shells is nothing that nix2oci writes"]


def _recorded(record: Any) -> Iterator[str]:
    for wrapper in record["wrappers"]:
        was, refusal = wrapper["was"], wrapper["refusal"]
        if wrapper["became"] and was:
            form = was["form"].upper()
            yield f"{wrapper['file']}: {form}, became a launcher for {was['target']}"
        elif refusal:
            line = f":{refusal['line']}" if refusal["line"] else ""
            yield f"{refusal['path']}{line}: stays: {refusal['reason']}: {refusal['detail']}"
    for path in record["dropped"]:
        yield f"dropped: {path['path']}  {size(path['nar_size'])}"
    for each in record["staying"]:
        calls = each.get("calls", ())
        needed = (
            f"needed by {count(len(each['files'] or calls), 'file' if each['files'] else 'call')}"
        )
        yield f"{each['path']} stays: {each['wanted'] or needed}"
        yield from (f"  {file['file']}: {file['kind']}" for file in each["files"])
        yield from (f"  {call['file']}:{call['line']}: calls {call['call']}" for call in calls)
    for each in record.get("discounted", ()):
        how = "proof" if each["proof"] else "evidence"
        yield f"{each['file']} does not count, by {how}: {each['reason']}"
    for path in record.get("hidden", ()):
        yield f"hidden: {path}"

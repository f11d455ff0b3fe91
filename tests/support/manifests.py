"""Twelve manifests as people and programs write them, and what resolving may change of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, zip_longest

from support.paths import TESTS

DIRECTORY = TESTS / "data/manifests"
# How many are images, and how often one is left alone, in comments or in other text.
MANIFESTS = {
    "00-windows.yaml": (2, 0),
    "01-deployment.yaml": (2, 1),
    "02-cronjob.yaml": (2, 0),
    "03-crd.yaml": (3, 1),
    "04-scripts.yaml": (5, 2),
    "05-statefulset.yaml": (2, 0),
    "06-daemonset.json": (2, 0),
    "07-list.yaml": (2, 0),
    "08-workflow.yaml": (2, 1),
    "09-task.yaml": (3, 2),
    "10-rendered.yaml": (2, 0),
    "11-service.yaml": (3, 2),
}
_MENTION = re.compile(r"nix2oci:(?://|\\/\\/)[^\s\"',}]+")


def replaced_and_left(
    before: bytes, after: bytes, references: Mapping[str, str]
) -> tuple[int, int] | None:
    """How many mentions became the reference of their installable, and how many are as they were.

    None where anything else is not the same, to the byte.
    """
    text = before.decode()
    mentions = _MENTION.findall(text)
    known = [
        re.escape(references[each.replace("\\", "")[len("nix2oci://") :]]) for each in mentions
    ]
    either = [f"({re.escape(each)}|{there})" for each, there in zip(mentions, known, strict=True)]
    rest = map(re.escape, _MENTION.split(text))
    pattern = "".join(chain.from_iterable(zip_longest(rest, either, fillvalue="")))
    if (same := re.fullmatch(pattern, after.decode())) is None:
        return None
    left = sum(each == there for each, there in zip(mentions, same.groups(), strict=True))
    return len(mentions) - left, left

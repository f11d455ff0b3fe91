"""The files that a job of GitHub Actions has."""

from __future__ import annotations

import re


def outputs_of(text: str) -> dict[str, str]:
    """What a step wrote into the file of its outputs: NAME=VALUE, or NAME<<END and lines."""
    several = re.compile(r"^([\w-]+)<<(.*)\n((?:.*\n)*?)\2\n", re.MULTILINE)
    found = {name: value.removesuffix("\n") for name, _, value in several.findall(text)}
    return found | dict(re.findall(r"^([\w-]+)=(.*)$", several.sub("", text), re.MULTILINE))

"""The tables of docs/json.md: which keys a document of --json is said to have."""

from __future__ import annotations

import re

from support.paths import DOCS

JSON_PAGE = (DOCS / "json.md").read_text()


def documented(command: str, table: int) -> set[str]:
    """The keys of a table below a command's heading in docs/json.md."""
    found = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", JSON_PAGE, re.DOTALL | re.MULTILINE)
    assert found, command
    tables = found[1].split("|---|---|\n")[1:]
    cells = re.findall(r"^\| (.*?) \|", tables[table], re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}

"""What each rule of slimming saves, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nix2oci import text
from nix2oci.model.slim_rules import RULES
from nix2oci.report.terminal.styled import Table, Text

if TYPE_CHECKING:
    from nix2oci.pipeline.slim import SlimSavings


def slim_text(slim: SlimSavings) -> Text:
    """A row for each rule: what it leaves out, and whether this image has it."""
    rows = [
        (
            each.rule,
            "yes" if each.rule in slim.decision.rules.names else "no",
            each.files,
            text.size(each.size),
            text.size(each.compressed),
            slim.decision.against.get(each.rule, RULES[each.rule].what),
        )
        for each in slim.savings
    ]
    head = ("rule", "left out", "files", "size", "compressed", "what, or what speaks against it")
    return [Table(head, rows)]

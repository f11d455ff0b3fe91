"""What the user wants to be done about shells."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What is done about shells; docs/shell.md."""

    AUTO = "auto"
    """Replace wrappers; drop a shell that no file needs any more."""
    KEEP = "keep"
    """Replace and drop nothing."""
    FORBID = "forbid"
    """As `auto`, and fail where a shell would stay."""
    DROP = "drop"
    """Replace wrappers; drop every shell, and say what breaks."""

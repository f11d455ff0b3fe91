"""What the user wants to be done about shells."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What is done about shells; docs/shell.md."""

    AUTO = "auto"
    """Replace wrappers; drop a shell that no file needs any more."""
    EVIDENT = "evident"
    """As `auto`, and drop a shell of which nothing was found that needs it."""
    KEEP = "keep"
    """Replace and drop nothing."""
    FORBID = "forbid"
    """As `auto`, and fail where a shell would stay."""
    DROP = "drop"
    """Replace wrappers; drop every shell, and say what breaks."""

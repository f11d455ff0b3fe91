"""What a file is that is not what it should be, in the words of `file`."""

from __future__ import annotations

HEAD = 4096
"""Bytes that are enough to tell."""


def file_kind(head: bytes) -> str:
    """The kind of a file that begins with `head`: `ASCII text`, `gzip compressed data`, `empty`.

    Details after the first comma are left out. The words are those of libmagic, for people only.
    """
    import pylibmagic  # noqa: F401, PLC0415  # finds the library for `magic`; only errors need it

    # isort: split
    import magic  # noqa: PLC0415

    return magic.from_buffer(head).partition(",")[0].strip() or "data"

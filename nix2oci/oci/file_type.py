"""What a file is that is not what it should be, in the words of `file`."""

from __future__ import annotations

HEAD = 4096
"""Bytes that are enough to tell."""


def file_kind(head: bytes) -> str:
    """The kind of a file that begins with `head`: `ASCII text`, `gzip compressed data`, `empty`.

    Details after the first comma are left out. The words are those of libmagic, for people only:
    pylibmagic's, or where that is not installed the system's. Without any they are `empty`,
    `text` and `data`.
    """
    try:
        return _by_libmagic(head) or "data"
    except ImportError:
        return _by_itself(head)


def _by_libmagic(head: bytes) -> str:
    """Raises `ImportError` where there is no libmagic, or none that works."""
    from contextlib import suppress  # noqa: PLC0415  # only errors need any of this

    with suppress(ImportError):
        import pylibmagic  # noqa: F401, PLC0415  # finds the library for `magic`

    # isort: split
    import magic  # noqa: PLC0415

    try:
        return magic.from_buffer(head).partition(",")[0].strip()
    except magic.MagicException as err:
        raise ImportError("libmagic has no descriptions of files") from err


def _by_itself(head: bytes) -> str:
    if not head:
        return "empty"
    # The end may be in the middle of a character.
    is_text = b"\0" not in head and "\ufffd" not in head[:-3].decode(errors="replace")
    return "text" if is_text else "data"

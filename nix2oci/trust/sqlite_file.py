"""A SQLite database as a function of its rows alone, by the format of the file.

SQLite itself lays out the same rows in other places from version to version (3.40 and 3.51 differ),
and would give the same image other bytes on another machine. What is here of the format
(sqlite.org/fileformat2.html) is what small rows need: pages of 4096 bytes, no overflow, no free
pages. The trees are filled from the left, each page as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

Value = str | int | None
Row = tuple[Value, ...]

_PAGE = 4096
_MOST = 900
"""Bytes of a row: an index keeps 1002 of one in its page (1.6, Cell Payload Overflow Pages)."""
_TABLE, _INDEX = (0x0D, 0x05), (0x0A, 0x02)
"""Kinds of tree: the type of its leaves, and of its other pages."""
_WRITTEN_BY = 3_040_000
"""The version of SQLite that the header names."""


class Index(Struct, frozen=True):
    """An index of some columns of a table, by their numbers; without `sql` it is of a key."""

    name: str
    columns: tuple[int, ...]
    sql: str | None = None


class Table(Struct, frozen=True):
    """A table; in `rows` the key is the row number, from 1, where the first column is None."""

    name: str
    sql: str
    rows: Sequence[Row] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[tuple[str, str], ...] = ()
    """Name and SQL."""


def database(tables: Iterable[Table]) -> bytes:
    """The file. No row may have more than `_MOST` bytes, and all SQL has to fit into one page."""
    pages: list[bytes] = [b""]
    schema: list[Row] = []
    for table in tables:
        cells = [_cell(row, number) for number, row in enumerate(table.rows, 1)]
        root = _tree(pages, _TABLE, cells)
        schema.append(("table", table.name, table.name, root, table.sql))
        for index in table.indexes:
            keys = sorted(_key(row, number, index) for number, row in enumerate(table.rows, 1))
            root = _tree(pages, _INDEX, [_Cell(_sized(_record(key))) for key in keys])
            schema.append(("index", index.name, table.name, root, index.sql))
        schema += (("trigger", name, table.name, 0, sql) for name, sql in table.triggers)
    cells = [_cell(row, number) for number, row in enumerate(schema, 1)]
    pages[0] = _page(_TABLE[0], [cell.data for cell in cells], head=_header(len(pages)))
    return b"".join(pages)


def _header(pages: int) -> bytes:
    """1.3: the first 100 bytes; rollback journal, UTF-8, schema format 4."""
    numbers = (1, pages, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0)
    start = b"SQLite format 3\0" + _PAGE.to_bytes(2, "big") + bytes((1, 1, 0, 64, 32, 32))
    middle = b"".join(number.to_bytes(4, "big") for number in numbers)
    return start + middle + bytes(20) + b"".join(n.to_bytes(4, "big") for n in (1, _WRITTEN_BY))


class _Cell(Struct, frozen=True):
    """A row as a leaf has it, and the key by which a page above tells it from later ones."""

    data: bytes
    key: bytes = field(default=b"")


def _cell(row: Row, number: int) -> _Cell:
    payload = _record(row)
    return _Cell(_varint(len(payload)) + _varint(number) + payload, _varint(number))


def _key(row: Row, number: int, index: Index) -> Row:
    return (*(row[column] for column in index.columns), number)


def _sized(payload: bytes) -> bytes:
    return _varint(len(payload)) + payload


def _tree(pages: list[bytes], kind: tuple[int, int], cells: Sequence[_Cell]) -> int:
    """Add the pages of a tree; the number of its root. An index has each key once (1.6)."""
    children: list[int] = []
    between: list[bytes] = []
    start, rows = 0, [cell.data for cell in cells]
    while start < len(rows) or not children:
        end = _fitting(rows, start, 8)
        last = end == len(cells)
        if kind is _TABLE:
            between += [] if last else [cells[end - 1].key]
            following = end
        else:
            end -= end == len(cells) - 1  # something has to be left for the next leaf
            between += [] if last else [rows[end]]
            following = end + 1
        pages.append(_page(kind[0], rows[start:end]))
        children.append(len(pages))
        start = following
    return _above(pages, kind, children, between)


def _above(
    pages: list[bytes], kind: tuple[int, int], children: list[int], between: list[bytes]
) -> int:
    """Pages over pages, until there is one; `between` are the keys between children."""
    while len(children) > 1:
        cells = [
            child.to_bytes(4, "big") + key for child, key in zip(children, between, strict=False)
        ]
        above: list[int] = []
        keys: list[bytes] = []
        start = 0
        while start < len(children):
            end = _fitting(cells, start, 12)
            end -= end == len(children) - 2  # a page with one child would have no key
            pages.append(_page(kind[1], cells[start:end], right=children[end]))
            above.append(len(pages))
            keys += between[end : end + 1]
            start = end + 1
        children, between = above, keys
    return children[0]


def _fitting(cells: Sequence[bytes], start: int, used: int) -> int:
    """Where the cells end that one page takes, beside `used` bytes of its header."""
    for end in range(start, len(cells)):
        used += len(cells[end]) + 2
        if used > _PAGE:
            return end
    return len(cells)


def _page(kind: int, cells: Sequence[bytes], *, right: int = 0, head: bytes = b"") -> bytes:
    """1.6: header, places of the cells, and the cells from the end of the page."""
    places, content = [], b""
    for cell in cells:
        content = cell + content
        places.append(_PAGE - len(content))
    top = head + bytes((kind, 0, 0)) + len(cells).to_bytes(2, "big")
    top += (_PAGE - len(content)).to_bytes(2, "big") + b"\0"
    top += right.to_bytes(4, "big") if right else b""
    top += b"".join(place.to_bytes(2, "big") for place in places)
    if len(top) + len(content) > _PAGE:
        raise ValueError("the rows do not fit into a page")
    return top + bytes(_PAGE - len(top) - len(content)) + content


def _record(row: Row) -> bytes:
    """2.1: types, then values."""
    types, body = b"", b""
    for value in row:
        kind, data = _value(value)
        types, body = types + _varint(kind), body + data
    if len(types) + len(body) > _MOST:
        raise ValueError("a row is too long for a page")
    return bytes((len(types) + 1,)) + types + body


def _value(value: Value) -> tuple[int, bytes]:
    if value is None:
        return 0, b""
    if isinstance(value, str):
        data = value.encode()
        return 13 + 2 * len(data), data
    if value in (0, 1):
        return 8 + value, b""
    for kind, size in ((1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (6, 8)):
        if -(1 << 8 * size - 1) <= value < 1 << 8 * size - 1:
            return kind, value.to_bytes(size, "big", signed=True)
    raise ValueError(value)


def _varint(number: int) -> bytes:
    """1.6: seven bits in each byte, the highest first; fewer than 2 ** 56."""
    found = bytes((number & 0x7F,))
    while number := number >> 7:
        found = bytes((number & 0x7F | 0x80,)) + found
    return found

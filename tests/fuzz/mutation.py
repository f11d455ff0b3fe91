"""Changes of good inputs, drawn from a seed: of bytes, of JSON and of tar archives."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random  # noqa: TID251 - tests may draw, from a seed
from typing import Any

Mutate = Callable[[Random, bytes], bytes]

_NUMBERS = (0, 1, -1, 7, 2**31, 2**63 - 1, 2**63, 2**64, 10**400, 1.5, 1e308, -0.0)
_TEXTS = (
    "",
    "x",
    "\ud800",
    "\x1b]0;PWN\x07\n",
    "../../etc/passwd",
    "a" * 5000,
    "sha256:" + "0" * 64,
    "sha256:" + "A" * 64,
    "sha512:" + "0" * 128,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "/nix/store/" + "0" * 32 + "-x",
    "2020-02-30T00:00:00Z",
    "${x}",
    "é\u202e",
)
_PIECES = (
    b"",
    b"\0",
    b"\xff",
    b"-1",
    b"9" * 30,
    b"9" * 5000,
    b"\n",
    b"\r\n",
    b":",
    b"  ",
    b"\x1b[2J",
    b"NaN",
    b"null",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"&a [*a]",
    b"!!python/object:os.system x",
    b"\\ud800",
    b"\xed\xa0\x80",
    b'"',
    b"{}",
)


def mutate_bytes(random: Random, data: bytes) -> bytes:
    """One to four changes of single bytes, pieces or the length."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = _change(random, data)
    return data


def _change(random: Random, data: bytes) -> bytes:
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((0, 1, 1, 2, 8, 100)))
    there, piece = random.randrange(len(data) + 1), data[start:end]
    bit = 1 << random.randrange(8)
    before, middle, after = random.choice(
        (
            (data[:start], b"", b""),
            (data[:start], b"", data[end:]),
            (data[:start], piece * random.choice((2, 3, 50)), data[end:]),
            (data[:there], piece, data[there:]),
            (data[:start], random.choice(_PIECES), data[end:]),
            (data[:start], random.randbytes(len(piece)), data[end:]),
            (data[:start], bytes(byte ^ bit for byte in piece[:1]) + piece[1:], data[end:]),
        )
    )
    return before + middle + after


def odd_value(random: Random) -> Any:
    """What no document should have in the place of something else."""
    match random.randrange(8):
        case 0 | 1:
            return random.choice(_NUMBERS)
        case 2 | 3:
            return random.choice(_TEXTS)
        case 4:
            return random.choice((None, True, False))
        case 5:
            return random.choice(([], {}, [None], [[]], {"": None}, [{}], {"a": {}}))
        case 6:
            return [odd_value(random) for _ in range(3)]
    value: Any = "deep"
    for _ in range(random.choice((5, 70, 3000))):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def mutate_json(random: Random, document: bytes) -> bytes:
    """A change of the value that JSON is, or of its text."""
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):  # changed before
        return mutate_bytes(random, document)
    if random.random() < 0.2:
        return mutate_bytes(random, document)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _changed(random, value)
    return written(value)


def written(value: Any) -> bytes:
    """JSON of any depth, which `json` alone does not write."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except RecursionError:
        return _written_deep(value)


def _written_deep(value: Any) -> bytes:
    depth = 100_000
    return b"[" * depth + json.dumps(str(type(value))).encode() + b"]" * depth


def _changed(random: Random, value: Any) -> Any:
    """The value with something changed, often far inside."""
    inside = list(value) if isinstance(value, dict) else range(len(value) if _is_list(value) else 0)
    if not inside or random.random() < 0.1:
        return odd_value(random)
    key = random.choice(inside)
    made = value.copy()
    match random.randrange(10):
        case 0:
            del made[key]
        case 1 if _is_list(value):
            made += [value[key]] * random.choice((1, 2, 300))
        case 1:
            made[random.choice(_TEXTS)] = odd_value(random)
        case 2:
            made[key] = odd_value(random)
        case 3:
            made[key] = made[random.choice(inside)]
        case _:
            made[key] = _changed(random, value[key])
    return made


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


_FIELDS = (
    slice(0, 100),
    slice(100, 108),
    slice(108, 116),
    slice(124, 136),
    slice(124, 136),
    slice(136, 148),
    slice(156, 157),
    slice(156, 157),
    slice(157, 257),
    slice(257, 265),
    slice(345, 500),
    slice(482, 483),
)
_VALUES = (
    b"",
    b"\0" * 12,
    b"-0000007\0",
    b"1_1",
    b"0o17",
    b"\xff" * 12,
    b"\x80" + b"\0" * 10 + b"\5",
    b"\x80" + b"\xff" * 11,
    b"77777777777\0",
    b"../../x",
    b"/etc/passwd",
    b"a/.wh..wh..opq",
    b"a/.wh.b",
    b"\xff\x1b[2J",
    b"nix/store/0123456789abcdfghijklmnpqrsvwxyz-app-1.0/x",
    *(bytes([kind]) for kind in b"01234567xgLKSDMVN\0\xff"),
)


def mutate_tar(random: Random, data: bytes) -> bytes:
    """Blocks that are lost, doubled or exchanged, or changed fields; checksums mostly mended."""
    if random.random() < 0.15:
        return mutate_bytes(random, data)
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(blocks))
        match random.randrange(8):
            case 0:
                del blocks[at : at + random.choice((1, 1, 3))]
                blocks = blocks or [bytes(512)]
            case 1:
                blocks[at:at] = blocks[at : at + random.choice((1, 2, 3))]
            case 2:
                other = random.randrange(len(blocks))
                blocks[at], blocks[other] = blocks[other], blocks[at]
            case 3:
                blocks[at] = mutate_bytes(random, blocks[at])[:512].ljust(512, b"\0")
            case _:
                heads = [n for n, block in enumerate(blocks) if block[257:262] == b"ustar"] or [at]
                chosen = random.choice(heads)
                blocks[chosen] = _new_field(random, blocks[chosen])
    return b"".join(blocks)


def _new_field(random: Random, block: bytes) -> bytes:
    field = random.choice(_FIELDS)
    width = field.stop - field.start
    value = random.choice(_VALUES)[:width].ljust(width, b"\0")
    changed = block[: field.start] + value + block[field.stop :]
    return with_checksum(changed) if random.random() < 0.9 else changed


def with_checksum(header: bytes) -> bytes:
    """A header of a tar whose checksum is right."""
    total = sum(header) - sum(header[148:156]) + 8 * 0x20
    return header[:148] + b"%06o\0 " % total + header[156:]

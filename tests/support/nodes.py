"""Store objects that a reader has to get right: chosen ones, and any."""

import pytest
from hypothesis import strategies as st
from support.fakestore import Link, Node, Program

from nix2oci.nix.nar import CHUNK

NODES = [
    pytest.param(b"", id="the store path is an empty file"),
    pytest.param(b"x" * 8, id="the store path is a file"),
    pytest.param(Program(), id="the store path is an empty program"),
    pytest.param(Program(b"#!/bin/sh\n"), id="the store path is a program"),
    pytest.param(Link(b"../elsewhere"), id="the store path is a link"),
    pytest.param({}, id="the store path is an empty directory"),
    pytest.param(
        {b"bin": {b"app": Program(b"\x7fELF"), b"link": Link(b"app")}, b"share": {b"doc": {}}},
        id="directories, programs and links",
    ),
    pytest.param(
        {b"a": {b"b": b""}, b"a-b": b"", b"a.b": b"", b"B": b"", b"\xc3\xa9": b"", b"~": b""},
        id="names are in bytewise order, directory by directory",
    ),
    pytest.param(
        {b"%d" % size: bytes(size) for size in (1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 1)},
        id="sizes around the padding and the chunk",
    ),
    pytest.param({b"%d" % n: bytes(60_000) for n in range(6)}, id="many small pieces"),
    pytest.param(
        {
            name: name
            for name in (
                *(b"\xff", b"caf\xe9", b"new\nline", b"tab\t", b" space ", b"back\\slash", b"-rf"),
                *(b"\x01\x7f", b"...", b"a.wh.b", b"x" * 255, b"\xf0\x9f\x90\xb3", b"C:", b"*"),
            )
        },
        id="names are bytes",
    ),
    pytest.param(
        {
            b"self": Link(b"self"),
            b"loop-a": Link(b"loop-b"),
            b"loop-b": Link(b"loop-a"),
            b"dangling": Link(b"no/such/file"),
            b"absolute": Link(b"/nix/store/" + b"0" * 32 + b"-not-in-the-closure/bin/x"),
            b"escape": Link(b"../../../../../../../../etc/passwd"),
            b"root": Link(b"/"),
            b"bytes": Link(b"\xff\n"),
            b"whiteout": Link(b".wh.x"),
            b"long": Link(b"x" * 255 + b"/y" * 1900),
            b"dot": Link(b"./a//b/../c/"),
        },
        id="link targets are kept byte for byte and never followed",
    ),
]

_NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: (
        not (b"/" in name or b"\0" in name or name in (b".", b"..") or name.startswith(b".wh."))
    )
)
_TARGETS = st.binary(min_size=1, max_size=60).filter(lambda target: b"\0" not in target)
ANY_NODE: st.SearchStrategy[Node] = st.recursive(
    st.binary(max_size=40) | st.builds(Program, st.binary(max_size=40)) | st.builds(Link, _TARGETS),
    lambda inner: st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)

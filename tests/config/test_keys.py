"""Flags: the strings of a command line become the document that the file would have."""

from __future__ import annotations

import pytest

from nix2oci.config.flags import Given
from nix2oci.config.image_spec import flags
from nix2oci.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"name": None, "env": ()}, {}, id="flags that were not given"),
        pytest.param({"tag": ("1.10",)}, {"tag": ["1.10"]}, id="a tag"),
        pytest.param(
            {"tag": ("h.io:5/a:1",)}, {"name": "h.io:5/a", "tag": ["1"]}, id="a name with a tag"
        ),
        pytest.param(
            {"name": "a", "tag": ("a:1",)}, {"name": "a", "tag": ["1"]}, id="the same name twice"
        ),
        pytest.param(
            {"tag": ("a:1", "b", "a:c")}, {"name": "a", "tag": ["1", "b", "c"]}, id="several tags"
        ),
        pytest.param({"stop-signal": ""}, {"stop-signal": ""}, id="an empty value that is given"),
        pytest.param({"entrypoint": ("sh",)}, {"entrypoint": "sh"}, id="one program"),
        pytest.param(
            {"entrypoint": ("sh", "-c")}, {"entrypoint": ["sh", "-c"]}, id="a program, arguments"
        ),
        pytest.param(
            {"env": ("A=x=y", "B=")}, {"env": {"A": "x=y", "B": ""}}, id="variables, one empty"
        ),
        pytest.param(
            {"users": ("a:1", "b:2:50:/h:/bin/sh", "c:3:::/bin/sh")},
            {
                "users": [
                    {"name": "a", "uid": 1},
                    {"name": "b", "uid": 2, "gid": 50, "home": "/h", "shell": "/bin/sh"},
                    {"name": "c", "uid": 3, "shell": "/bin/sh"},
                ]
            },
            id="users with more and fewer fields",
        ),
        pytest.param(
            {"groups": ("g:7", "h:8:root,nobody")},
            {
                "groups": [
                    {"name": "g", "gid": 7, "members": []},
                    {"name": "h", "gid": 8, "members": ["root", "nobody"]},
                ]
            },
            id="groups with and without members",
        ),
        pytest.param(
            {"view": ("sh", "no-etc")}, {"view": {"sh": True, "etc": False}}, id="switches"
        ),
        pytest.param({"max-layers": "9"}, {"max-layers": 9}, id="a number"),
        pytest.param(
            {"debug": True, "debug-tools": "a#b"},
            {"debug": True, "debug-tools": "a#b"},
            id="a switch",
        ),
        pytest.param({"debug": False}, {"debug": False}, id="a switch that is off"),
    ],
)
def test_flags(options: dict[str, Given], expected: object) -> None:
    assert flags(options) == expected


ID = "expected a number from 0 to 2147483647, got"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"env": ("PATH",)}, "--env: expected NAME=VALUE, got 'PATH'", id="no value for env"
        ),
        pytest.param(
            {"env": ("=secret",)}, "--env: the name before '=' is empty", id="no name for env"
        ),
        pytest.param(
            {"env": ("A=1", "A=2")}, "--env: 'A' is there twice", id="a variable given twice"
        ),
        pytest.param(
            {"env": ("A=\udcff",)},
            "--env A: the text is not valid Unicode",
            id="bytes of the command line that are no text",
        ),
        pytest.param(
            {"labels": ("a",)}, "--labels: expected NAME=VALUE, got 'a'", id="no value for labels"
        ),
        pytest.param(
            {"ports": ("80", "x")},
            "--ports: expected a port from 1 to 65535, or PORT/tcp, PORT/udp, PORT/sctp, got 'x'",
            id="the second port is none",
        ),
        pytest.param(
            {"users": ("app",)},
            "--users: expected NAME:UID[:GID[:HOME[:SHELL]]], got 'app'",
            id="a user without a number",
        ),
        pytest.param({"users": ("app:",)}, f"--users uid: {ID} ''", id="an empty uid"),
        pytest.param({"users": ("app:x",)}, f"--users uid: {ID} 'x'", id="a uid that is a name"),
        pytest.param(
            {"users": (":1",)}, "--users name: the text is empty", id="a user with an empty name"
        ),
        pytest.param(
            {"groups": ("g:1:a:b",)},
            "--groups: expected NAME:GID[:MEMBER,...], got 'g:1:a:b'",
            id="a group with too many fields",
        ),
        pytest.param({"view": ("no-shell",)}, "--view: unknown switch 'shell'", id="no switch"),
        pytest.param({"view": ("sh", "no-sh")}, "--view: 'sh' is there twice", id="on and off"),
        pytest.param(
            {"max-layers": "x"},
            "--max-layers: expected a number of layers from 1 to 127, got 'x'",
            id="layers that are no number",
        ),
        pytest.param(
            {"max-layers": "128"},
            "--max-layers: 128 layers are more than the 127 that engines can mount",
            id="too many layers",
        ),
        pytest.param(
            {"tag": ("a/b",)},
            "--tag: expected a tag: up to 128 letters, digits, '_', '.', '-', got 'a/b'",
            id="a name where a tag belongs",
        ),
        pytest.param({"tag": (":1",)}, "--tag: the text is empty", id="no name before the colon"),
        pytest.param(
            {"name": "a", "tag": ("b:1",)},
            "--name and --tag give the image different names",
            id="two names",
        ),
        pytest.param(
            {"tag": ("b/c:1", "a:2")},
            "--tag: the image has one name, and not a and b/c",
            id="tags of two names",
        ),
        pytest.param({"tag": ("1", "1")}, "--tag: '1' is there twice", id="one tag twice"),
        pytest.param(
            {"tag": ("a:1", "1")}, "--tag: '1' is there twice", id="one tag twice, once with a name"
        ),
    ],
)
def test_flags_that_are_wrong(options: dict[str, Given], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        flags(options)
    assert str(caught.value) == message


def test_an_unknown_switch_has_its_nearest_as_hint() -> None:
    with pytest.raises(ConfigError) as caught:
        flags({"view": ("zoneinfos",)})
    assert caught.value.hint == "did you mean 'zoneinfo'?"

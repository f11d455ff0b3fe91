"""Each key of nix2oci.yaml by itself: what is refused, and how the error says it."""

from __future__ import annotations

import pytest

from nix2oci.config.image_spec import parse
from nix2oci.errors import ConfigError

TAG = "tag: expected a tag: up to 128 letters, digits, '_', '.', '-', got"
PORT = "expected a port from 1 to 65535, or PORT/tcp, PORT/udp, PORT/sctp, got"
LAYERS = "max-layers: expected a number of layers from 1 to 127, got"
TIME = "created: expected a time such as 2024-05-06T07:08:09Z, seconds since 1970, or now, got"
SIGNAL = "stop-signal: expected a signal such as SIGTERM, SIGRTMIN+3 or 15, got"
USER = "user: expected a user such as 1000, 1000:1000 or nobody, got"
SHORTEST = "expected an absolute path in its shortest form, got"


@pytest.mark.parametrize(
    ("key", "value", "message", "hint"),
    [
        pytest.param(
            "name",
            "Team/App",
            "name: expected the name of an image, such as team/app, got 'Team/App'",
            "use lower case: team/app",
            id="upper case in the name",
        ),
        pytest.param(
            "name",
            "app:1",
            "name: expected a name without tag or digest, got 'app:1'",
            "give the tag with 'tag'",
            id="a tag in the name",
        ),
        pytest.param("name", "", "name: the text is empty", None, id="an empty name"),
        pytest.param("tag", ".x", f"{TAG} '.x'", None, id="a tag that begins with a dot"),
        pytest.param("tag", "a" * 129, f"{TAG} '{'a' * 77}...'", None, id="a tag that is too long"),
        pytest.param("tag", "a@sha256:" + "0" * 64, f"{TAG} 'a@sha256:{'0' * 64}'", None, id="@"),
        pytest.param(
            "tag",
            True,
            "tag: expected text, got true",
            "put the value in quotes",
            id="a boolean where text belongs",
        ),
        pytest.param(
            "tag",
            1.1,
            "tag: expected text, got 1.1",
            "put the value in quotes",
            id="a fraction, which may have lost a zero",
        ),
        pytest.param(
            "tag",
            None,
            "tag: expected text, got nothing",
            "leave the key out to get the default",
            id="a key with nothing after it",
        ),
        pytest.param(
            "entrypoint",
            "redis --port 1",
            "entrypoint: expected a program, got 'redis --port 1'",
            "write a program with arguments as a list",
            id="a command line where a program belongs",
        ),
        pytest.param(
            "entrypoint",
            ["bin/app"],
            "entrypoint: expected the name of a program in bin/, or an absolute path,"
            " got 'bin/app'",
            None,
            id="a relative path",
        ),
        pytest.param(
            "cmd",
            "a",
            "cmd: expected a list, got 'a'",
            "a list of one is written as [value]",
            id="text where a list belongs",
        ),
        pytest.param(
            "env",
            ["A=1"],
            "env: expected a mapping, got a list",
            "write each as 'NAME: value'",
            id="Docker's form of env",
        ),
        pytest.param(
            "env",
            {"A=B": "secret"},
            "env: 'A=' is no name: it holds a '='",
            None,
            id="'=' in the name of a variable",
        ),
        pytest.param("env", {"": "x"}, "env: the text is empty", None, id="a variable unnamed"),
        pytest.param(
            "env", {"A": "secret\0"}, "env.A: the text holds a NUL", None, id="NUL in a value"
        ),
        pytest.param("env", {"A\0": "x"}, "env: the text holds a NUL", None, id="NUL in a name"),
        pytest.param(
            "env",
            {"A": "\ud800"},
            "env.A: the text is not valid Unicode",
            None,
            id="half a surrogate pair",
        ),
        pytest.param("env", {1: "a", "1": "b"}, "env: '1' is there twice", None, id="1 and '1'"),
        pytest.param("user", "x y", f"{USER} 'x y'", None, id="a space in the user"),
        pytest.param("user", "1:2:3", f"{USER} '1:2:3'", None, id="three parts in the user"),
        pytest.param("user", "1:", f"{USER} '1:'", None, id="no group after the colon"),
        pytest.param(
            "user",
            "0:2147483648",
            "user: expected a number from 0 to 2147483647, got '2147483648'",
            None,
            id="a gid that engines refuse",
        ),
        pytest.param(
            "user",
            -1,
            "user: expected a number from 0 to 2147483647, got '-1'",
            None,
            id="a uid below zero",
        ),
        pytest.param(
            "workdir", "a", "workdir: expected an absolute path, got 'a'", None, id="relative"
        ),
        pytest.param(
            "workdir",
            "//a/../b/",
            f"workdir: {SHORTEST} '//a/../b/'",
            "write '/b'",
            id="a path that is longer than it need be",
        ),
        pytest.param(
            "workdir",
            "/a\nb",
            "workdir: expected an absolute path, got '/a\\nb'",
            None,
            id="a line break in a path",
        ),
        pytest.param(
            "volumes",
            ["/"],
            "volumes[0]: the root of the image cannot be a volume",
            None,
            id="the root as a volume",
        ),
        pytest.param(
            "volumes", ["/a", "/a"], "volumes[1]: '/a' is there twice", None, id="a volume twice"
        ),
        pytest.param("ports", [0], f"ports[0]: {PORT} 0", None, id="port 0"),
        pytest.param("ports", [65536], f"ports[0]: {PORT} 65536", None, id="port 65536"),
        pytest.param("ports", ["080"], f"ports[0]: {PORT} '080'", None, id="a leading zero"),
        pytest.param("ports", ["1-2"], f"ports[0]: {PORT} '1-2'", None, id="a range of ports"),
        pytest.param("ports", ["1/TCP"], f"ports[0]: {PORT} '1/TCP'", None, id="TCP in capitals"),
        pytest.param(
            "ports", [80, "80/tcp"], "ports[1]: '80/tcp' is there twice", None, id="a port twice"
        ),
        pytest.param(
            "labels",
            {"a": "x" * (1 << 20)},
            "labels.a: it takes 1048577 bytes, more than 1048576",
            None,
            id="a label of more than a mebibyte",
        ),
        pytest.param(
            "annotations",
            {"org.opencontainers.image.titel": "x"},
            "annotations: 'org.opencontainers.image.titel' is not an annotation of the OCI image"
            " specification, which reserves the names that start with 'org.opencontainers.'",
            "begin the name with a domain of your own",
            id="a reserved annotation",
        ),
        pytest.param(
            "annotations",
            {"org.opencontainers.image.ref.name": "x"},
            "annotations: 'org.opencontainers.image.ref.name' is made from the tag",
            "give the tag with 'tag'",
            id="the annotation that is the tag",
        ),
        pytest.param("stop-signal", "term", f"{SIGNAL} 'term'", "write 'SIGTERM'", id="kill's way"),
        pytest.param("stop-signal", "SIGFOO", f"{SIGNAL} 'SIGFOO'", None, id="no such signal"),
        pytest.param("stop-signal", 65, f"{SIGNAL} '65'", None, id="a signal above 64"),
        pytest.param("stop-signal", 0, f"{SIGNAL} '0'", None, id="signal 0"),
        pytest.param(
            "contents",
            ["--impure"],
            "contents[0]: expected an installable such as .#app or nixpkgs#busybox, got '--impure'",
            None,
            id="a flag where an installable belongs",
        ),
        pytest.param(
            "users", [{"uid": 1}], "users[0]: 'name' is missing", None, id="a user without a name"
        ),
        pytest.param(
            "users",
            [{"name": "a", "uid": "1"}],
            "users[0].uid: expected a number from 0 to 2147483647, got '1'",
            None,
            id="a uid in quotes",
        ),
        pytest.param(
            "users",
            [{"name": "a", "uid": 1, "homedir": "/"}],
            "users[0]: unknown key 'homedir'",
            "did you mean 'home'?",
            id="an unknown key of a user",
        ),
        pytest.param(
            "groups",
            [{"name": "g"}],
            "groups[0]: 'gid' is missing",
            None,
            id="a group without a gid",
        ),
        pytest.param(
            "view",
            {"shell": True},
            "view: unknown key 'shell'",
            "did you mean 'sh'?",
            id="an unknown switch",
        ),
        pytest.param(
            "view", {"sh": "yes"}, "view.sh: expected true or false, got 'yes'", None, id="yes"
        ),
        pytest.param("max-layers", 0, f"{LAYERS} 0", None, id="no layer"),
        pytest.param("max-layers", -1, f"{LAYERS} -1", None, id="less than no layer"),
        pytest.param("max-layers", "x", f"{LAYERS} 'x'", None, id="layers that are no number"),
        pytest.param("max-layers", True, f"{LAYERS} true", None, id="layers that are a boolean"),
        *(
            pytest.param(
                "max-layers",
                number,
                f"max-layers: {number} layers are more than the 127 that engines can mount",
                None,
                id=f"{number} layers",
            )
            for number in (128, 10**9)
        ),
        pytest.param(
            "compression",
            "xz",
            "compression: expected gzip, zstd, zstd:chunked, auto or none, got 'xz'",
            None,
            id="an unknown compression",
        ),
        pytest.param("created", "2024-05-06", f"{TIME} '2024-05-06'", None, id="a day only"),
        pytest.param(
            "created", "2024-05-06T24:00:00Z", f"{TIME} '2024-05-06T24:00:00Z'", None, id="hour 24"
        ),
        pytest.param(
            "created", "2024-02-30T00:00:00Z", f"{TIME} '2024-02-30T00:00:00Z'", None, id="30 Feb"
        ),
        pytest.param(
            "created",
            "0001-01-01T00:00:00+01:00",
            f"{TIME} '0001-01-01T00:00:00+01:00'",
            None,
            id="a time that UTC cannot write",
        ),
        pytest.param(
            "created",
            "1969-12-31T23:59:59Z",
            "created: -1 is not within the years 1970 to 9999",
            None,
            id="a time before 1970",
        ),
        pytest.param(
            "created",
            253402300800,
            "created: 253402300800 is not within the years 1970 to 9999",
            None,
            id="a second past the year 9999",
        ),
        pytest.param("created", -1, f"{TIME} -1", None, id="seconds below zero"),
    ],
)
def test_refused(key: str, value: object, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({key: value})
    assert (str(caught.value), caught.value.hint) == (f"nix2oci.yaml: {message}", hint)

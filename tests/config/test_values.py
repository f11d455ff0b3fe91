"""Each key of nix2oci.yaml by itself: what it may be, and what it becomes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nix2oci.config.image_spec import ImageSpec, parse
from nix2oci.model.accounts import Group, User
from nix2oci.plan.view_switches import ViewSwitches


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc] # year to second


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("name", "team/app", ImageSpec(name="team/app"), id="a repository"),
        pytest.param("name", "h.io:5/a", ImageSpec(name="h.io:5/a"), id="a registry before it"),
        pytest.param("tag", 7, ImageSpec(tags=("7",)), id="a tag that looks like a number"),
        pytest.param("tag", "a" * 128, ImageSpec(tags=("a" * 128,)), id="the longest tag"),
        pytest.param("entrypoint", "sh", ImageSpec(entrypoint=("sh",)), id="one program"),
        pytest.param("entrypoint", "/a/b", ImageSpec(entrypoint=("/a/b",)), id="an absolute path"),
        pytest.param(
            "entrypoint",
            ["/a b", "", 7],
            ImageSpec(entrypoint=("/a b", "", "7")),
            id="a program with arguments, one of them empty",
        ),
        pytest.param("entrypoint", [], ImageSpec(), id="no program: the flake decides"),
        pytest.param("cmd", ["a b", ""], ImageSpec(cmd=("a b", "")), id="arguments as they are"),
        pytest.param("env", {"A": 8080}, ImageSpec(env={"A": "8080"}), id="a number in env"),
        pytest.param("env", {"A": "x=y\n"}, ImageSpec(env={"A": "x=y\n"}), id="'=' in a value"),
        pytest.param("user", 0, ImageSpec(user="0:0"), id="root by number"),
        pytest.param("user", "0:0", ImageSpec(user="0:0"), id="root by two numbers"),
        pytest.param("user", "nobody", ImageSpec(user="65534:65534"), id="a user by name"),
        pytest.param("user", "root:tty", ImageSpec(user="0:5"), id="a group by name"),
        pytest.param("user", "7:staff", ImageSpec(user="7:50"), id="a number with a group's name"),
        pytest.param("user", 1234, ImageSpec(user="1234"), id="a number that nobody has"),
        pytest.param("workdir", "/a/b", ImageSpec(working_dir="/a/b"), id="a directory"),
        pytest.param(
            "ports",
            [1, "65535/udp", "53/sctp", "80/tcp"],
            ImageSpec(ports=("1/tcp", "65535/udp", "53/sctp", "80/tcp")),
            id="ports with and without protocol",
        ),
        pytest.param("volumes", ["/a", "/b"], ImageSpec(volumes=("/a", "/b")), id="volumes"),
        pytest.param("labels", {"a": ""}, ImageSpec(labels={"a": ""}), id="an empty label"),
        pytest.param(
            "annotations",
            {"org.opencontainers.image.base.name": "x", "a": "b"},
            ImageSpec(annotations={"org.opencontainers.image.base.name": "x", "a": "b"}),
            id="annotations of the specification and of one's own",
        ),
        pytest.param("stop-signal", 15, ImageSpec(stop_signal="15"), id="a signal by number"),
        pytest.param(
            "stop-signal", "SIGRTMIN+3", ImageSpec(stop_signal="SIGRTMIN+3"), id="systemd's signal"
        ),
        pytest.param("contents", [".#a"], ImageSpec(contents=(".#a",)), id="an installable"),
        pytest.param(
            "users",
            [{"name": "app", "uid": 1000}],
            ImageSpec(users=(User("app", 1000, 1000),)),
            id="a user whose gid is the uid",
        ),
        pytest.param(
            "users",
            [{"name": "a", "uid": 1, "gid": 50, "home": "/h", "shell": "/bin/sh"}],
            ImageSpec(users=(User("a", 1, 50, "/h", "/bin/sh"),)),
            id="a user with all fields",
        ),
        pytest.param(
            "groups",
            [{"name": "g", "gid": 7, "members": ["nobody"]}],
            ImageSpec(groups=(Group("g", 7, ("nobody",)),)),
            id="a group with a member",
        ),
        pytest.param("view", {"sh": True}, ImageSpec(view=ViewSwitches(sh=True)), id="a switch"),
        pytest.param("max-layers", 1, ImageSpec(max_layers=1), id="one layer"),
        pytest.param("max-layers", 127, ImageSpec(max_layers=127), id="the most layers"),
        pytest.param("compression", "zstd", ImageSpec(compression="zstd"), id="a compression"),
        pytest.param("created", "now", ImageSpec(created="now"), id="now"),
        pytest.param("created", 0, ImageSpec(created=moment(1970, 1, 1)), id="the first second"),
        pytest.param(
            "created",
            253402300799,
            ImageSpec(created=moment(9999, 12, 31, 23, 59, 59)),
            id="the last second",
        ),
        pytest.param("created", "1", ImageSpec(created=moment(1970, 1, 1, 0, 0, 1)), id="digits"),
        pytest.param(
            "created",
            "2024-05-06t07:08:09.999+02:00",
            ImageSpec(created=moment(2024, 5, 6, 5, 8, 9)),
            id="a time in another zone, with a fraction",
        ),
    ],
)
def test_accepted(key: str, value: object, expected: ImageSpec) -> None:
    assert parse({key: value}) == expected

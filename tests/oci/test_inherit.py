"""The configuration of an image on a base: what wins, by the rules of a Dockerfile."""

from __future__ import annotations

import json
from collections.abc import Container
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from nix2oci.oci.documents import read_config
from nix2oci.oci.healthcheck import Healthcheck
from nix2oci.oci.inherit import Inherited, inherit
from nix2oci.oci.spec import Digest, History, ImageConfig, Platform, canonical_json

Json = dict[str, Any]

CREATED = datetime(2001, 2, 3, tzinfo=UTC)
BELOW, OURS = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
IMAGE = ImageConfig(
    Platform("amd64"),
    CREATED,
    (OURS,),
    (History("nix2oci", "ours"),),
    entrypoint=("/bin/app",),
    env=("PATH=/usr/bin",),
    user="65532:65532",
)
ASSUMED = frozenset({"User", "WorkingDir", "Env PATH"})


def document(**run: Any) -> Json:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [str(BELOW)]},
        "history": [
            {"created_by": "RUN make", "created": "2020-01-01T00:00:00.123456789Z"},
            {"created_by": "CMD sh", "empty_layer": True, "author": "a"},
        ],
    }


def written(config: ImageConfig) -> Json:
    found: Json = json.loads(canonical_json(config.to_json()))
    return found


def of(
    run: Json, *, assumed: Container[str] = ASSUMED, **ours: Any
) -> tuple[Json, tuple[Inherited, ...]]:
    config, rows = inherit(read_config(document(**run)), replace(IMAGE, **ours), assumed)
    found: Json = written(config)["config"]
    return found, rows


ROWS = [
    pytest.param(
        {"Env": ["PATH=/opt/bin:/usr/bin", "LANG=C"]},
        {},
        {"Env": ["PATH=/opt/bin:/usr/bin", "LANG=C"]},
        [("Env PATH", "base"), ("Env LANG", "base")],
        id="variables of the base stay, its PATH where nobody asks for another",
    ),
    pytest.param(
        {"Env": ["PATH=/opt/bin"]},
        {},
        {"Env": ["PATH=/opt/bin:/usr/bin"]},
        [("Env PATH", "both")],
        id="a PATH of the base finds our programs too, behind its own",
    ),
    pytest.param(
        {"Env": ["A=1", "PATH=/opt/bin", "B=2"]},
        {"env": ("PATH=/x", "B=3", "C=4"), "assumed": ()},
        {"Env": ["A=1", "PATH=/x", "B=3", "C=4"]},
        [("Env A", "base"), ("Env PATH", "image"), ("Env B", "image")],
        id="a variable that is asked for takes the place of the base's, new ones come behind",
    ),
    pytest.param(
        {"Env": ["A=1=2", "EMPTY="]},
        {},
        {"Env": ["A=1=2", "EMPTY=", "PATH=/usr/bin"]},
        [("Env A", "base")],
        id="a base without PATH has ours",
    ),
    pytest.param(
        {"User": "node"}, {}, {"User": "node"}, [("User", "base")], id="the user is the base's"
    ),
    pytest.param(
        {}, {}, {"User": "65532:65532"}, [], id="a base without a user is not run as root"
    ),
    pytest.param(
        {"User": "0"}, {}, {"User": "0"}, [("User", "base")], id="a base that says root is believed"
    ),
    pytest.param(
        {"User": "node"},
        {"user": "7", "assumed": ()},
        {"User": "7"},
        [("User", "image")],
        id="a user that is asked for wins",
    ),
    pytest.param(
        {"WorkingDir": "/work"},
        {},
        {"WorkingDir": "/work"},
        [("WorkingDir", "base")],
        id="the working directory is the base's",
    ),
    pytest.param(
        {"WorkingDir": "/work"},
        {"assumed": ()},
        {"WorkingDir": "/"},
        [("WorkingDir", "image")],
        id="even the root wins when it is asked for",
    ),
    pytest.param(
        {"Entrypoint": ["/base"], "Cmd": ["a"]},
        {},
        {"Entrypoint": ["/bin/app"], "Cmd": None},
        [("Entrypoint", "image"), ("Cmd", "image")],
        id="an entrypoint ends the command of the base",
    ),
    pytest.param(
        {"Cmd": ["a"]},
        {"cmd": ("b",)},
        {"Cmd": ["b"]},
        [("Cmd", "image")],
        id="a command that is asked for is ours",
    ),
    pytest.param(
        {"Labels": {"a": "1", "b": "2"}},
        {"labels": {"b": "3", "c": "4"}},
        {"Labels": {"a": "1", "b": "3", "c": "4"}},
        [("Labels a", "base"), ("Labels b", "image")],
        id="labels are joined and ours win",
    ),
    pytest.param(
        {"ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}},
        {"exposed_ports": ("443/tcp",), "volumes": ("/data",)},
        {"ExposedPorts": {"443/tcp": {}, "80/tcp": {}}, "Volumes": {"/data": {}}},
        [("ExposedPorts", "both"), ("Volumes", "base")],
        id="ports and volumes are those of both",
    ),
    pytest.param(
        {"StopSignal": "SIGQUIT"},
        {},
        {"StopSignal": "SIGQUIT"},
        [("StopSignal", "base")],
        id="the signal is the base's",
    ),
    pytest.param(
        {"StopSignal": "SIGQUIT"},
        {"stop_signal": "SIGINT"},
        {"StopSignal": "SIGINT"},
        [("StopSignal", "image")],
        id="a signal that is asked for wins",
    ),
    pytest.param(
        {"Healthcheck": {"Test": ["CMD", "x"]}, "Shell": ["/bin/bash"], "OnBuild": ["RUN x"]},
        {},
        {"Healthcheck": {"Test": ["CMD", "x"]}, "Shell": ["/bin/bash"], "OnBuild": ["RUN x"]},
        [("Healthcheck", "base"), ("OnBuild", "base"), ("Shell", "base")],
        id="health check, shell and triggers are the base's",
    ),
    pytest.param(
        {"Healthcheck": {"Test": ["CMD", "x"], "Retries": 2}},
        {"healthcheck": Healthcheck(("CMD", "y"), interval=5)},
        {"Healthcheck": {"Test": ["CMD", "y"], "Interval": 5}},
        [("Healthcheck", "image")],
        id="a health check that is asked for wins as a whole",
    ),
    pytest.param(
        {"Image": "sha256:1", "Hostname": "x", "Labels": None, "Cmd": None},
        {},
        {"Image": None, "Hostname": None, "Labels": None},
        [],
        id="what no engine reads of an image is left behind, and null is nothing",
    ),
]


@pytest.mark.parametrize(("run", "ours", "expected", "won"), ROWS)
def test_what_wins(run: Json, ours: Json, expected: Json, won: list[tuple[str, str]]) -> None:
    found, rows = of(run, **ours)
    assert {key: found.get(key) for key in expected} == expected
    assert [(row.key, row.won) for row in rows if row.base != ""] == won


def test_the_table_has_what_both_say() -> None:
    _, rows = of({"User": "node", "Cmd": ["sh"], "Env": ["A=1"]})
    assert rows == (
        Inherited("Env A", "1", None, "base"),
        Inherited("User", "node", "65532:65532", "base"),
        Inherited("Cmd", ["sh"], None, "image"),
    )


def test_layers_and_history_of_the_base_come_first() -> None:
    below = document()
    config, _ = inherit(read_config(below), IMAGE, ASSUMED)
    found = written(config)
    assert found["rootfs"]["diff_ids"] == [str(BELOW), str(OURS)]
    ours = {"created": "2001-02-03T00:00:00Z", "created_by": "nix2oci", "comment": "ours"}
    assert found["history"] == [*below["history"], ours]
    assert found["created"] == "2001-02-03T00:00:00Z"


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(None, id="none"),
        pytest.param([{"empty_layer": True}], id="one that has no layer"),
        pytest.param([{}, {}], id="one that has too many"),
    ],
)
def test_a_history_that_does_not_fit_has_a_line_for_each_layer(history: Any) -> None:
    config, _ = inherit(read_config({**document(), "history": history}), IMAGE, ASSUMED)
    assert written(config)["history"][:-1] == [{"created_by": "base image"}]


def test_the_variant_of_the_base_is_that_of_the_image() -> None:
    below = {**document(), "architecture": "arm64", "variant": "v8"}
    config, _ = inherit(read_config(below), IMAGE, ASSUMED)
    assert str(config.platform) == "linux/arm64/v8"


def test_a_base_without_config_gives_nothing() -> None:
    below = {key: value for key, value in document().items() if key != "config"}
    config, rows = inherit(read_config(below), IMAGE, ASSUMED)
    assert config.to_json()["config"] == IMAGE.to_json()["config"]
    assert rows == ()

"""The settings of an image are told apart, whoever made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.smallimage import STORE_PATH, Json, SmallImage

from nix2oci.oci.layout.source import open_image
from nix2oci.oci.settings import settings


def told(tmp_path: Path, config: Json | None, annotations: Any = None) -> dict[str, str]:
    def edit(document: Json) -> None:
        document["config"] = config

    def annotate(document: Json) -> None:
        document["annotations"] = annotations

    image = SmallImage(config=edit, manifest=annotate).write(tmp_path / "image")
    found = settings(open_image(str(image)))
    assert found.pop("platform") == "linux/amd64"
    assert found.pop("created") == "1980-01-01T00:00:01Z"
    return found


def test_settings_of_a_small_image(tmp_path: Path) -> None:
    image = SmallImage().write(tmp_path / "image")
    assert settings(open_image(str(image))) == {
        "entrypoint": f'["{STORE_PATH}/bin/app"]',
        "env PATH": "/bin",
        "platform": "linux/amd64",
        "created": "1980-01-01T00:00:01Z",
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(None, {}, id="no configuration"),
        pytest.param({"Cmd": ["a", "b c"]}, {"cmd": '["a", "b c"]'}, id="a list"),
        pytest.param({"Cmd": "sh"}, {"cmd": '"sh"'}, id="text where a list should be"),
        pytest.param({"Env": ["A=b=c", "D"]}, {"env A": "b=c", "env D": ""}, id="variables"),
        pytest.param({"Env": None, "Labels": None}, {}, id="nulls, as Docker has them"),
        pytest.param(
            {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/data": {}}},
            {"port 53/udp": "", "port 80/tcp": "", "volume /data": ""},
            id="sets",
        ),
        pytest.param(
            {"User": "1", "WorkingDir": "/w", "StopSignal": "SIGINT", "Labels": {"a": "b"}},
            {"user": "1", "workdir": "/w", "stop-signal": "SIGINT", "label a": "b"},
            id="texts",
        ),
    ],
)
def test_settings_by_name(config: Json, expected: dict[str, str], tmp_path: Path) -> None:
    assert told(tmp_path, config) == expected


def test_annotations_that_say_something_new(tmp_path: Path) -> None:
    notes = {"title": "x", "url": "y", "nix2oci.shell": "{}"}
    found = told(tmp_path, {"Labels": {"title": "x", "url": "z"}}, notes)
    assert found == {"label title": "x", "label url": "z", "annotation url": "y"}

"""docs/configuration.md and docs/nix2oci.schema.json say what the parser does."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.paths import DOCS

from nix2oci.config.flags import FLAGS
from nix2oci.config.image_spec import ImageSpec, flags, load, merge, parse
from nix2oci.config.keys import BY_FLAG, KEYS, LAYERS, NO_FLAG, Document
from nix2oci.config.options.image import IMAGE, ImageOptions
from nix2oci.errors import ConfigError
from nix2oci.model.accounts import NOLOGIN
from nix2oci.plan.view_switches import ViewSwitches

PAGE = (DOCS / "configuration.md").read_text()
SCHEMA: dict[str, Any] = json.loads((DOCS / "nix2oci.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SECTIONS = dict(re.findall(r"^### `([a-z-]+)`\n(.*?)(?=^### |\Z)", PAGE, re.DOTALL | re.MULTILINE))


def valid(document: object) -> bool:
    return VALIDATOR.is_valid(document)


def parses(document: Document) -> bool:
    try:
        parse(document)
    except ConfigError:
        return False
    return True


def from_yaml(text: str, directory: Path) -> Document:
    path = directory / "nix2oci.yaml"
    path.write_text(text)
    return load(str(path))


def from_command_line(line: str) -> Document:
    """The document of flags, read by click as the command does."""
    command = click.Command("build", params=list(IMAGE.flags))
    context = command.make_context("build", shlex.split(line))
    return flags(ImageOptions.of(**context.params).flags)


def test_each_flag_of_a_key_is_an_option() -> None:
    assert [option.opts[-1] for option in IMAGE.flags] == ["--config", *(f"--{f}" for f in FLAGS)]
    assert list(BY_FLAG) == list(FLAGS)


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_schema_has_the_keys_of_the_parser() -> None:
    assert list(SCHEMA["properties"]) == [*KEYS, "images"]
    assert all(key["description"] for key in SCHEMA["properties"].values())
    assert list(SCHEMA["$defs"]["image"]["properties"]) == ["installable", *KEYS]


def test_schema_has_the_parts_of_layers() -> None:
    assert list(SCHEMA["properties"]["layers"]["properties"]) == list(LAYERS)


def test_schema_has_the_switches_of_the_view() -> None:
    switches = SCHEMA["properties"]["view"]["properties"]
    defaults = ViewSwitches()
    assert {name: switch["default"] for name, switch in switches.items()} == {
        name: getattr(defaults, name) for name in ViewSwitches.__struct_fields__
    }


def test_defaults_of_the_schema_change_nothing() -> None:
    defaults = {
        name: key["default"] for name, key in SCHEMA["properties"].items() if "default" in key
    }
    assert parse(defaults) == ImageSpec()
    without = {"name", "tag", "base", "env-file", "user", "workdir", "debug-tools", "created"}
    without |= {"healthcheck", "trust"}
    assert set(KEYS) - set(defaults) == without
    user = SCHEMA["properties"]["users"]["items"]["properties"]
    assert user["shell"]["default"] == NOLOGIN


@pytest.mark.parametrize(
    ("name", "example"),
    [
        pytest.param(name, example, id=f"{name}: {example}")
        for name, key in SCHEMA["properties"].items()
        for example in key.get("examples", ())
    ],
)
def test_examples_of_the_schema_are_good(name: str, example: object) -> None:
    assert valid({name: example})
    assert parses({name: example})


def test_page_has_a_section_for_each_key_in_order() -> None:
    assert list(SECTIONS) == list(KEYS)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.partition("\n")[0] for block in BLOCKS])
def test_blocks_of_the_page_are_good(block: str, tmp_path: Path) -> None:
    document = from_yaml(block, tmp_path)
    assert parses(document)
    assert valid(document)


@pytest.mark.parametrize("name", [name for name in KEYS if name not in NO_FLAG])
def test_flag_of_a_section_means_the_same_as_its_yaml(name: str, tmp_path: Path) -> None:
    section = SECTIONS[name]
    line = re.search(r"^- Flag: `(.*)`$", section, re.MULTILINE)
    block = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert line
    assert block
    assert parse(from_command_line(line[1])) == parse(from_yaml(block[1], tmp_path))


@pytest.mark.parametrize("name", KEYS)
def test_default_of_a_section_is_that_of_the_schema(name: str) -> None:
    written = re.search(r"^- Default: (.*)$", SECTIONS[name], re.MULTILINE)
    assert written
    default = SCHEMA["properties"][name].get("default")
    if default in (None, ""):
        assert "`" not in written[1]
    else:
        assert written[1] == f"`{default if isinstance(default, str) else json.dumps(default)}`"


def test_page_has_the_switches_with_their_defaults() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \| `(true|false)` \|", SECTIONS["view"], re.MULTILINE)
    defaults = ViewSwitches()
    assert {name: default == "true" for name, default in rows} == {
        name: getattr(defaults, name) for name in ViewSwitches.__struct_fields__
    }


def test_flags_win_as_the_page_says(tmp_path: Path) -> None:
    file = from_yaml("env: {LANG: C.UTF-8, TZ: UTC}\nports: [1, 2]\ncontents: [a]", tmp_path)
    spec = parse(merge(file, from_command_line("--env LANG=C --ports 3 --contents b")))
    assert spec.env == {"LANG": "C", "TZ": "UTC"}
    assert spec.ports == ("3/tcp",)
    assert spec.contents == ("a", "b")


# What both refuse: as much as a schema can say.
WRONG: list[dict[str, Any]] = [
    {"tagg": "a"},
    {"name": "Foo"},
    {"base": ""},
    {"base": "-x"},
    {"base": ["a"]},
    {"name": "a:1"},
    {"name": ""},
    {"tag": "a b"},
    {"tag": "a" * 129},
    {"tag": True},
    {"tag": None},
    {"entrypoint": "a b"},
    {"entrypoint": "bin/a"},
    {"entrypoint": ["bin/a"]},
    {"entrypoint": [""]},
    {"cmd": "a"},
    {"cmd": [True]},
    {"env": ["A=1"]},
    {"env": {"A=": "1"}},
    {"env": {"": "1"}},
    {"env": {"A": None}},
    {"user": "x y"},
    {"user": "1:2:3"},
    {"user": -1},
    {"user": 2**31},
    {"workdir": "a"},
    {"workdir": "/a/"},
    {"workdir": "//a"},
    {"workdir": "/a/../b"},
    {"workdir": "/."},
    {"volumes": ["/"]},
    {"volumes": ["/a", "/a"]},
    {"ports": [0]},
    {"ports": [65536]},
    {"ports": ["080"]},
    {"ports": ["80/TCP"]},
    {"labels": {"": "a"}},
    {"labels": {"a": "x" * (2**20 + 1)}},
    {"annotations": {"org.opencontainers.x": "a"}},
    {"annotations": {"org.opencontainers.image.ref.name": "a"}},
    {"stop-signal": "TERM"},
    {"stop-signal": 65},
    {"stop-signal": "0"},
    {"healthcheck": {}},
    {"healthcheck": "a"},
    {"healthcheck": {"test": []}},
    {"healthcheck": {"test": "a b"}},
    {"healthcheck": {"test": "a", "interval": "0s"}},
    {"healthcheck": {"test": "a", "timeout": 30}},
    {"healthcheck": {"test": "a", "start-period": "1s1m"}},
    {"healthcheck": {"test": "a", "retries": 0}},
    {"healthcheck": {"test": "a", "command": "b"}},
    {"contents": ["-f"]},
    {"contents": [""]},
    {"contents": ["a", "a"]},
    {"users": [{"name": "a"}]},
    {"users": [{"uid": 1}]},
    {"users": [{"name": "1", "uid": 1}]},
    {"users": [{"name": "a", "uid": "1"}]},
    {"users": [{"name": "a", "uid": 1, "home": "/a:b"}]},
    {"users": [{"name": "a", "uid": 1, "comment": "x"}]},
    {"groups": [{"name": "a", "gid": -1}]},
    {"groups": [{"name": "a", "gid": 7, "members": "root"}]},
    {"files": {"a": {"text": ""}}},
    {"files": {"/a": {}}},
    {"files": {"/a": {"text": "", "link": "/b"}}},
    {"files": {"/a": {"directory": "yes"}}},
    {"files": {"/a": {"text": "", "mode": 640}}},
    {"files": {"/a": {"text": "", "mode": "rw"}}},
    {"files": {"/a": {"text": "", "owner": "a b"}}},
    {"files": {"/a": {"source": ""}}},
    {"env-file": ""},
    {"view": {"shell": True}},
    {"view": {"sh": "yes"}},
    {"view": []},
    {"debug": "yes"},
    {"debug": 1},
    {"debug-tools": "-f"},
    {"debug-tools": ""},
    {"debug-tools": ["a"]},
    {"max-layers": 0},
    {"max-layers": 128},
    {"max-layers": "9"},
    {"layers": "popularity.json"},
    {"layers": {"popularity": ""}},
    {"layers": {"popularity": ["a"]}},
    {"layers": {"stable": "glibc"}},
    {"layers": {"stable": ["glibc", "glibc"]}},
    {"layers": {"volatile": ["/nix/store/x"]}},
    {"layers": {"volatile": [""]}},
    {"layers": {"plan": "a"}},
    {"compression": "xz"},
    {"created": "2024-05-06"},
    {"created": -1},
    {"created": 253402300800},
]


@pytest.mark.parametrize("document", WRONG, ids=lambda document: str(document)[:50])
def test_schema_and_parser_refuse_the_same(document: dict[str, Any]) -> None:
    assert not valid(document)
    assert not parses(document)


@pytest.mark.parametrize(
    ("images", "good"),
    [
        ({"web": None, "a.b_c-1": {"installable": ".#web", "ports": [80]}}, True),
        ({}, True),
        ([], False),
        ({"Web": {}}, False),
        ({"../web": {}}, False),
        ({"a" * 101: {}}, False),
        ({"web": []}, False),
        ({"web": {"installable": "-f"}}, False),
        ({"web": {"ports": 80}}, False),
        ({"web": {"images": {}}}, False),
    ],
)
def test_schema_and_parser_agree_about_images(
    images: object, *, good: bool, tmp_path: Path
) -> None:
    document = {"images": images}
    assert valid(document) == good
    path = tmp_path / "nix2oci.yaml"
    path.write_text(json.dumps(document))
    with nullcontext() if good else pytest.raises(ConfigError):
        load(str(path))


NAMES = st.sampled_from(["a", "A", "root", "nobody", "1", "", "a=", "sh", "etc", "x y"])
TEXTS = st.sampled_from(
    [
        *("a", "a:1", "A b", "/", "/a", "/a/b", "/a/", "/a/./b", "..", "80", "80/udp", "0", "now"),
        *("SIGTERM", "SIGRTMAX-1", "15", "gzip", "none", "root", "root:tty", "1:2", "h.io/a", "-x"),
        *("2024-05-06T07:08:09Z", "2024-05-06t07:08:09.5+01:30", "[::1]:5/a", "localhost/a_b"),
    ]
)
SCALARS = TEXTS | NAMES | st.integers(-2, 70) | st.booleans() | st.none()
ACCOUNTS = st.dictionaries(
    st.sampled_from(["name", "uid", "gid", "home", "shell", "members"]),
    SCALARS | st.integers(1, 9) | st.lists(NAMES, max_size=2),
)
VALUES = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(NAMES | TEXTS, SCALARS, max_size=3)
    | st.lists(ACCOUNTS, max_size=2)
)


@given(st.sampled_from(list(KEYS)), VALUES)
@settings(max_examples=200, deadline=None)
def test_schema_accepts_what_the_parser_accepts(name: str, value: object) -> None:
    assert valid({name: value}) or not parses({name: value})

"""nix2oci.yaml and flags become one image spec, or one error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nix2oci.config.image_spec import MAX_BYTES, OLDEST, ImageSpec, created, load, merge, parse
from nix2oci.config.keys import KEYS, Document
from nix2oci.errors import ConfigError, OutputError
from nix2oci.model.accounts import User

Load = Callable[[str | bytes], Document]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Write a file and load it; errors name it `nix2oci.yaml`, without the directory."""

    def write_and_load(content: str | bytes) -> Document:
        path = tmp_path / "nix2oci.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            return load(str(path))
        except ConfigError as err:
            raise ConfigError(str(err).replace(f"{tmp_path}/", ""), hint=err.hint) from err

    return write_and_load


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("", {}, id="an empty file"),
        pytest.param("# nothing yet\n---\n", {}, id="a file of comments"),
        pytest.param(b"\xef\xbb\xbftag: a\n", {"tag": "a"}, id="a byte order mark"),
        pytest.param("tag: 1.10", {"tag": "1.10"}, id="a version that looks like a fraction"),
        pytest.param(
            "env: {A: no, B: 22:22, C: 010, D: 0x1F, E: 1_0, F: 2024-01-01, G: .inf, H: -7}",
            {
                "env": {
                    "A": "no",
                    "B": "22:22",
                    "C": "010",
                    "D": "0x1F",
                    "E": "1_0",
                    "F": "2024-01-01",
                    "G": ".inf",
                    "H": -7,
                }
            },
            id="text that YAML 1.1 has other ideas of",
        ),
        pytest.param(
            "env:\n  A: 'true'\n  B: \"8080\"\n  C: |\n    x\n",
            {"env": {"A": "true", "B": "8080", "C": "x\n"}},
            id="quoted text",
        ),
        pytest.param("env: {8080: a, no: b}", {"env": {"8080": "a", "no": "b"}}, id="names"),
        pytest.param("user: 1000:1000", {"user": "1000:1000"}, id="numbers with a colon"),
        pytest.param("max-layers: 9", {"max-layers": 9}, id="a number"),
        pytest.param("view: {sh: true}", {"view": {"sh": True}}, id="a boolean"),
        pytest.param(
            "env: &e {A: x}\nlabels: *e", {"env": {"A": "x"}, "labels": {"A": "x"}}, id="an alias"
        ),
    ],
)
def test_load(load_text: Load, content: str | bytes, expected: Document) -> None:
    assert load_text(content) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "env: {A: 1}\ntag: [",
            "cannot read nix2oci.yaml:2:7: expected the node content, but found '<stream end>'",
            id="an open bracket",
        ),
        pytest.param(
            "env:\n\tA: 1",
            "cannot read nix2oci.yaml:2:1: found character '\\t' that cannot start any token",
            id="a tab",
        ),
        pytest.param(
            "env:\n  A: 1\n  B: 2\n  A: 3",
            "cannot read nix2oci.yaml:4:3: the key 'A' is there twice",
            id="a key twice",
        ),
        pytest.param(
            "tag: a\n---\ntag: b",
            "cannot read nix2oci.yaml:2:1:"
            " expected a single document in the stream, but found another document",
            id="two documents",
        ),
        pytest.param(
            "tag: !!python/name:os.system x",
            "cannot read nix2oci.yaml:1:6:"
            " the tag 'tag:yaml.org,2002:python/name:os.system' has no meaning here",
            id="a tag of PyYAML's",
        ),
        pytest.param(
            "? [a]\n: b", "cannot read nix2oci.yaml:1:3: a key must be text", id="a list as key"
        ),
        pytest.param(
            "env: &a {A: *a}",
            "cannot read nix2oci.yaml:1:6: found unconstructable recursive node",
            id="an alias within itself",
        ),
        pytest.param(
            "tag: *x", "cannot read nix2oci.yaml:1:6: found undefined alias 'x'", id="no anchor"
        ),
        pytest.param(
            "[\n" * 2000, "cannot read nix2oci.yaml: it is nested too deeply", id="deep nesting"
        ),
        pytest.param(
            'tag: "\\UFFFFFFFF"',
            "cannot read nix2oci.yaml: a number or an escape is out of range",
            id="an escape past Unicode",
        ),
        pytest.param(
            'env: {A: "\\ud800"}',
            "nix2oci.yaml: env.A: the text is not valid Unicode",
            id="half a surrogate pair",
        ),
        pytest.param(
            b"tag: a\n\xff", "cannot read nix2oci.yaml:2:1: byte 7 is not UTF-8", id="not UTF-8"
        ),
        pytest.param(
            b"tag: a\n# \0",
            "cannot read nix2oci.yaml:2:3: the character '\\x00' is not allowed",
            id="a NUL",
        ),
        pytest.param("- a", "nix2oci.yaml: expected a mapping, got a list", id="a list"),
        pytest.param("env", "nix2oci.yaml: expected a mapping, got 'env'", id="one word"),
        pytest.param("tagg: a", "nix2oci.yaml: unknown key 'tagg'", id="an unknown key"),
        pytest.param("<<: {tag: a}", "nix2oci.yaml: unknown key '<<'", id="a merge key"),
        pytest.param(
            "tag: a b",
            "nix2oci.yaml: tag:"
            " expected a tag: up to 128 letters, digits, '_', '.', '-', got 'a b'",
            id="a value without meaning",
        ),
        pytest.param(
            b"#" * (MAX_BYTES + 1), "cannot read nix2oci.yaml: it is larger than 4 MiB", id="size"
        ),
    ],
)
def test_load_refuses(load_text: Load, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(content)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("health-check", "did you mean 'healthcheck'?"),
        ("anyuid", "it is 'arbitrary-uid: true'"),
        ("extraFiles", "files, directories and links with an owner and a mode are named in"),
        ("directories", "files, directories and links with an owner and a mode are named in"),
    ],
)
def test_a_key_of_other_tools_says_what_to_do_instead(load_text: Load, key: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"{key}: []")
    assert str(caught.value) == f"nix2oci.yaml: unknown key '{key}'"
    assert (caught.value.hint or "").startswith(hint)


def test_load_hints_at_the_nearest_key(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("maxLayers: 3")
    assert caught.value.hint == "did you mean 'max-layers'?"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        pytest.param("absent", "No such file or directory", id="no file"),
        pytest.param("", "Is a directory", id="a directory"),
    ],
)
def test_load_names_the_file_that_it_cannot_read(tmp_path: Path, name: str, cause: str) -> None:
    path = tmp_path / name
    with pytest.raises(OutputError) as caught:
        load(str(path))
    assert str(caught.value) == f"cannot read {path}: {cause}"


@pytest.mark.parametrize(
    ("file", "flags", "expected"),
    [
        pytest.param({"tag": "a"}, {}, {"tag": "a"}, id="no flags"),
        pytest.param({"tag": "a"}, {"tag": "b"}, {"tag": "b"}, id="the flag wins"),
        pytest.param(
            {"env": {"A": "1", "B": "1"}},
            {"env": {"B": "2"}},
            {"env": {"A": "1", "B": "2"}},
            id="mappings are joined",
        ),
        pytest.param(
            {"view": {"sh": True}}, {"view": {"sh": False}}, {"view": {"sh": False}}, id="a switch"
        ),
        pytest.param({"ports": [1]}, {"ports": [2]}, {"ports": [2]}, id="lists are replaced"),
        pytest.param(
            {"contents": ["a", "b"]},
            {"contents": ["b", "c"]},
            {"contents": ["a", "b", "c"]},
            id="contents are added",
        ),
        pytest.param(
            {"entrypoint": ["a", "b"]}, {"entrypoint": "c"}, {"entrypoint": "c"}, id="a program"
        ),
    ],
)
def test_merge(file: Document, flags: Document, expected: Document) -> None:
    assert merge(file, flags) == expected


def test_parse_names_the_document() -> None:
    with pytest.raises(ConfigError, match=r"^a/b\.yaml: tag: the text is empty$"):
        parse({"tag": ""}, "a/b.yaml")


def test_parse_knows_added_users_and_groups_by_name() -> None:
    document = {
        "user": "app:audit",
        "users": [{"name": "app", "uid": 1000}],
        "groups": [{"name": "audit", "gid": 2000, "members": ["app"]}],
    }
    assert parse(document).user == "1000:2000"
    assert parse({**document, "user": "app", "groups": []}).user == "1000:1000"


def test_parse_finds_no_strange_user() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"user": "bob", "users": [{"name": "app", "uid": 1000}]})
    assert str(caught.value) == (
        "cannot run as user 'bob': 'bob' is neither in the image's /etc/passwd nor a number"
    )
    assert caught.value.hint == "give numbers, or one of root, nobody, nonroot, app"


def test_parse_refuses_a_user_that_every_image_has() -> None:
    with pytest.raises(
        ConfigError, match=r"^cannot add user 'nonroot': the image has that name already$"
    ):
        parse({"users": [{"name": "nonroot", "uid": 1000}]})


def test_users_of_a_flag_replace_those_of_the_file() -> None:
    file = {"users": [{"name": "a", "uid": 1}]}
    spec = parse(merge(file, {"users": [{"name": "b", "uid": 1}]}))
    assert spec.users == (User("b", 1, 1),)


NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
ASKED = datetime(2001, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "variable", "last_modified", "expected"),
    [
        pytest.param(None, None, None, OLDEST, id="nothing is known: 1980"),
        pytest.param(None, None, 86400, datetime(1970, 1, 2, tzinfo=UTC), id="the flake's time"),
        pytest.param(None, "0", 86400, datetime(1970, 1, 1, tzinfo=UTC), id="the variable: 0"),
        pytest.param(None, "1", None, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), id="1"),
        pytest.param(
            None, str(2**33), None, datetime(2242, 3, 16, 12, 56, 32, tzinfo=UTC), id="2^33"
        ),
        pytest.param(
            *(None, "315532800", 86400, datetime(1970, 1, 2, tzinfo=UTC)), id="not that of stdenv"
        ),
        pytest.param(None, "315532800", None, OLDEST, id="that of stdenv is no time either"),
        pytest.param(
            *(None, "315532801", 86400, datetime(1980, 1, 1, 0, 0, 1, tzinfo=UTC)),
            id="the second after that of stdenv",
        ),
        pytest.param(ASKED, "0", 86400, ASKED, id="what was asked for"),
        pytest.param("now", "0", 86400, NOON, id="now, when asked for"),
    ],
)
def test_created(
    spec: datetime | Literal["now"] | None,
    variable: str | None,
    last_modified: int | None,
    expected: datetime,
) -> None:
    assert created(spec, variable, last_modified, lambda: NOON) == expected


def test_created_looks_at_the_clock_only_when_asked_to() -> None:
    def clock() -> datetime:
        raise AssertionError

    assert created(None, None, None, clock) == OLDEST


def test_created_now_has_whole_seconds() -> None:
    assert created("now", None, None, lambda: NOON.replace(microsecond=5)) == NOON


@pytest.mark.parametrize("spec", [None, ASKED], ids=["used", "not used"])
@pytest.mark.parametrize("variable", ["", "abc", "-1", "1.5", " 1", "٣", "9" * 30])
def test_created_refuses_a_variable_that_is_no_number(variable: str, spec: datetime | None) -> None:
    with pytest.raises(ConfigError) as caught:
        created(spec, variable, None, lambda: NOON)
    assert str(caught.value) == (
        f"SOURCE_DATE_EPOCH: expected a number of seconds since 1970, got '{variable}'"
    )
    assert caught.value.hint == "unset the variable to do without it"


def test_created_refuses_a_variable_past_the_year_9999() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^SOURCE_DATE_EPOCH: 253402300800 is not within the years 1970 to 9999$",
    ):
        created(None, "253402300800", None, lambda: NOON)


# Anything that YAML can write, with the words that the readers look for often enough.
WORDS = st.sampled_from(
    ["", "a", "/a", "now", "1", "80/udp", "root", "0:0", "SIGTERM", "gzip", "a=b", "\0", "\ud800"]
)
TYPES = (st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.binary())
SCALARS = st.one_of(WORDS, *TYPES)
FIELDS = st.sampled_from(["name", "uid", "gid", "home", "shell", "members", "sh", "etc"])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(FIELDS | WORDS | st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(list(KEYS)), ANYTHING, max_size=4) | ANYTHING


@given(DOCUMENTS)
@settings(max_examples=200, deadline=None)
def test_parse_raises_nothing_but_config_errors(document: Any) -> None:
    try:
        spec = parse(document)
    except ConfigError as err:
        assert str(err).isprintable()  # noqa: PT017  # there is nothing to raise when it is right
        return
    assert isinstance(spec, ImageSpec)


@given(st.text(alphabet="ae:\n -[]{}&*!|>'\"\\#%@?,~<0\t\x00ü", max_size=60))
@settings(max_examples=150, deadline=None)
def test_load_raises_nothing_but_config_errors(
    tmp_path_factory: pytest.TempPathFactory, content: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(content, encoding="utf-8", newline="")
    try:
        document = load(str(path))
    except ConfigError as err:
        assert str(err).isprintable()  # noqa: PT017  # there is nothing to raise when it is right
        return
    assert set(document) <= set(KEYS)

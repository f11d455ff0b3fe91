"""Images that YAML mentions: where, in which style, and that all other bytes stay."""

from __future__ import annotations

import json

import pytest

from nix2oci.config.image_mentions import SCHEME, read_mentions
from nix2oci.errors import ConfigError

APP = "registry.example.com/team/app@sha256:" + "a" * 64
BY_ADDRESS = "[::1]:5000/app@sha256:" + "a" * 64


def resolved(text: str, reference: str = APP) -> str:
    found = read_mentions(text.encode(), "f.yaml")
    return found.resolved({each.installable: reference for each in found.mentions}).decode()


def installables(text: str) -> list[str]:
    return [each.installable for each in read_mentions(text.encode(), "f.yaml").mentions]


def left(text: str) -> list[str]:
    return list(read_mentions(text.encode(), "f.yaml").left)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("image: nix2oci://.#app\n", f"image: {APP}\n", id="plain"),
        pytest.param("image: nix2oci://.#app   # why\n", f"image: {APP}   # why\n", id="comment"),
        pytest.param("image: 'nix2oci://.#app'\n", f"image: '{APP}'\n", id="single quotes"),
        pytest.param('image: "nix2oci://.#app"\n', f'image: "{APP}"\n', id="double quotes"),
        pytest.param("- 'nix2oci://.#a''b'", f"- '{APP}'", id="a quote within quotes"),
        pytest.param(r'- "nix2oci:\/\/.#\"a.b\""', f'- "{APP}"', id="escapes"),
        pytest.param('- "nix2oci://\\\n    .#app"', f'- "{APP}"', id="an escaped line break"),
        pytest.param("- |\n  nix2oci://.#app\n", f"- |\n  {APP}\n", id="literal"),
        pytest.param(
            "- |+2 # nix2oci://.#app\n  nix2oci://.#app\n\n- a",
            f"- |+2 # nix2oci://.#app\n  {APP}\n\n- a",
            id="literal with header and comment",
        ),
        pytest.param(
            "- |2\n\n  nix2oci://.#app\n", f"- |2\n\n  {APP}\n", id="literal with an empty line"
        ),
        pytest.param("- >-\n  nix2oci://.#app\n\n", f"- >-\n  {APP}\n\n", id="folded"),
        pytest.param(
            "a: &i !t # why\n  nix2oci://.#app\nb: *i",
            f"a: &i !t # why\n  {APP}\nb: *i",
            id="anchor, tag, and an alias that means the same",
        ),
        pytest.param("[a, nix2oci://.#a,b]", f"[a, {APP},b]", id="a list in brackets"),
        pytest.param("{a: nix2oci://.#a}", f"{{a: {APP}}}", id="a mapping in braces"),
        pytest.param('{"a":"nix2oci://.#a"}', f'{{"a":"{APP}"}}', id="JSON"),
        pytest.param(
            '{\n\t"a": "\\ud83d\\ude00",\n\t"b": "nix2oci://.#a"\n}',
            f'{{\n\t"a": "\\ud83d\\ude00",\n\t"b": "{APP}"\n}}',
            id="JSON with tabs and a pair of surrogates",
        ),
        pytest.param("a: 😀\nb: nix2oci://.#a", f"a: 😀\nb: {APP}", id="behind other characters"),
        pytest.param("\ufeffa: nix2oci://.#a", f"\ufeffa: {APP}", id="behind a byte order mark"),
        pytest.param(
            "a: b\r\nc: nix2oci://.#a\r\nd: |\r\n  nix2oci://.#a\r\n",
            f"a: b\r\nc: {APP}\r\nd: |\r\n  {APP}\r\n",
            id="lines that end in CR LF",
        ),
        pytest.param(
            "nix2oci://.#a\n--- nix2oci://.#a\n--- |\n nix2oci://.#a\n...\n%YAML 1.2\n---\n- nix2oci://.#a",
            f"{APP}\n--- {APP}\n--- |\n {APP}\n...\n%YAML 1.2\n---\n- {APP}",
            id="documents that are nothing else, and a directive",
        ),
        pytest.param(
            "a: |\n  ---\n  b\nc: '--- nix2oci'\nd: nix2oci://.#a",
            f"a: |\n  ---\n  b\nc: '--- nix2oci'\nd: {APP}",
            id="text that looks like a border of documents",
        ),
        pytest.param("# nix2oci://.#app\n", "# nix2oci://.#app\n", id="only a comment"),
        pytest.param("", "", id="an empty file"),
        pytest.param("---\n---\n", "---\n---\n", id="empty documents"),
    ],
)
def test_only_the_value_is_replaced(text: str, expected: str) -> None:
    assert resolved(text) == expected
    assert left(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: nix2oci://.#a", f"a: '{BY_ADDRESS}'", id="plain gets quotes"),
        pytest.param('a: "nix2oci://.#a"', f'a: "{BY_ADDRESS}"', id="quoted keeps its own"),
        pytest.param("a: |\n nix2oci://.#a", f"a: |\n {BY_ADDRESS}", id="a block needs none"),
    ],
)
def test_a_reference_that_would_begin_a_list_is_text(text: str, expected: str) -> None:
    assert resolved(text, BY_ADDRESS) == expected


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        pytest.param("a: run nix2oci://.#a", 1, "part of a longer text", id="words around it"),
        pytest.param(
            "a: nix2oci://.#a,nix2oci://.#b", 1, "part of a longer text", id="two of them"
        ),
        pytest.param("a: 'nix2oci://.#a '", 1, "part of a longer text", id="a space"),
        pytest.param("a: nix2oci://.#a\n   b", 1, "part of a longer text", id="folded lines"),
        pytest.param(
            "a: b\ns: |\n  #!/bin/sh\n\n  run nix2oci://.#a\n",
            5,
            "part of a longer text",
            id="a line of a script",
        ),
        pytest.param("nix2oci://.#a: b", 1, "a key, or in one", id="a key"),
        pytest.param("- b\n- ? [nix2oci://.#a]\n  : c", 2, "a key, or in one", id="in a key"),
    ],
)
def test_what_is_left_alone_is_said(text: str, line: int, why: str) -> None:
    assert resolved(text) == text
    assert left(text) == [f"f.yaml:{line}: nix2oci:// stays as it is: it is {why}"]


def test_installables_are_what_follows_the_scheme_in_the_order_of_the_text() -> None:
    text = (
        r"""[nix2oci://.#a, "nix2oci://.#\"b.c\"^out", nix2oci://#web, 'nix2oci:///nix/store/x']"""
    )
    assert installables(text) == [".#a", '.#"b.c"^out', "#web", "/nix/store/x"]


def test_a_mention_has_line_and_column() -> None:
    found = read_mentions(b"a: b\nc:\n  - nix2oci://.#a\n", "k8s/f.yaml")
    assert [each.place for each in found.mentions] == ["k8s/f.yaml:3:5"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"a: [", "f.yaml:2:1: did not find expected node content", id="no end"),
        pytest.param(b"a: b\n\tc: d", "f.yaml:2:1: found a tab", id="a tab"),
        pytest.param(b"a: *x", "f.yaml:1:4: there is no anchor 'x'", id="an unknown anchor"),
        pytest.param(b"a: &x 1\n---\n*x", "f.yaml:3:1: there is no", id="of another document"),
        pytest.param(b"a: b\nc: \xff", "f.yaml:2:4: byte 8 is not UTF-8", id="not UTF-8"),
        pytest.param("é: \x07".encode(), r"f.yaml:1:4: the character '\x07'", id="a bell"),
        pytest.param(b"\xef\xbb\xbfa: \xff", "f.yaml:1:4: byte 6 is not", id="behind a mark"),
        pytest.param("a".encode("utf-16"), "f.yaml:1:1: byte 0 is not UTF-8", id="UTF-16"),
        pytest.param(b"[" * 5000, "f.yaml:1:1001: exceeded maximum nesting", id="5,000 lists"),
        pytest.param(b"- " * 200, "f.yaml:1:257: it is nested too deeply", id="200 lists in lines"),
        pytest.param(b'{"a":' * 200, "f.yaml:1:641: it is nested too deeply", id="200 mappings"),
    ],
)
def test_what_is_no_yaml_has_its_place(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_mentions(data, "f.yaml")
    assert str(caught.value).startswith(f"cannot read {message}")


def bomb(levels: int) -> str:
    """Each level means nine times what the one before means."""
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(["a0: &a0 nix2oci://.#app", *rows])


def test_aliases_may_mean_much() -> None:
    assert resolved(bomb(7)) == bomb(7).replace(f"{SCHEME}.#app", APP)


@pytest.mark.timeout(60)
def test_aliases_that_mean_a_billion_values_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml:9:15: with its aliases it has more"):
        read_mentions(bomb(12).encode(), "f.yaml")


def test_an_anchor_may_be_within_what_it_names() -> None:
    assert resolved("&a [*a, nix2oci://.#app]") == f"&a [*a, {APP}]"


def test_every_text_of_json_can_stand_beside_one() -> None:
    text = json.dumps({"a": "".join(map(chr, range(0x20, 0x7F))) + "\x00\x85é\ud7ff😀", "b": 1})
    assert resolved(text[:-1] + ', "c": "nix2oci://.#a"}') == text[:-1] + f', "c": "{APP}"}}'
